"""Who looks: which rows somebody may see."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, true

from antiphon_catalog.tables import TrackRow
from antiphon_common.errors import Unauthenticated
from antiphon_common.principal import Principal


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody, or nobody in particular."""

    user_id: UUID | None = None
    is_admin: bool = False

    @classmethod
    def of(cls, principal: Principal | None) -> "Viewer":
        """The viewer behind a request."""
        return cls(principal.user_id, principal.is_admin) if principal else cls()

    def own(self) -> UUID:
        """Whose things `mine=true` means. Raises `Unauthenticated` when nobody is logged in."""
        if self.user_id is None:
            raise Unauthenticated("login_needed", "Log in to see what is yours.")
        return self.user_id


def readable_track(viewer: Viewer) -> ColumnElement[bool]:
    """What makes a track's own page visible: published and not private, or one's own."""
    if viewer.is_admin:
        return true()
    shared = and_(TrackRow.status == "published", TrackRow.visibility != "private")
    return or_(shared, TrackRow.owner_id == viewer.user_id) if viewer.user_id else shared


def readable(viewer: Viewer, row: Any) -> ColumnElement[bool]:
    """What makes an artist's or album's own page visible: something listed in it, or one's own."""
    if viewer.is_admin:
        return true()
    return or_(row.listed, row.owner_id == viewer.user_id) if viewer.user_id else row.listed
