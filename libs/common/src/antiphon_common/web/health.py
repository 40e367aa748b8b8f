"""`/healthz` (the process lives) and `/readyz` (what it depends on answers), outside of any policy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from antiphon_common.web.answers import json_answer

Check = Callable[[], Awaitable[object]]
_CHECK_SECONDS = 2.0


def health_router(checks: Mapping[str, Check]) -> APIRouter:
    """The two routes. A check that raises or takes longer than two seconds makes the service not ready."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return json_answer({"status": "ok"})

    @router.get("/readyz")
    async def readyz() -> Response:
        results = await asyncio.gather(*(_passes(check) for check in checks.values()))
        missing = [name for name, ready in zip(checks, results, strict=True) if not ready]
        body = {"status": "not ready" if missing else "ready", "missing": missing}
        return json_answer(body, status=503 if missing else 200)

    return router


async def _passes(check: Check) -> bool:
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except Exception:  # noqa: BLE001 - whatever it is, the dependency is not ready; /readyz names it
        return False
    return True
