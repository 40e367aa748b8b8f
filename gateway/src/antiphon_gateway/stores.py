"""Whether the stores of the gateway's own answer: said in the log when that changes, and by `/readyz`.

A store that is away stops nobody (its adapter says what happens instead), so nothing else asks.
"""

from collections.abc import Awaitable, Callable, Mapping

from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import Unavailable


class Stores:
    """The cache and the buckets by name, each with a way to ask."""

    def __init__(
        self, pings: Mapping[str, Callable[[], Awaitable[object]]], *, log: FilteringBoundLogger
    ) -> None:
        self._pings = pings
        self._log = log
        self._missing: dict[str, str] = {}

    @property
    def missing(self) -> list[str]:
        """The names of those that did not answer last."""
        return sorted(self._missing)

    async def look(self) -> None:
        """Ask them all."""
        for name, ping in self._pings.items():
            problem = await _problem(ping)
            if problem == self._missing.get(name, ""):
                continue
            setting = f"GATEWAY_{name.upper()}_URL"
            if problem:
                self._missing[name] = problem
                self._log.warning("store_away", setting=setting, detail=problem)
            else:
                del self._missing[name]
                self._log.info("store_back", setting=setting)


async def _problem(ping: Callable[[], Awaitable[object]]) -> str:
    """Empty when it answers."""
    try:
        await ping()
    except Unavailable as error:
        return error.detail
    return ""
