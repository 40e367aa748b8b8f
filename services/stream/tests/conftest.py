"""A stream service with its own database and blobs, for the tests of this folder."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from antiphon_common.ids import new_id
from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import drained, publish, running
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_stream.app import create_app
from antiphon_stream.settings import Settings

AUDIO = bytes(range(256)) * 4096  # 1 MiB: four blocks
OWNER = UUID("01900000-0000-7000-8000-000000000001")


class Catalogue:
    """Speaks for catalog: tracks appear, change and go."""

    def __init__(self, settings: Settings, blobs: Path) -> None:
        self._settings = settings
        self._blobs = blobs

    def store(self, key: str, data: bytes) -> None:
        path = self._blobs / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def blob(self, track_id: UUID) -> Path:
        return self._blobs / f"audio/{track_id.hex}"

    async def track(
        self,
        track_id: UUID | None = None,
        *,
        revision: int = 1,
        data: bytes = AUDIO,
        duration_ms: int = 100_000,
        **changes: object,
    ) -> UUID:
        track_id = track_id or new_id()
        key = f"audio/{track_id.hex}"
        if not self.blob(track_id).exists():
            self.store(key, data)
        audio = {
            "blob_key": key, "mime": "audio/mpeg", "codec": "mp3", "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(), "bitrate": 320_000, "sample_rate": 44_100, "channels": 2,
            "duration_ms": duration_ms, "gain_db": -3.5,
        }  # fmt: skip
        event = TrackChanged.model_validate(
            {
                "subject": track_id, "revision": revision, "owner_id": OWNER, "upload_id": new_id(),
                "status": "published", "visibility": "public", "title": "T", "artists": [], "audio": audio,
                "created_at": "2026-01-01T00:00:00Z", **changes,
            }
        )  # fmt: skip
        await self.says(event)
        return track_id

    async def deletes(self, track_id: UUID, *, revision: int = 9) -> None:
        await self.says(TrackDeleted(subject=track_id, revision=revision, owner_id=OWNER, upload_id=new_id()))

    async def says(self, *events: TrackChanged | TrackDeleted) -> None:
        await publish(self._settings.bus_url, events)
        await drained(self._settings.bus_url, "stream")


@pytest.fixture
def settings(urls: dict[str, str], tmp_path: Path, migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service."""
    urls["database_url"] = migrated("antiphon_stream")
    (tmp_path / "blobs").mkdir()
    return Settings(
        **urls, blob_url=f"file://{tmp_path}/blobs", create_secrets=True, secrets_dir=tmp_path / "secrets"
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(app) as client:
        yield client


@pytest.fixture
async def catalogue(client: httpx.AsyncClient, settings: Settings, tmp_path: Path) -> Catalogue:
    """Catalog's voice; the service is running."""
    return Catalogue(settings, tmp_path / "blobs")


@pytest.fixture
def audio() -> bytes:
    return AUDIO


@pytest.fixture
def owner() -> UUID:
    return OWNER
