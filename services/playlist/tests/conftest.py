"""A playlist service with its own database, and the voices of the services it listens to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import httpx
import pytest

from antiphon_common.bus import open_bus
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import Migrated, idle_relay
from antiphon_common.testing.running import drained, publish, running
from antiphon_contracts.catalog import Credit, TrackChanged
from antiphon_contracts.event import Event
from antiphon_contracts.file import Audio
from antiphon_playlist.app import create_app
from antiphon_playlist.ports import Unit
from antiphon_playlist.repository import unit_of_work
from antiphon_playlist.settings import Settings
from antiphon_playlist.tables import OUTBOX

Say = Callable[..., Awaitable[None]]
MakeTrack = Callable[..., TrackChanged]
MakeTracks = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def settings(urls: dict[str, str], migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service."""
    urls["database_url"] = migrated("antiphon_playlist")
    return Settings(**urls)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings)) as client:
        yield client


@pytest.fixture
def say(settings: Settings) -> Say:
    """Publishes events and waits until this service has handled them, all of them well."""

    async def say(*events: Event) -> None:
        await publish(settings.bus_url, events)
        await drained(settings.bus_url, "playlist")
        bus = open_bus(settings.bus_url)
        await bus.start()
        assert await bus.dead_letters("playlist") == []
        await bus.stop()

    return say


@pytest.fixture
def track() -> MakeTrack:
    """Makes what catalog says of a track."""

    def track(
        subject: UUID | None = None, *, owner_id: UUID | None = None, revision: int = 1,
        status: str = "published", visibility: str = "public", title: str = "Song",
    ) -> TrackChanged:  # fmt: skip
        audio = Audio(
            blob_key="audio/x", mime="audio/flac", codec="flac", bytes=1, sha256="00", bitrate=1, channels=2,
            sample_rate=44_100, duration_ms=61_000,
        )  # fmt: skip
        return TrackChanged.model_validate(
            {
                "subject": subject or new_id(), "revision": revision, "owner_id": owner_id or new_id(),
                "upload_id": new_id(), "status": status, "visibility": visibility, "title": title,
                "artists": (Credit(artist_id=new_id(), name="Ada"),), "album_id": new_id(),
                "album_title": "First", "audio": audio, "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            }
        )  # fmt: skip

    return track


@pytest.fixture
def tracks(client: httpx.AsyncClient, say: Say, track: MakeTrack) -> MakeTracks:
    """Lets catalog publish some public tracks; their ids."""

    async def tracks(count: int) -> list[str]:
        made = [track(title=f"Song {index}") for index in range(count)]
        await say(*made)
        return [str(event.subject) for event in made]

    return tracks


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> Callable[[], AbstractAsyncContextManager[Unit]]:
    """Opens units whose events stay in the outbox."""
    return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX))
