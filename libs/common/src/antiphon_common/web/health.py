"""`/healthz` (the process lives) and `/readyz` (what it depends on answers), outside of any policy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from antiphon_common.errors import ServiceError
from antiphon_common.web.answers import json_answer

Check = Callable[[], Awaitable[object]]
_CHECK_SECONDS = 2.0


class Readiness:
    """What a process lacks. A check that raises or takes longer than two seconds counts as missing."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self.checks = dict(checks)
        self.stopping = False

    def stop(self) -> None:
        """The process was told to end: it is not ready from now on, whatever it could still do."""
        self.stopping = True

    async def missing(self) -> dict[str, str]:
        """What is missing now, each with the code of its reason; empty when nothing is."""
        if self.stopping:
            return {"stopping": "stopping"}
        codes = await asyncio.gather(*(_failure(check) for check in self.checks.values()))
        return {name: code for name, code in zip(self.checks, codes, strict=True) if code}


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


async def _failure(check: Check) -> str:
    """Empty when the check passes."""
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except ServiceError as error:
        return error.code
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not ready; /readyz names it
        return type(error).__name__
    return ""
