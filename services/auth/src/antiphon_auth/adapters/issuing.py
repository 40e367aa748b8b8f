"""Makes what clients keep: access tokens (RFC 9068), refresh tokens and device cookies.

A refresh token's successor is a keyed hash of it. So the grace can give the same successor again although
only SHA-256 digests are stored, and neither the database nor the secret alone yields a token.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from antiphon_auth.adapters.key_ring import KeyRing
from antiphon_auth.domain.accounts import Account
from antiphon_auth.domain.sessions import Session
from antiphon_auth.usecases import ACCESS_SECONDS
from antiphon_common.ids import new_id
from antiphon_common.web.identity import ALGORITHM

DEVICE_KNOWN_FOR = timedelta(days=365)


class KeyRingIssuer:
    """`Issuer` with the keys of a `KeyRing`."""

    def __init__(self, ring: KeyRing, *, issuer: str, audience: str, everybody_verified: bool) -> None:
        self._ring = ring
        self._issuer = issuer
        self._audience = audience
        self._everybody_verified = everybody_verified

    def access_token(self, account: Account, session: Session, now: datetime) -> str:
        # "Log out everywhere" kills what was issued up to that second; a new login must not be part of it.
        issued = max(int(now.timestamp()), account.tokens_after + 1)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(account.id),
            "sid": str(session.id),
            "roles": list(account.roles),
            "amr": ["pwd"],
            "auth_time": int(session.created_at.timestamp()),
            "iat": issued,
            "exp": issued + ACCESS_SECONDS,
            "jti": str(new_id()),
            "ver": account.email_verified or self._everybody_verified,
        }
        key = self._ring.ring.current
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid, "typ": "at+jwt"})

    def first_refresh(self) -> str:
        return secrets.token_urlsafe(32)

    def successor(self, token: str) -> str:
        return self._mac("refresh-successor", token)

    def device_cookie(self, user_id: UUID, now: datetime) -> str:
        body = f"{user_id.hex}.{secrets.token_hex(8)}.{int(now.timestamp())}"
        return f"{body}.{self._mac('device', body)}"

    def known_device(self, cookie: str, user_id: UUID, now: datetime) -> str | None:
        body, _, mac = cookie.rpartition(".")
        if not cookie.isascii() or not hmac.compare_digest(mac, self._mac("device", body)):
            return None
        user, device, made = body.split(".")
        fresh = now.timestamp() - int(made) < DEVICE_KNOWN_FOR.total_seconds()
        return device if user == user_id.hex and fresh else None

    def _mac(self, purpose: str, text: str) -> str:
        message = f"{purpose}\0{text}".encode()
        digest = hmac.digest(self._ring.refresh_secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
