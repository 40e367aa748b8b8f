"""Events in: the same use cases, another door."""

from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_playlist.ports import Unit
from antiphon_playlist.usecases import apply_profile, apply_track, erase_account, forget_track

HANDLERS: Handlers[Unit] = {
    AccountDeleted: erase_account,
    ProfileChanged: apply_profile,
    TrackChanged: apply_track,
    TrackDeleted: forget_track,
}
