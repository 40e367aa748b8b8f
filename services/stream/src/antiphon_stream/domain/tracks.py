"""Playable tracks: what stream remembers of the catalogue, and who may hear it."""

from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from antiphon_common.principal import Principal

Variant = Literal["original", "high", "normal", "low"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""The names a client may ask for. Only the original is stored yet, so all of them are answered with it."""


@dataclass(frozen=True, slots=True)
class Track:
    """The audio of a track. `bytes` is its size, `sha256` its digest in hex, `bitrate` in bit/s.

    `deleted` is the tombstone that keeps a late event from reviving a deleted track.
    """

    id: UUID
    revision: int
    owner_id: UUID
    status: str
    visibility: str
    blob_key: str
    mime: str
    bytes: int
    sha256: str
    bitrate: int
    duration_ms: int
    gain_db: float | None
    deleted: bool = False

    @property
    def etag(self) -> str:
        """The strong entity tag: blobs never change, so the digest names the bytes."""
        return f'"{self.sha256}"'


def may_hear(track: Track, *, user_id: UUID, is_admin: bool) -> bool:
    """Published tracks that are not private are for everyone who can name them, the rest for their owner."""
    if track.deleted:
        return False
    if track.status == "published" and track.visibility != "private":
        return True
    return is_admin or track.owner_id == user_id


def heard_by(track: Track, principal: Principal) -> bool:
    """`may_hear` for the holder of a token."""
    return may_hear(track, user_id=principal.user_id, is_admin=principal.is_admin)
