"""Published by playlist."""

from typing import ClassVar
from uuid import UUID

from antiphon_contracts.event import Event, Visibility


class PlaylistChanged(Event):
    """A playlist exists and looks like this. Only `public` ones are listed or found."""

    type: ClassVar[str] = "playlist.playlist_changed"

    owner_id: UUID
    title: str
    description: str | None = None
    visibility: Visibility
    item_count: int
    cover_id: UUID | None = None


class PlaylistDeleted(Event):
    """A playlist is gone."""

    type: ClassVar[str] = "playlist.playlist_deleted"

    owner_id: UUID
