"""Events about the same track that two instances handle at the same moment."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.suites.projections import Projection, ProjectionSuite
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_playlist.consumers import HANDLERS
from antiphon_playlist.ports import Unit
from antiphon_playlist.tables import TrackRow


class TestTracks(ProjectionSuite):
    @pytest.fixture
    def projection(
        self,
        database: Database,
        open_unit: Callable[[], AbstractAsyncContextManager[Unit]],
        track: Callable[..., TrackChanged],
    ) -> Projection:
        gone = partial(TrackDeleted, owner_id=new_id(), upload_id=new_id())
        columns = (TrackRow.revision, TrackRow.deleted)
        return Projection(database, open_unit, HANDLERS, changed=track, gone=gone, columns=columns)
