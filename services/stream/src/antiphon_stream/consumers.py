"""Events in: the same use cases, another door."""

from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_stream import usecases
from antiphon_stream.ports import Unit

HANDLERS: Handlers[Unit] = {
    TrackChanged: usecases.apply_track,
    TrackDeleted: usecases.forget_track,
}
