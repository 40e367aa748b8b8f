"""What Prometheus finds: bounded labels, fresh numbers or none, and nothing at all where nobody asked for it."""

import asyncio
import subprocess
import sys
import time

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from antiphon_common.clock import SystemClock
from antiphon_common.errors import Conflict, Unavailable
from antiphon_common.metrics import Metrics
from antiphon_common.telemetry import Telemetry
from antiphon_common.testing.running import running
from antiphon_common.testing.suites.outbox import LOG
from antiphon_common.testing.tokens import TokenMaker
from antiphon_common.web.app import service_app
from antiphon_common.web.exposition import Exposition
from antiphon_common.web.identity import Anyone, JwksClient, Verifier


def app_with(telemetry: Telemetry, tokens: TokenMaker) -> FastAPI:
    router = APIRouter()

    @router.get("/things/{thing}")
    async def thing(thing: str, caller: Anyone) -> dict[str, str]:
        return {"thing": thing}

    verifier = Verifier(
        JwksClient(tokens.jwks_url), issuer="antiphon", audience="antiphon", clock=SystemClock()
    )
    return service_app(
        title="x", description="x", deps=None, routers=[router], components=[], checks={},
        verifier=verifier, telemetry=telemetry, log=LOG,
    )  # fmt: skip


async def test_a_route_is_named_by_its_template_and_what_matches_none_shares_one_name(
    tokens: TokenMaker,
) -> None:
    telemetry = Telemetry("x", metrics_at=("127.0.0.1", 0))
    async with running(app_with(telemetry, tokens)) as client:
        for path in ("/things/one", "/things/two", "/secret-one", "/secret-two"):
            await client.get(path)
        await client.request("BREW", "/things/one")
    text = (await telemetry.metrics.exposition()).decode()
    assert (
        'antiphon_http_request_seconds_count{method="GET",route="/things/{thing}",status="2xx"} 2.0' in text
    )
    assert 'antiphon_http_request_seconds_count{method="GET",route="none",status="4xx"} 2.0' in text
    assert 'method="other"' in text
    assert not any(word in text for word in ("secret", "BREW", "things/one"))


async def test_two_apps_of_one_process_count_apart(tokens: TokenMaker) -> None:
    one, other = (Telemetry(name, metrics_at=("127.0.0.1", 0)) for name in "ab")
    async with running(app_with(one, tokens)) as client:
        await client.get("/things/one")
    assert b"/things/{thing}" in await one.metrics.exposition()
    assert b"/things/{thing}" not in await other.metrics.exposition()


async def test_a_probe_that_fails_leaves_its_gauge_out_and_is_counted() -> None:
    metrics, away = Metrics("x", on=True), False

    async def read() -> dict[tuple[str, ...], float]:
        if away:
            raise Unavailable("away")
        return {(): 7.0}

    metrics.probe("antiphon_things", "Things", read)
    assert b"antiphon_things 7.0" in await metrics.exposition()
    away = True
    metrics._probes[0]._asked_at = float("-inf")  # as if five seconds had passed
    text = await metrics.exposition()
    assert b"antiphon_things 7.0" not in text
    assert b'antiphon_probe_failures_total{probe="antiphon_things"} 1.0' in text


async def test_a_probe_is_asked_once_for_all_who_come_within_five_seconds() -> None:
    metrics, asked = Metrics("x", on=True), []

    async def read() -> dict[tuple[str, ...], float]:
        asked.append(1)
        return {(): 1.0}

    metrics.probe("antiphon_things", "Things", read)
    await asyncio.gather(*(metrics.exposition() for _ in range(20)))
    assert len(asked) == 1


async def test_a_probe_that_hangs_delays_nobody_for_more_than_two_seconds() -> None:
    metrics = Metrics("x", on=True)

    async def read() -> dict[tuple[str, ...], float]:
        await asyncio.sleep(60)
        return {}

    metrics.probe("antiphon_things", "Things", read)
    began = time.monotonic()
    assert b"antiphon_probe_failures_total" in await metrics.exposition()
    assert 1.5 < time.monotonic() - began < 3


async def test_the_listen_port_knows_one_path_and_survives_nonsense() -> None:
    part = Exposition(Metrics("x", on=True), host="127.0.0.1", port=0, log=LOG)
    await part.start()
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", part.port)
        writer.write(b"\x00" * 20_000)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{part.port}") as client:
            found, other = await client.get("/metrics"), await client.get("/secrets")
        assert (found.status_code, other.status_code) == (200, 404)
        assert b"antiphon_build_info" in found.content
        writer.close()
        taken = Exposition(Metrics("y", on=True), host="127.0.0.1", port=part.port, log=LOG)
        with pytest.raises(Conflict, match="METRICS_PORT"):
            await taken.start()
    finally:
        await part.stop()


def test_an_app_without_metrics_imports_nothing_of_them() -> None:
    script = (
        "import sys; from antiphon_common.telemetry import Telemetry; t = Telemetry('x');"
        "t.metrics.counter('antiphon_x_total', 'x', 'a').labels('b').inc();"
        "assert not [m for m in sys.modules if 'prometheus' in m or 'otlp' in m]"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
