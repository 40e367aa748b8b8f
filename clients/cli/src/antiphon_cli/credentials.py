"""Where a login is kept between two commands: one file, readable by its owner only."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class Login:
    """A session on one server: the refresh token, which every use replaces."""

    email: str
    refresh_token: str


class Credentials:
    """The logins of this person, one a server."""

    def __init__(self, path: Path | None = None) -> None:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self._path = path or base / "antiphon" / "credentials.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else uses a stored refresh token while the block lasts: each may be used only once."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, server: str) -> Login | None:
        """The login on this server, if there is one."""
        entry = self._read().get(server)
        return Login(**entry) if entry else None

    def save(self, server: str, login: Login) -> None:
        """Keep a login; the file is replaced whole, so that an interruption loses nothing."""
        entries = self._read()
        entries[server] = {"email": login.email, "refresh_token": login.refresh_token}
        self._write(entries)

    def forget(self, server: str) -> None:
        """Drop the login on this server."""
        entries = self._read()
        entries.pop(server, None)
        self._write(entries)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            entries: dict[str, dict[str, str]] = orjson.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return entries

    def _write(self, entries: dict[str, dict[str, str]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(entries, option=orjson.OPT_INDENT_2))
        part.replace(self._path)
