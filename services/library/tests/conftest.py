"""A library service with its own database, and the voices of the services it listens to."""

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
from antiphon_contracts.catalog import AlbumChanged, Credit, TrackChanged
from antiphon_contracts.event import Event
from antiphon_contracts.file import Audio
from antiphon_contracts.playlist import PlaylistChanged
from antiphon_library.app import create_app
from antiphon_library.ports import Unit
from antiphon_library.repository import unit_of_work
from antiphon_library.settings import Settings
from antiphon_library.tables import OUTBOX

Say = Callable[..., Awaitable[None]]


@pytest.fixture
def settings(urls: dict[str, str], migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service."""
    urls["database_url"] = migrated("antiphon_library")
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
        await drained(settings.bus_url, "library")
        bus = open_bus(settings.bus_url)
        await bus.start()
        assert await bus.dead_letters("library") == []
        await bus.stop()

    return say


@pytest.fixture
def track() -> Callable[..., TrackChanged]:
    """Makes what catalog says of a track."""

    def track(
        subject: UUID | None = None, *, owner_id: UUID | None = None, revision: int = 1,
        status: str = "published", visibility: str = "public", title: str = "Song", duration_ms: int = 61_000,
    ) -> TrackChanged:  # fmt: skip
        audio = Audio(
            blob_key="audio/x", mime="audio/flac", codec="flac", bytes=1, sha256="00", bitrate=1, channels=2,
            sample_rate=44_100, duration_ms=duration_ms,
        )  # fmt: skip
        return TrackChanged.model_validate(
            {
                "subject": subject or new_id(), "revision": revision, "owner_id": owner_id or new_id(),
                "upload_id": new_id(), "status": status, "visibility": visibility, "title": title,
                "artists": (Credit(artist_id=new_id(), name="Ada"),), "audio": audio,
                "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            }
        )  # fmt: skip

    return track


@pytest.fixture
def album() -> Callable[..., AlbumChanged]:
    """Makes what catalog says of an album."""

    def album(
        subject: UUID | None = None, *, owner_id: UUID | None = None, revision: int = 1, listed: bool = True,
        title: str = "Record",
    ) -> AlbumChanged:  # fmt: skip
        return AlbumChanged(
            subject=subject or new_id(), revision=revision, owner_id=owner_id or new_id(), title=title,
            kind="album", artists=(Credit(artist_id=new_id(), name="Ada"),), listed=listed,
        )  # fmt: skip

    return album


@pytest.fixture
def playlist() -> Callable[..., PlaylistChanged]:
    """Makes what playlist says of a playlist."""

    def playlist(
        subject: UUID | None = None, *, owner_id: UUID | None = None, revision: int = 1,
        visibility: str = "public", title: str = "Mix",
    ) -> PlaylistChanged:  # fmt: skip
        return PlaylistChanged.model_validate(
            {
                "subject": subject or new_id(), "revision": revision, "owner_id": owner_id or new_id(),
                "title": title, "visibility": visibility, "item_count": 3,
            }
        )  # fmt: skip

    return playlist


@pytest.fixture
def tracks(client: httpx.AsyncClient, say: Say, track: Callable[..., TrackChanged]) -> Callable[..., object]:
    """Lets catalog publish some public tracks; their ids."""

    async def tracks(count: int, **fields: object) -> list[str]:
        made = [track(title=f"Song {index}", **fields) for index in range(count)]
        await say(*made)
        return [str(event.subject) for event in made]

    return tracks


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> Callable[[], AbstractAsyncContextManager[Unit]]:
    """Opens units whose events stay in the outbox."""
    return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX))
