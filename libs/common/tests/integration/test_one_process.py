"""One service as a process of its own: how it starts while servers are away, and how it ends when told to."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from antiphon_common.testing.processes import Process
from antiphon_common.testing.proxy import FaultProxy
from antiphon_common.testing.running import eventually
from antiphon_common.testing.tokens import TokenMaker

HALF_A_REQUEST = (
    b"PATCH /api/me HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
)


async def test_a_process_that_is_told_to_stop_says_so_answers_on_and_ends_well(process: Process) -> None:
    await process.start()
    assert await process.ready() == {"status": "ready", "missing": [], "reasons": {}}
    process.tell(signal.SIGTERM)
    answer = await eventually(lambda: process.get("/readyz"), lambda found: found.status_code == 503)
    assert answer.json()["missing"] == ["stopping"]
    other = await process.get("/healthz")
    assert (other.status_code, other.headers["connection"]) == (200, "close")
    assert await process.ended() == 0
    assert [line["event"] for line in process.said()] == ["started", "stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_runs_is_finished_before_the_end(process: Process, number: signal.Signals) -> None:
    await process.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(HALF_A_REQUEST)
    await writer.drain()
    process.tell(number)
    # It accepts nobody new any more: what it waits for is the request.
    await eventually(process.refuses)
    writer.write(b'"a": 1 }')
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"connection: close" in answer.lower()
    assert await process.ended() == 0
    writer.close()


async def test_who_is_let_in_while_a_process_ends_is_answered(process: Process) -> None:
    await process.start()
    answers: list[bytes] = []

    async def ask_until_refused() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
            except OSError:
                return
            # Whatever happens from here on would be an error for somebody: he may not ask a second time.
            answer = b""
            with contextlib.suppress(OSError):
                writer.write(b"POST /api/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
                answer = await reader.readuntil(b"\r\n")
            answers.append(answer)
            writer.close()

    asking = [asyncio.create_task(ask_until_refused()) for _ in range(16)]
    process.tell(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*asking), 10)
    assert len(answers) > 16
    assert set(answers) == {b"HTTP/1.1 404 Not Found\r\n"}
    assert await process.ended() == 0


async def test_a_request_that_never_ends_does_not_keep_the_process(process: Process) -> None:
    await process.start()
    _, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(HALF_A_REQUEST)
    await writer.drain()
    process.tell(signal.SIGTERM)
    assert await process.ended() == 0
    assert "stopped" in [line["event"] for line in process.said()]
    writer.close()


async def test_a_second_signal_ends_the_process_at_once(process: Process) -> None:
    await process.start()
    _, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(HALF_A_REQUEST)
    await writer.drain()
    process.tell(signal.SIGTERM)
    await eventually(process.ready, lambda found: found["missing"] == ["stopping"])
    began = time.monotonic()
    process.tell(signal.SIGTERM)
    assert await process.ended() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 3, "it waited for the request"
    writer.close()


ENDS_BADLY = """
from contextlib import asynccontextmanager
from antiphon_common.logs import open_log
from antiphon_common.web import serving
import os, signal, sys

async def app(scope, receive, send): ...

@asynccontextmanager
async def life():
    os.kill(os.getpid(), signal.SIGTERM)
    yield
    raise ValueError("a part that does not end")

config = serving.server_config(app, "127.0.0.1", int(sys.argv[1]))
serving.run(config, lifespan=life(), on_stop=lambda: None, delay=0.1, log=open_log("bad"))
"""


def test_a_part_that_does_not_end_well_is_in_the_log_and_in_the_exit_code() -> None:
    command = [sys.executable, "-c", ENDS_BADLY, "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    lines = [orjson.loads(line) for line in ended.stderr.splitlines()]
    assert (ended.returncode, [line["event"] for line in lines]) == (1, ["stopping", "not_stopped_well"])
    assert "a part that does not end" in lines[-1]["exception"]


async def test_a_database_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, new_process: Callable[..., Process]
) -> None:
    nobody = "postgresql+asyncpg://user:secret-word@127.0.0.1:1/antiphon"
    process = new_process(USER_DATABASE_URL=nobody)
    await process.start()
    try:
        found = await process.ready()
        assert "database" in found["missing"]
        assert found["reasons"]["database"] == "database_unavailable"
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
    finally:
        assert process.running
        process.running.kill()
    errors = (tmp_path / "err").read_text()
    assert "Traceback" not in errors
    assert "secret-word" not in errors
    assert process.said(), "every line is one of ours, in JSON"


async def test_a_service_that_never_reached_auth_says_so_and_asks_to_come_again(
    process: Process, tmp_path: Path
) -> None:
    maker = TokenMaker(tmp_path, kid="later")
    published = Path(maker.jwks_url.removeprefix("file://"))
    hidden = published.rename(tmp_path / "hidden")
    process.environment["USER_JWKS_URL"] = maker.jwks_url
    await process.start()
    found = await process.ready()
    assert (found["missing"], found["reasons"]) == (["keys"], {"keys": "keys_unavailable"})
    answer = await process.get("/api/me", maker.bearer())
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
    assert answer.headers["retry-after"] == "1"
    hidden.rename(published)
    await eventually(process.ready, lambda found: found["status"] == "ready")
    assert (await process.get("/api/me", maker.bearer())).status_code != 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root:secret-word@host/x"), ("DATABASE_URL", "amqp://u:secret-word@host/x"),
        ("BUS_URL", "kafka://u:secret-word@host"), ("OTLP_URL", "host:secret-word"), ("METRICS_PORT", "x"),
        ("STOP_DELAY_SECONDS", "60"),
    ],
)  # fmt: skip
def test_a_setting_that_can_never_work_is_named_in_one_line(
    new_process: Callable[..., Process], name: str, value: str
) -> None:
    ended = new_process(**{f"USER_{name}": value}).run("serve")
    said = ended.stderr
    assert (ended.returncode, said.partition(":")[0], said.count("\n")) == (2, f"USER_{name}", 1)
    assert "secret-word" not in said


POSTGRES, STORE = (
    "postgresql+asyncpg://u:secret-word@host",
    "s3://key:secret-word@bucket?endpoint=https://host",
)


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("user", "DATABASE_URL", f"{POSTGRES}:abc/x"), ("user", "DATABASE_URL", f"{POSTGRES}/x?pool_size=x"),
        ("user", "DATABASE_URL", f"{POSTGRES}/x?nonsense=x"), ("user", "DATABASE_URL", f"{POSTGRES}/x?ssl=maybe"),
        ("user", "DATABASE_URL", f"{POSTGRES}/x?sslrootcert=/nope"),
        ("user", "BUS_URL", "amqp://u:secret-word@host:abc/x"),
        ("user", "BUS_URL", "amqps://u:secret-word@host/x?cafile=/nope"),
        ("user", "JWKS_URL", "ftp://u:secret-word@auth/jwks.json"),
        ("search", "INDEX_URL", "elasticsearch://u:secret-word@host:abc/x"),
        ("search", "INDEX_URL", "elasticsearch+https://u:secret-word@host/x?ca=/nope.pem"),
        ("file", "BLOB_URL", f"{STORE}:abc"), ("file", "BLOB_URL", f"{STORE}&ca={__file__}"),
        ("file", "BLOB_URL", f"{STORE}&ca=/nope.pem"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_url_that_can_never_work_is_named_in_one_line(
    tmp_path: Path, new_process: Callable[..., Process], service: str, name: str, value: str
) -> None:
    prefix = service.upper()
    process = new_process(
        **{
            f"{prefix}_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/{service}.db",
            f"{prefix}_BUS_URL": "inproc:", f"{prefix}_JWKS_URL": "file:///dev/null",
            f"{prefix}_BLOB_URL": f"file://{tmp_path}/blobs", f"{prefix}_INDEX_URL": f"tantivy://{tmp_path}/index",
            f"{prefix}_{name}": value,
        },
    )  # fmt: skip
    process.package = f"antiphon_{service}"
    for command in ("serve", "migrate") if name == "DATABASE_URL" else ("serve",):
        ended = process.run(command)
        said = ended.stderr
        expected = (2, f"{prefix}_{name}", 1)
        assert (ended.returncode, said.partition(":")[0], said.count("\n")) == expected, said
        assert "secret-word" not in said


def test_an_address_in_use_is_said_in_one_line(new_process: Callable[..., Process]) -> None:
    process = new_process()
    with socket.socket() as other:
        other.bind(("127.0.0.1", process.port))
        other.listen()
        ended = process.run("serve")
    expected = (
        f"cannot_listen: cannot listen on 127.0.0.1:{process.port}: Address already in use; HOST and PORT"
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith(expected)


async def test_a_cold_start_before_its_servers_becomes_ready_by_itself(
    new_process: Callable[..., Process],
    postgres_url: str,
    amqp_url: str,
    fault_proxy: Callable[[str, int], Awaitable[FaultProxy]],
) -> None:
    """Postgres and RabbitMQ refuse at first; the same process serves once they are there, and ends well."""
    proxies, through = [], []
    for url in (postgres_url, amqp_url):
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        proxy = await fault_proxy(parts.hostname, parts.port)
        proxy.refuse()
        proxies.append(proxy)
        through.append(url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}"))
    process = new_process(USER_DATABASE_URL=through[0], USER_BUS_URL=through[1])
    migrated = new_process(USER_DATABASE_URL=postgres_url).run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    await process.start()
    try:
        assert {"database", "bus", "starting"} <= set((await process.ready())["missing"])
        for proxy in proxies:
            proxy.heal()
        await eventually(process.ready, lambda found: found["missing"] == [], seconds=60)
        process.tell(signal.SIGTERM)
        assert await process.ended() == 0
    finally:
        assert process.running
        process.running.kill()
    said = process.said()
    assert [line["event"] for line in said if line["event"] in ("stopping", "stopped")] == [
        "stopping",
        "stopped",
    ]
    assert not [line for line in said if "exception" in line], "a server that is away is no stack"
    assert len(said) < 30, "and it is said now and then, not all the time"
