"""A catalog service with its own database, and what other services would tell it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select

from antiphon_catalog.app import create_app
from antiphon_catalog.settings import Settings
from antiphon_catalog.tables import OUTBOX
from antiphon_common.bus import open_bus
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import drained, eventually, publish, running
from antiphon_contracts.event import Event
from antiphon_contracts.file import Audio, UploadReady

MakeUpload = Callable[..., UploadReady]
Tell = Callable[[Sequence[Event]], Awaitable[None]]


@pytest.fixture
def settings(urls: dict[str, str], migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service."""
    urls["database_url"] = migrated("antiphon_catalog")
    return Settings(**urls)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings)) as client:
        yield client


@pytest.fixture
def tell(settings: Settings) -> Tell:
    """Publishes events; waits until the service has taken them, without a dead letter, and told of it."""

    database = Database(settings.database_url)

    async def waiting_outside() -> int:
        async with database.read() as connection:
            return (await connection.execute(select(func.count()).select_from(OUTBOX))).scalar_one()

    async def publish_and_wait(events: Sequence[Event]) -> None:
        await publish(settings.bus_url, events)
        await drained(settings.bus_url, "catalog")
        await eventually(waiting_outside, lambda count: count == 0)
        bus = open_bus(settings.bus_url)
        await bus.start()
        letters = await bus.dead_letters("catalog")
        await bus.stop()
        await database.stop()
        assert not letters, [(letter.type, letter.code, letter.detail) for letter in letters]

    return publish_and_wait


@pytest.fixture
def upload() -> MakeUpload:
    """Makes the event of a ready upload; keywords that are tags go into its tags."""

    def make(
        owner_id: UUID | None = None, *, upload_id: UUID | None = None, revision: int = 1,
        visibility: str = "public", cover_id: UUID | None = None, created_at: datetime | None = None,
        duration_ms: int = 200_000, **tags: object,
    ) -> UploadReady:  # fmt: skip
        audio = Audio(
            blob_key="audio/x", mime="audio/flac", codec="flac", bytes=1000, sha256="0" * 64, bitrate=900_000,
            sample_rate=44_100, channels=2, duration_ms=duration_ms, gain_db=-3.5, peak=0.9,
        )  # fmt: skip
        return UploadReady.model_validate(
            {
                "subject": upload_id or new_id(), "revision": revision, "owner_id": owner_id or new_id(),
                "audio": audio, "tags": {"title": "Song", "artists": ("Ada",), **tags}, "waveform": "AAAA",
                "visibility": visibility, "cover_id": cover_id,
                "dominant_color": "#102030" if cover_id else None,
                "created_at": created_at or datetime(2026, 1, 1, tzinfo=UTC),
            }
        )  # fmt: skip

    return make
