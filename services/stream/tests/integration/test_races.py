"""Events about the same track that two instances handle at the same moment."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from uuid import UUID

import pytest

from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import idle_relay
from antiphon_common.testing.suites.projections import ProjectionSuite
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_stream.consumers import HANDLERS
from antiphon_stream.ports import Unit
from antiphon_stream.repository import unit_of_work
from antiphon_stream.tables import OUTBOX, TrackRow


def track(subject: UUID, revision: int) -> TrackChanged:
    audio = {
        "blob_key": f"audio/{revision}", "mime": "audio/mpeg", "codec": "mp3", "bytes": 1, "sha256": "0",
        "bitrate": 1, "sample_rate": 44_100, "channels": 2, "duration_ms": 1,
    }  # fmt: skip
    return TrackChanged.model_validate(
        {
            "subject": subject, "revision": revision, "owner_id": new_id(), "upload_id": new_id(),
            "status": "published", "visibility": "public", "title": "T", "artists": [], "audio": audio,
            "created_at": "2026-01-01T00:00:00Z",
        }
    )  # fmt: skip


class TestTracks(ProjectionSuite):
    handlers = HANDLERS
    columns = (TrackRow.revision, TrackRow.deleted)
    gone = partial(TrackDeleted, owner_id=new_id(), upload_id=new_id())

    @pytest.fixture
    def changed(self) -> Callable[..., TrackChanged]:
        return track

    @pytest.fixture
    def open_unit(
        self, database: Database, clock: FixedClock
    ) -> Callable[[], AbstractAsyncContextManager[Unit]]:
        return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX), lambda _: None)
