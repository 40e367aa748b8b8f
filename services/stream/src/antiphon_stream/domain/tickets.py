"""Tickets: signed permission to hear one variant of one track until a moment, for the URL of an `<audio>`.

A ticket is `kid.payload.mac`. The MAC is HMAC-SHA256 over the key id, the track, the variant and the payload
(state, expiry, user, listen), so none of them can be exchanged. The state is that of the track when it was
signed: see `tracks.opens`. The listen is a fresh id a ticket, which tells repeated requests of one listening
from another listening.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from antiphon_common.errors import Forbidden

MIN_KEY_BYTES = 32
_SHORTEST_LIFE = timedelta(hours=2)
_LIVES = 4
_PAYLOAD = struct.Struct(">BBQ16s16s")
_VERSION = 1
_LONGEST_TICKET = 256


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may listen to what until when. `expires_at` has whole seconds."""

    track_id: UUID
    variant: str
    user_id: UUID
    listen: UUID
    expires_at: datetime
    state: int


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Signing keys by their id: `current` signs, all verify. A retired key is one that is no longer here."""

    current: str
    keys: Mapping[str, bytes]


def expiry(now: datetime, duration_ms: int) -> datetime:
    """Two hours from now, or four times the track's duration if that is longer; whole seconds."""
    life = max(_SHORTEST_LIFE, _LIVES * timedelta(milliseconds=duration_ms))
    return (now + life).replace(microsecond=0)


def sign(ticket: Ticket, ring: KeyRing) -> str:
    """The ticket as text for a URL."""
    expires = int(ticket.expires_at.timestamp())
    payload = _PAYLOAD.pack(_VERSION, ticket.state, expires, ticket.user_id.bytes, ticket.listen.bytes)
    mac = _mac(ring.keys[ring.current], ring.current, ticket.track_id, ticket.variant, payload)
    return f"{ring.current}.{_encode(payload)}.{_encode(mac)}"


def verify(text: str, ring: KeyRing, *, track_id: UUID, variant: str, now: datetime) -> Ticket:
    """The ticket behind a text. Raises `Forbidden` unless we signed exactly this and it has not expired."""
    kid, _, rest = text.partition(".")
    payload_text, _, mac_text = rest.partition(".")
    key = ring.keys.get(kid)
    if key is None or len(text) > _LONGEST_TICKET:
        raise _refused()
    payload, mac = _decode(payload_text), _decode(mac_text)
    if not hmac.compare_digest(mac, _mac(key, kid, track_id, variant, payload)):
        raise _refused()
    version, state, expires, user, listen = _PAYLOAD.unpack(payload)
    if version != _VERSION:
        raise _refused()
    if expires <= now.timestamp():
        raise Forbidden("ticket_expired", "This address has expired; resolve the track again.")
    until = datetime.fromtimestamp(expires, UTC)
    return Ticket(track_id, variant, UUID(bytes=user), UUID(bytes=listen), until, state)


def _mac(key: bytes, kid: str, track_id: UUID, variant: str, payload: bytes) -> bytes:
    signed = b"\0".join((b"antiphon-stream", kid.encode(), track_id.bytes, variant.encode(), payload))
    return hmac.digest(key, signed, hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise _refused() from error
    # The spare bits of the last character must be zero, or one ticket would have several spellings.
    if _encode(raw) != text:
        raise _refused()
    return raw


def _refused() -> Forbidden:
    return Forbidden("invalid_ticket", "This address was not made by us for this track.")
