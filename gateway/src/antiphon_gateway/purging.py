"""From an event to the tags it makes stale. The gateway reads the bus for nothing else.

Purging twice, or for nothing, is harmless, so there is no inbox: a message is acknowledged once purged.
"""

from collections.abc import Callable, Mapping
from uuid import UUID

from antiphon_common.bus import Bus, Envelope
from antiphon_common.bus.envelope import Announceable
from antiphon_common.errors import Malformed
from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_gateway.caching import AnswerCache

CONSUMER = "gateway"


def _track(subject: UUID) -> list[str]:
    # An artist or album is listed while it holds a listed track, so their lists may change with one.
    return [f"track:{subject}", "tracks", "artists", "albums"]


def _counted(subject: UUID) -> list[str]:
    return [f"track:{subject}"]


def _artist(subject: UUID) -> list[str]:
    return [f"artist:{subject}", "artists", "albums", "tracks", "credits"]


def _album(subject: UUID) -> list[str]:
    return [f"album:{subject}", "albums", "tracks", "credits"]


def _playlist(subject: UUID) -> list[str]:
    return [f"playlist:{subject}", "playlists"]


def _profile(subject: UUID) -> list[str]:
    # Public playlists show their owner's name, tracks their uploader's.
    return [f"user:{subject}", "playlists", "tracks", "credits"]


TAGS: Mapping[type[Announceable], Callable[[UUID], list[str]]] = {
    TrackChanged: _track,
    TrackDeleted: _track,
    ArtistChanged: _artist,
    ArtistDeleted: _artist,
    AlbumChanged: _album,
    AlbumDeleted: _album,
    PlaylistChanged: _playlist,
    PlaylistDeleted: _playlist,
    ProfileChanged: _profile,
    TrackLikesCounted: _counted,
    TrackPlaysCounted: _counted,
}


class Purger:
    """The gateway's one consumer."""

    def __init__(self, bus: Bus, answers: AnswerCache) -> None:
        self._bus = bus
        self._answers = answers
        self._kinds = {event.type: event for event in TAGS}

    async def start(self) -> None:
        await self._bus.start()
        await self._bus.consume(CONSUMER, sorted(self._kinds), self.handle)

    async def stop(self) -> None:
        await self._bus.stop()

    async def handle(self, body: bytes) -> None:
        """Purge for one message. Raises `Malformed` for one that cannot be read."""
        try:
            envelope = Envelope.from_bytes(body)
            kind = self._kinds[envelope.type]
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed("undecodable", "The message cannot be read.") from error
        # Only the subject matters, so an event of a newer publisher is understood as far as needed.
        await self._answers.purge(TAGS[kind](envelope.subject))
