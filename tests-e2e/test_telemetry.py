"""What a running platform tells about itself: metrics, traces and logs; and what it never tells."""

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.collector import Collector, Seen, everything_to
from e2e_support.people import PASSWORD, Person
from e2e_support.platform import PlatformProcess
from e2e_support.server_platform import PROCESSES, ServerPlatform
from e2e_support.sharing import collector_port

from antiphon_common.testing.running import eventually

ROOT = Path(__file__).parent.parent
OURS, BROKERS = re.compile(r"\b(antiphon_[a-z0-9_]+)"), re.compile(r"\b(rabbitmq_[a-z0-9_]+)")
ENDS = ("bucket", "sum", "count")
OUTSIDE = "0af7651916cd43dd8448eb211c80319c"


@dataclass(frozen=True, slots=True)
class Watched:
    """A platform that shows everything it can."""

    url: str
    collector: Collector
    metrics: Mapping[str, int]
    logs: Callable[[], str]

    async def exposition(self, service: str) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{self.metrics[service]}/metrics")).text


@pytest.fixture(scope="module")
def watched_embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A platform in one process, with metrics, traces of every request, and logs at debug level."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PROCESSES]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = {name: one.getsockname()[1] for name, one in zip(PROCESSES, sockets, strict=True)}
    with Collector() as collector:
        environment = everything_to(collector.url, PROCESSES)
        environment |= {f"{name.upper()}_METRICS_PORT": str(port) for name, port in ports.items()}
        process = PlatformProcess(tmp_path_factory.mktemp("watched") / "data", environment=environment)

        def logs() -> str:
            files = sorted((process.data / "logs").iterdir())
            return "".join(path.read_text() for path in files) + process.output

        process.start()
        try:
            yield Watched(process.url, collector, ports, logs)
        finally:
            process.stop()


@pytest.fixture(scope="module")
def watched_server(server_platform: ServerPlatform) -> Iterator[Watched]:
    """The platform on real servers, which the tests of all workers use meanwhile."""
    platform = server_platform
    ports = {name: int(platform.environment(name)[f"{name.upper()}_METRICS_PORT"]) for name in PROCESSES}
    with Collector(collector_port(platform.port)) as collector:
        yield Watched(platform.url, collector, ports, platform.logs)


@pytest.fixture(scope="module", params=(os.environ.get("PROFILES") or "embedded,server").split(","))
def watched(request: pytest.FixtureRequest) -> Watched:
    """Both, one after the other."""
    found: Watched = request.getfixturevalue(f"watched_{request.param}")
    return found


@pytest.fixture
async def ada(watched: Watched) -> AsyncIterator[Person]:
    async with Person(watched.url, "Ada") as person:
        await person.register()
        yield person


async def span(collector: Collector, service: str, name: str, parent: str | None = None) -> Seen:
    """The span of that name (below that parent), once it has arrived."""

    async def look() -> list[Seen]:
        return [one for one in collector.find(service, name) if parent is None or one.parent == parent]

    return (await eventually(look, seconds=20))[-1]


async def test_one_upload_is_one_trace_from_the_client_to_the_last_consumer(
    watched: Watched, ada: Person, tmp_path: Path
) -> None:
    audio = make_audio(tmp_path / "one.mp3", title=f"{ada.word} Traced", artist="Ana", album="Tides")
    ada.http.headers["traceparent"] = f"00-{OUTSIDE}-b7ad6b7169203331-00"
    await ada.upload(audio)
    del ada.http.headers["traceparent"]
    seen = watched.collector
    gateway = await span(seen, "gateway", "POST /api/uploads", "b7ad6b7169203331")
    request = await span(seen, "file", "POST /api/uploads", gateway.id)
    analysis = await span(seen, "file", "analyse upload", request.id)
    published = await span(seen, "file", "publish file.upload_ready", analysis.id)
    catalog = await span(seen, "catalog", "consume file.upload_ready", published.id)
    changed = await span(seen, "catalog", "publish catalog.track_changed", catalog.id)
    search = await span(seen, "search", "consume catalog.track_changed", changed.id)
    assert {one.trace for one in (gateway, request, analysis, published, catalog, changed, search)} == {
        OUTSIDE
    }


async def exported(watched: Watched) -> dict[str, set[str]]:
    """The names of the series that each process has or will have: their families are announced before."""
    texts = await asyncio.gather(*(watched.exposition(name) for name in PROCESSES))
    return {name: set(series(text)) for name, text in zip(PROCESSES, texts, strict=True)}


def series(text: str) -> Iterator[str]:
    for family, kind in re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE):
        yield from (f"{family}_{end}" for end in ENDS) if kind == "histogram" else (family,)


async def test_every_process_shows_what_all_have(watched: Watched) -> None:
    for service, names in (await exported(watched)).items():
        everybody = {
            "antiphon_build_info", "antiphon_http_request_seconds_count", "antiphon_ready",
            "antiphon_event_loop_lag_seconds_bucket", "process_resident_memory_bytes",
        }  # fmt: skip
        own = {
            "gateway": {"antiphon_upstream_seconds_bucket", "antiphon_breaker_open"},
            "file": {"antiphon_analysis_seconds_bucket", "antiphon_uploads_total"},
            "search": {"antiphon_index_lag_seconds"},
            "stream": {"antiphon_stream_bytes_total"},
        }
        pool = {"antiphon_database_connections"} if service != "gateway" else set()
        needed = everybody | own.get(service, set()) | pool
        assert needed <= names, f"{service} lacks {needed - names}"


async def test_no_series_grows_with_what_people_do(watched: Watched, ada: Person) -> None:
    for number in range(3):
        await ada.status("GET", f"/api/tracks/01890000-0000-7000-8000-00000000000{number}")
        await ada.status("GET", f"/nothing-{number}")
    for service in PROCESSES:
        text = await watched.exposition(service)
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|nothing-", text), (
            f"an id is in the series of {service}"
        )


async def test_no_log_and_no_span_holds_a_secret(watched: Watched, ada: Person, tmp_path: Path) -> None:
    track_id = await ada.publish(make_audio(tmp_path / "two.mp3", title="Quiet", artist="Ana", album="Tides"))
    address = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[0]["url"]
    ticket = address.partition("?")[2].rpartition("=")[2]
    assert len(ticket) > 20
    await ada.http.get(address, headers={"range": "bytes=0-99"})
    planted = "planted-canary-7f3a"
    async with httpx.AsyncClient(base_url=watched.url) as stranger:
        for headers in ({"authorization": f"Bearer {planted}"}, {"cookie": f"refresh={planted}"}):
            await stranger.get(f"/api/me?token={planted}", headers=headers)
            await stranger.post("/api/auth/refresh", headers=headers, json={"token": planted})
        wrong = {"email": ada.email, "password": planted}
        await stranger.post("/api/auth/login", json=wrong)
        await stranger.get(f"/api/stream/{track_id}?ticket={planted}&st={planted}")
    renewed = await ada.call("POST", "/api/auth/refresh", json={"refresh_token": ada.refresh})
    secrets = [PASSWORD, ada.access, ada.refresh, renewed.json()["refresh_token"], ticket, planted]
    await eventually(lambda: _said(watched, track_id), seconds=10)
    logs, spans = watched.logs(), b"".join(watched.collector.bodies)
    assert '"event":"request"' in logs
    assert all(f'"service":"{name}"' in logs for name in PROCESSES), "each has said something"
    for secret in secrets:
        assert secret not in logs
        assert secret.encode() not in spans


async def _said(watched: Watched, word: str) -> bool:
    return word in watched.logs()


async def test_every_query_of_dashboards_and_alerts_names_what_is_exported(
    watched: Watched, ada: Person, tmp_path: Path
) -> None:
    await ada.publish(make_audio(tmp_path / "three.mp3", title="Counted", artist="Ana", album="Tides"))
    names = set[str]().union(*(await exported(watched)).values())
    assert_asked_for_nothing_else(OURS, names)


async def test_every_query_about_the_broker_names_what_it_exports(server_platform: ServerPlatform) -> None:
    async with httpx.AsyncClient() as client:
        text = (await client.get(server_platform.variables()["RABBITMQ_METRICS"])).text
    assert_asked_for_nothing_else(BROKERS, set(series(text)))
    assert re.search(r'^rabbitmq_queue_messages_ready\{[^}]*queue="search"', text, re.MULTILINE), "each queue"


def assert_asked_for_nothing_else(kind: re.Pattern[str], names: set[str]) -> None:
    """Every series of a kind that dashboards and alerts name is one of these, and they name some."""
    asked = 0
    for path in sorted((ROOT / "deploy" / "observability").rglob("*")):
        if path.suffix in (".yml", ".yaml", ".json"):
            used = set(kind.findall(path.read_text()))
            assert used <= names, f"{path.name} asks for {sorted(used - names)}"
            asked += len(used)
    assert asked
