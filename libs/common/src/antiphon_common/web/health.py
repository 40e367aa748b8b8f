"""`/healthz` (the process lives) and `/readyz` (what it depends on answers), outside of any policy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response
from structlog.typing import FilteringBoundLogger

from antiphon_common.lifecycle import what_is_wrong
from antiphon_common.web.answers import json_answer

Check = Callable[[], Awaitable[object]]
_CHECK_SECONDS = 2.0


class Readiness:
    """What a process lacks. A check that raises or takes longer than two seconds counts as missing.

    The log is told of each change; the route says codes only, because anybody may ask.
    """

    def __init__(self, checks: Mapping[str, Check], *, log: FilteringBoundLogger) -> None:
        self.checks = dict(checks)
        self.stopping = False
        self._log = log
        self._known: dict[str, str] = {}

    def stop(self) -> None:
        """The process was told to end: it is not ready from now on, whatever it could still do."""
        self.stopping = True

    async def missing(self) -> dict[str, str]:
        """What is missing now, each with the code of its reason; empty when nothing is."""
        if self.stopping:
            return {"stopping": "stopping"}
        failures = await asyncio.gather(*(_failure(check) for check in self.checks.values()))
        wrong = {name: what for name, what in zip(self.checks, failures, strict=True) if what}
        self._tell(wrong)
        return self._known

    def _tell(self, wrong: Mapping[str, Mapping[str, str]]) -> None:
        before, self._known = self._known, {name: what["code"] for name, what in wrong.items()}
        for name, code in self._known.items():
            if before.get(name) != code:
                self._log.warning("not_ready", lacks=name, **wrong[name])
        if before and not wrong:
            self._log.info("ready_again")


def health_router(readiness: Readiness) -> APIRouter:
    """The two routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return json_answer({"status": "ok"})

    @router.get("/readyz")
    async def readyz() -> Response:
        missing = await readiness.missing()
        status = "not ready" if missing else "ready"
        body = {"status": status, "missing": list(missing), "reasons": missing}
        return json_answer(body, status=503 if missing else 200)

    return router


async def _failure(check: Check) -> Mapping[str, str]:
    """Its code and what there is to say of it; empty when the check passes."""
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not ready; /readyz names it
        return what_is_wrong(error)
    return {}
