"""Playable tracks: what stream remembers of the catalogue, and who may hear it."""

from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from antiphon_stream.domain.tickets import Ticket

Variant = Literal["original", "high", "normal", "low"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""The names a client may ask for. Only the original is stored yet, so all of them are answered with it."""

Status = Literal["draft", "published", "withdrawn"]
Visibility = Literal["public", "unlisted", "private"]
_STATUSES: tuple[Status, ...] = get_args(Status)
_VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)


@dataclass(frozen=True, slots=True)
class Track:
    """The audio of a track. `bytes` is its size, `sha256` its digest in hex, `bitrate` in bit/s.

    `deleted` is the tombstone that keeps a late event from reviving a deleted track.
    """

    id: UUID
    revision: int
    owner_id: UUID
    status: Status
    visibility: Visibility
    blob_key: str
    mime: str
    bytes: int
    sha256: str
    bitrate: int
    duration_ms: int
    gain_db: float | None
    deleted: bool = False

    @property
    def is_open(self) -> bool:
        """For everyone who can name it: published and not private."""
        return not self.deleted and self.status == "published" and self.visibility != "private"

    @property
    def state(self) -> int:
        """Status and visibility as one small number."""
        return 3 * _STATUSES.index(self.status) + _VISIBILITIES.index(self.visibility)

    @property
    def etag(self) -> str:
        """The strong entity tag: blobs never change, so the digest names the bytes."""
        return f'"{self.sha256}"'


def may_hear(track: Track, *, user_id: UUID, is_admin: bool) -> bool:
    """Open tracks are for everyone who can name them, the others for their owner and for administrators."""
    if track.deleted:
        return False
    return track.is_open or is_admin or track.owner_id == user_id


def opens(ticket: Ticket, track: Track) -> bool:
    """Whether a ticket still opens a track.

    One for an open track dies when the track is withdrawn or made private, also its owner's: the address may
    have been passed on. One that its owner got for a draft or a private track is good while it stays that.
    """
    return not track.deleted and (track.is_open or ticket.state == track.state)
