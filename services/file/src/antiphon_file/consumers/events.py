"""Events in: the same use cases, another door."""

from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_file.ports import Unit
from antiphon_file.usecases import apply_track, erase_owner, forget_image_use, forget_track, note_image_use

HANDLERS: Handlers[Unit] = {
    AccountDeleted: erase_owner,
    TrackChanged: apply_track,
    TrackDeleted: forget_track,
    AlbumChanged: note_image_use,
    AlbumDeleted: forget_image_use,
    ArtistChanged: note_image_use,
    ArtistDeleted: forget_image_use,
    PlaylistChanged: note_image_use,
    PlaylistDeleted: forget_image_use,
    ProfileChanged: note_image_use,
}
