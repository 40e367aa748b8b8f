"""Events about the same track that two instances handle at the same moment."""

from collections.abc import Callable
from functools import partial

import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.suites.projections import ProjectionSuite
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_playlist.consumers import HANDLERS
from antiphon_playlist.tables import TrackRow


class TestTracks(ProjectionSuite):
    handlers = HANDLERS
    columns = (TrackRow.revision, TrackRow.deleted)
    gone = partial(TrackDeleted, owner_id=new_id(), upload_id=new_id())

    @pytest.fixture
    def changed(self, track: Callable[..., TrackChanged]) -> Callable[..., TrackChanged]:
        return track
