"""Events in: the same use cases, another door."""

from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.auth import AccountChanged, AccountDeleted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_user.ports import Unit
from antiphon_user.usecases import apply_account, apply_playlist, erase_account, forget_playlist

HANDLERS: Handlers[Unit] = {
    AccountChanged: apply_account,
    AccountDeleted: erase_account,
    PlaylistChanged: apply_playlist,
    PlaylistDeleted: forget_playlist,
}
