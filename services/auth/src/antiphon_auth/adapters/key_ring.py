"""The signing keys: next, current and previous, in one private file.

The next key is published long before it signs, the previous one an hour after it has stopped, so a rotation
refuses nobody. Where this process makes its own secrets it rotates every thirty days; everywhere it notices
when the file was replaced.
"""

import asyncio
import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from structlog.typing import FilteringBoundLogger

from antiphon_auth.adapters.secret_files import (
    MIN_BYTES,
    REFRESH_SECRET,
    SIGNING_KEYS,
    check_secrets,
    make_refresh_secret,
    read_refresh_secret,
    read_signing_keys,
    write_private,
)
from antiphon_common.clock import Clock
from antiphon_common.lifecycle import Loop

ROTATE_AFTER = timedelta(days=30)
PREVIOUS_KEPT = timedelta(hours=1)
_LOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Key:
    """One Ed25519 key: its published id and its 32-byte seed."""

    kid: str
    seed: bytes

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key (RFC 8037)."""
        x = base64.urlsafe_b64encode(self.private.public_key().public_bytes_raw()).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "alg": "EdDSA", "use": "sig", "x": x}


@dataclass(frozen=True, slots=True)
class Ring:
    """The three places and when they last moved."""

    current: Key
    next: Key
    previous: Key | None
    rotated_at: datetime

    def published(self, now: datetime) -> list[Key]:
        """The keys that tokens may be signed with now, soon, or were a moment ago."""
        keys = [self.current, self.next]
        if self.previous and now < self.rotated_at + PREVIOUS_KEPT:
            keys.append(self.previous)
        return keys


class KeyRing:
    """The keys of a running service and the refresh secret beside them; `Keys` for a `Verifier`."""

    def __init__(self, directory: Path, *, create: bool, clock: Clock, log: FilteringBoundLogger) -> None:
        self._directory = directory
        self._create = create
        self._clock = clock
        self._log = log
        self._loop = Loop("key-ring", self.look, interval=_LOOK_SECONDS, log=log)
        self._ring: Ring | None = None
        self._public: dict[str, Ed25519PublicKey] = {}
        self._stamp = 0
        self._refresh_secret = b""

    async def start(self) -> None:
        """Read the secrets, making them first where that is wanted. Raises `BadSecret`."""
        await asyncio.to_thread(self._open)
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """The public key, or none when we do not publish it."""
        if kid not in {key.kid for key in self.ring.published(self._clock.now())}:
            return None
        return self._public[kid]

    def published(self) -> list[dict[str, str]]:
        """The JWKS: current, next, and for a while previous."""
        return [key.jwk for key in self.ring.published(self._clock.now())]

    @property
    def ring(self) -> Ring:
        if self._ring is None:
            raise RuntimeError("the key ring was not started")
        return self._ring

    @property
    def refresh_secret(self) -> bytes:
        if not self._refresh_secret:
            raise RuntimeError("the key ring was not started")
        return self._refresh_secret

    async def look(self) -> None:
        """Take over a replaced file, and rotate when it is time and ours to do."""
        await asyncio.to_thread(self._look)

    def _open(self) -> None:
        if self._create:
            self._make_missing()
        check_secrets(self._directory, may_be_missing=False)
        self._load()

    def _make_missing(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            keys, refresh = self._directory / SIGNING_KEYS, self._directory / REFRESH_SECRET
            if not keys.exists():
                now = self._clock.now()
                _write(keys, Ring(current=_new_key(), next=_new_key(), previous=None, rotated_at=now))
            if not refresh.exists():
                write_private(refresh, make_refresh_secret())

    def _load(self) -> None:
        path = self._directory / SIGNING_KEYS
        self._stamp = path.stat().st_mtime_ns
        self._use(_read(path))
        self._refresh_secret = read_refresh_secret(self._directory / REFRESH_SECRET)

    def _use(self, ring: Ring) -> None:
        keys = [ring.current, ring.next] + ([ring.previous] if ring.previous else [])
        self._public = {key.kid: key.private.public_key() for key in keys}
        self._ring = ring

    def _look(self) -> None:
        path = self._directory / SIGNING_KEYS
        if path.stat().st_mtime_ns != self._stamp:
            self._load()
            self._log.info("signing_keys_loaded", current=self.ring.current.kid)
        if not self._create or self._clock.now() - self.ring.rotated_at < ROTATE_AFTER:
            return
        with self._locked():
            ring = _read(path)
            # Another process of this service may have been first.
            if self._clock.now() - ring.rotated_at >= ROTATE_AFTER:
                now = self._clock.now()
                _write(path, Ring(current=ring.next, next=_new_key(), previous=ring.current, rotated_at=now))
        self._load()
        self._log.info("signing_keys_rotated", current=self.ring.current.kid)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Private like its neighbours, so that nothing in this directory needs an explanation.
        descriptor = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _new_key() -> Key:
    return Key(secrets.token_hex(8), secrets.token_bytes(MIN_BYTES))


def _read(path: Path) -> Ring:
    document = read_signing_keys(path)

    def key(place: str) -> Key | None:
        slot = document[place]
        return Key(slot["kid"], base64.urlsafe_b64decode(slot["seed"])) if isinstance(slot, dict) else None

    current, following = key("current"), key("next")
    assert current is not None
    assert following is not None
    rotated_at = datetime.fromisoformat(str(document["rotated_at"]))
    return Ring(current=current, next=following, previous=key("previous"), rotated_at=rotated_at)


def _write(path: Path, ring: Ring) -> None:
    def slot(key: Key | None) -> dict[str, str] | None:
        return {"kid": key.kid, "seed": base64.urlsafe_b64encode(key.seed).decode()} if key else None

    document = {
        "rotated_at": ring.rotated_at.isoformat(),
        "current": slot(ring.current),
        "next": slot(ring.next),
        "previous": slot(ring.previous),
    }
    write_private(path, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
