"""The first run: offers the bootstrap secret in a private file while there is no administrator."""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from antiphon_auth.adapters.secret_files import write_private
from antiphon_auth.ports import Unit
from antiphon_auth.usecases import offer_bootstrap
from antiphon_common.clock import Clock
from antiphon_common.errors import Unavailable

BOOTSTRAP_SECRET = "bootstrap"


class PrivateBootstrapFile:
    """`BootstrapFile` in the directory of the secrets, mode 0600."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / BOOTSTRAP_SECRET

    def write(self, secret: str) -> None:
        write_private(self.path, secret.encode() + b"\n")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class FirstRun:
    """Makes the offer anew at every start that finds no administrator."""

    def __init__(
        self,
        file: PrivateBootstrapFile,
        open_unit: Callable[[], AbstractAsyncContextManager[Unit]],
        *,
        clock: Clock,
        public_origin: str,
        log: FilteringBoundLogger,
    ) -> None:
        self._file = file
        self._open_unit = open_unit
        self._clock = clock
        self._origin = public_origin
        self._log = log

    async def start(self) -> None:
        """A database that is away or a directory that cannot be written only costs the offer."""
        try:
            async with self._open_unit() as unit:
                secret = secrets.token_urlsafe(32)
                if await offer_bootstrap(unit, secret, now=self._clock.now()):
                    # Before the commit: the newest file always belongs to the newest row.
                    self._file.write(secret)
                    self._log.warning("no_administrator_yet", file=str(self._file.path), origin=self._origin)
                else:
                    self._file.remove()
        except (Unavailable, OSError) as error:
            self._log.warning("no_bootstrap_offer", reason=type(error).__name__)

    async def stop(self) -> None:
        """Nothing runs."""
