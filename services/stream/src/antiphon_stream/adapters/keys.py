"""The keys that sign addresses, in one file: `kid base64url` a line, the first one signs, all of them verify.

To rotate, put a new line first; to retire a key, remove its line once the addresses it signed have expired.
A file that is missing, readable by others, or that holds a short or repeated key stops the start.
"""

import base64
import binascii
import os
import re
import secrets
import stat
from pathlib import Path

from antiphon_stream.domain import MIN_KEY_BYTES, KeyRing

FILE = "url-signing.keys"
_KID = re.compile(r"[a-z0-9]{1,16}")
# Group may read (orchestrators hand secrets to a group); nobody else may, and nobody but the owner may write.
_FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_FEWEST_DIFFERENT_BYTES = 8


class BadSecret(ValueError):
    """The key file refuses the start; the text is one sentence for the operator."""


class KeyFile:
    """The key ring of one service, read when it starts."""

    def __init__(self, directory: Path, *, create: bool) -> None:
        self._path = directory / FILE
        self._create = create
        self._ring: KeyRing | None = None

    @property
    def ring(self) -> KeyRing:
        if self._ring is None:
            raise RuntimeError("the key file was not started")
        return self._ring

    async def start(self) -> None:
        if self._create and not self._path.exists():
            _make(self._path)
        self._ring = read_keys(self._path)

    async def stop(self) -> None:
        """Nothing is held."""


def check_keys(directory: Path, *, may_be_missing: bool) -> None:
    """Raise `BadSecret` unless the key file is there (or may be missing) and good."""
    path = directory / FILE
    if path.exists() or not may_be_missing:
        read_keys(path)


def read_keys(path: Path) -> KeyRing:
    """The key ring in a file. Raises `BadSecret`."""
    if not path.exists():
        raise BadSecret(f"{path} is missing; STREAM_CREATE_SECRETS=true makes it on the first run")
    if path.stat().st_mode & _FORBIDDEN_MODE:
        raise BadSecret(f"{path} can be used by others; chmod 600 it")
    keys: dict[str, bytes] = {}
    for line in path.read_text("ascii", "replace").splitlines():
        kid, _, text = line.strip().partition(" ")
        if not kid:
            continue
        if not _KID.fullmatch(kid) or kid in keys:
            raise BadSecret(f"{path}: a key id is repeated or not of a-z and 0-9")
        keys[kid] = _key(path, text)
    if not keys:
        raise BadSecret(f"{path} holds no key")
    if len(set(keys.values())) != len(keys):
        raise BadSecret(f"{path}: two of its keys are the same")
    return KeyRing(next(iter(keys)), keys)


def _key(path: Path, text: str) -> bytes:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadSecret(f"{path}: a key is not base64url text") from error
    if len(key) < MIN_KEY_BYTES or len(set(key)) < _FEWEST_DIFFERENT_BYTES:
        raise BadSecret(f"{path}: a key needs {MIN_KEY_BYTES} random bytes")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = f"k{secrets.token_hex(3)} {secrets.token_urlsafe(MIN_KEY_BYTES)}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
