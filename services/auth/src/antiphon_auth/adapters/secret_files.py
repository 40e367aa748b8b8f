"""Secrets as files: made on first run where that is wanted, refused when missing or weak everywhere.

There is no fallback. A file that others may read, a secret that is short, known or repeated, a key ring that
cannot be read: each one stops the start with one sentence.
"""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

import orjson

SIGNING_KEYS = "signing-keys.json"
REFRESH_SECRET = "refresh.key"
MIN_BYTES = 32

# Group may read (orchestrators hand secrets to a group); nobody else may, and nobody but the owner may write.
_FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_DEFAULTS = (
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "default",
    "example",
    "antiphon",
    "password",
    "replace",
)


class BadSecret(ValueError):
    """A secret file refuses the start; the text is one sentence for the operator."""


def check_secrets(directory: Path, *, may_be_missing: bool) -> None:
    """Raise `BadSecret` unless every secret in the directory is there (or may be missing) and good."""
    for name, read in ((SIGNING_KEYS, read_signing_keys), (REFRESH_SECRET, read_refresh_secret)):
        path = directory / name
        if path.exists():
            read(path)
        elif not may_be_missing:
            raise BadSecret(f"{path} is missing; AUTH_CREATE_SECRETS=true makes it on the first run")


def read_refresh_secret(path: Path) -> bytes:
    """The bytes of the refresh secret. Raises `BadSecret`."""
    text = _read_private(path).strip()
    if any(word in text.lower().decode("ascii", "replace") for word in _DEFAULTS):
        raise BadSecret(f"{path} holds a default, not a random secret")
    try:
        value = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadSecret(f"{path} is not base64url text") from error
    _check_random(path, value)
    return value


def read_signing_keys(path: Path) -> dict[str, dict[str, str] | str | None]:
    """The key ring's document, with every seed checked. Raises `BadSecret`."""
    try:
        document = orjson.loads(_read_private(path))
        slots = [document["current"], document["next"]] + [document["previous"]] * bool(document["previous"])
        seeds = [base64.urlsafe_b64decode(slot["seed"]) for slot in slots]
        names = {str(slot["kid"]) for slot in slots}
        str(document["rotated_at"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSecret(f"{path} is no key ring; move it away to have a new one made") from error
    for seed in seeds:
        _check_random(path, seed)
        if len(seed) != MIN_BYTES:
            raise BadSecret(f"{path}: a signing key has {MIN_BYTES} bytes")
    if len(names) != len(slots) or len(set(seeds)) != len(slots):
        raise BadSecret(f"{path}: two of its keys are the same")
    kept: dict[str, dict[str, str] | str | None] = document
    return kept


def make_refresh_secret() -> bytes:
    """The text of a new refresh secret: 256 bits."""
    return base64.urlsafe_b64encode(secrets.token_bytes(MIN_BYTES)) + b"\n"


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def _read_private(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadSecret(f"{path} is not a file")
        if status.st_mode & _FORBIDDEN_MODE:
            raise BadSecret(
                f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}); make it 0600"
            )
        return path.read_bytes()
    except OSError as error:
        raise BadSecret(f"{path} cannot be read: {error.strerror}") from error


def _check_random(path: Path, value: bytes) -> None:
    if len(value) < MIN_BYTES:
        raise BadSecret(f"{path} is too short: {len(value)} bytes, {MIN_BYTES} are needed")
    # 32 random bytes with fewer than 16 different values do not happen.
    if len(set(value)) < 16:
        raise BadSecret(f"{path} holds a default, not a random secret")
