"""Events in: the same use cases, another door."""

from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import AlbumChanged, AlbumDeleted, TrackChanged, TrackDeleted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.stream import AudioServed
from antiphon_library.ports import Unit
from antiphon_library.usecases import (
    apply_album,
    apply_credit,
    apply_playlist,
    apply_track,
    erase_account,
    forget_album,
    forget_playlist,
    forget_track,
)

HANDLERS: Handlers[Unit] = {
    AccountDeleted: erase_account,
    AlbumChanged: apply_album,
    AlbumDeleted: forget_album,
    AudioServed: apply_credit,
    PlaylistChanged: apply_playlist,
    PlaylistDeleted: forget_playlist,
    TrackChanged: apply_track,
    TrackDeleted: forget_track,
}
