"""Events in: the same use cases, another door."""

from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_search import usecases
from antiphon_search.ports import Unit

HANDLERS: Handlers[Unit] = {
    TrackChanged: usecases.apply_track,
    TrackDeleted: usecases.forget_track,
    ArtistChanged: usecases.apply_artist,
    ArtistDeleted: usecases.forget_artist,
    AlbumChanged: usecases.apply_album,
    AlbumDeleted: usecases.forget_album,
    PlaylistChanged: usecases.apply_playlist,
    PlaylistDeleted: usecases.forget_playlist,
    TrackPlaysCounted: usecases.count_plays,
    TrackLikesCounted: usecases.count_likes,
}
