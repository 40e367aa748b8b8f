"""Published by library: counters, as absolute values so that a repeat changes nothing."""

from typing import ClassVar

from antiphon_contracts.event import Event


class TrackLikesCounted(Event):
    """How many people like a track. `subject` is the track id, `revision` counts its changes here."""

    type: ClassVar[str] = "library.track_likes_counted"

    like_count: int


class TrackPlaysCounted(Event):
    """How often a track was played (30 s or more). `subject` is the track id."""

    type: ClassVar[str] = "library.track_plays_counted"

    play_count: int
