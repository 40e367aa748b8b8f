"""From an event to the tags it makes stale. The gateway reads the bus for nothing else.

Purging twice, or for nothing, is harmless, so there is no inbox: a message is acknowledged once purged.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
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

# Library counts and the catalogue shows, which hears of a count when we do: an answer fetched at once could
# still be the old one, and would be kept. What comes later than this is stale until it expires.
_COUNTED: tuple[type[Announceable], ...] = (TrackLikesCounted, TrackPlaysCounted)
_COUNT_SECONDS = 1.0


class Purger:
    """The gateway's one consumer. Gateways that share a cache share the queue, too."""

    def __init__(self, bus: Bus, answers: AnswerCache, *, queue: str) -> None:
        self._queue = queue
        self._bus = bus
        self._answers = answers
        self._kinds = {event.type: event for event in TAGS}
        self._late: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._purging: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._bus.start()
        await self._bus.consume(self._queue, sorted(self._kinds), self.handle)

    async def stop(self) -> None:
        await self._bus.stop()
        if self._timer:
            self._timer.cancel()
        if self._purging:
            await self._purging

    async def handle(self, bodies: Sequence[bytes]) -> None:
        """Purge for messages. Raises `Malformed` when one cannot be read; purging twice does no harm."""
        at_once: set[str] = set()
        for body in bodies:
            kind, tags = self._tags(body)
            if kind in _COUNTED:
                self._purge_later(tags)
            else:
                at_once.update(tags)
        if at_once:
            await self._answers.purge(sorted(at_once))

    def _tags(self, body: bytes) -> tuple[type[Announceable], list[str]]:
        """What one message is about. Only the subject matters, so a newer publisher is understood, too."""
        try:
            envelope = Envelope.from_bytes(body)
            kind = self._kinds[envelope.type]
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed("undecodable", "The message cannot be read.") from error
        return kind, TAGS[kind](envelope.subject)

    def _purge_later(self, tags: list[str]) -> None:
        """Purge in a moment, together with what else is counted until then."""
        self._late.update(tags)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_COUNT_SECONDS, self._purge_late)

    def _purge_late(self) -> None:
        tags, self._late, self._timer = sorted(self._late), set(), None
        self._purging = asyncio.create_task(self._answers.purge(tags), name="purge-counts")
