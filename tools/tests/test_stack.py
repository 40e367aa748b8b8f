"""The stack without Docker: its listen ports, its secrets, and how it says no."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from stack import accounts, commands, edge, environment, listing, own_servers, ports, starting, supervision
from stack.house import MOST_INSTANCES, PROCESSES, House, StackError
from stack.own_servers import are_wanted
from stack.passwords import edge_secret, passwords
from stack.servers import Servers

SERVERS = Servers(
    "postgresql+asyncpg://admin:top-secret@db.example:5432/postgres",
    "redis://:top-secret@127.0.0.1:6379/0",
    "amqp://admin:top-secret@127.0.0.1:5672/",
    "http://admin:top-secret@127.0.0.1:15672/api",
    "http://127.0.0.1:9200",
    "s3://admin:top-secret@?endpoint=http://127.0.0.1:7070&region=us-east-1",
)


def stack(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command, as an operator runs it."""
    told = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return subprocess.run(
        [sys.executable, str(root / "tools" / "stack"), *arguments], env={**told, **environ},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "run" / "environment").mkdir(parents=True)
    return House(tmp_path, 8080)


def test_every_process_and_instance_has_listen_ports_of_its_own(tmp_path: Path) -> None:
    taken: list[int] = []
    for port in (8080, 8090):
        many = House(tmp_path, port, instances=dict.fromkeys(PROCESSES, 2))
        taken += [port, *(p.port for p in many.processes()), *(p.metrics_port for p in many.processes())]
    assert len(taken) == len(set(taken)), "two stacks ten ports apart disturb each other"
    first = House(tmp_path, 8080, instances={"catalog": MOST_INSTANCES})
    assert [(p.name, p.port) for p in first.processes("catalog")][:2] == [
        ("catalog", 8085),
        ("catalog-2", 8125),
    ]


def test_each_process_is_told_its_own_secrets_and_nobody_elses(house: House) -> None:
    secrets = passwords(house)
    assert len(set(secrets.values())) == len(PROCESSES)
    assert secrets == passwords(house), "made once"
    assert stat.S_IMODE(house.secrets("passwords.json").stat().st_mode) == 0o600
    for process in house.processes():
        told = str(environment.environment(house, SERVERS, process))
        assert secrets[process.kind] in told
        others = {kind: secret for kind, secret in secrets.items() if kind != process.kind}
        assert not [kind for kind, secret in others.items() if secret in told]
        if process.kind not in ("gateway", "file", "stream"):
            assert "top-secret" not in told, "a server's administrator is none of its business"


def test_settings_of_the_operator_win_and_reach_only_their_process(tmp_path: Path) -> None:
    environ = {"CATALOG_LOG_LEVEL": "debug", "GATEWAY_RATES": "{}", "HOME": "/nowhere"}
    overrides = environment.overrides(environ)
    assert overrides == {"CATALOG_LOG_LEVEL": "debug", "GATEWAY_RATES": "{}"}
    house = House(tmp_path, 8080, overrides={**overrides, "CATALOG_PORT": "1"})
    catalog = environment.environment(house, SERVERS, next(house.processes("catalog")))
    assert (catalog["CATALOG_LOG_LEVEL"], catalog["CATALOG_PORT"]) == ("debug", "1")
    assert "GATEWAY_RATES" not in catalog


def test_only_what_a_process_is_told_of_itself_makes_it_start_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.write_environments(house, SERVERS) == []
    for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"):
        monkeypatch.setenv(name, "/somewhere/else")
    assert commands.write_environments(house, SERVERS) == []
    louder = replace(house, overrides={"CATALOG_LOG_LEVEL": "debug"})
    assert commands.write_environments(louder, SERVERS) == ["catalog"]


def test_of_kinds_with_new_settings_one_instance_stands_while_another_starts(tmp_path: Path) -> None:
    house = House(tmp_path, 8080, instances={"catalog": 2})
    assert commands.turns(house, []) == []
    found = commands.turns(house, ["catalog", "search"])
    assert [[process.name for process in turn] for turn in found] == [["catalog", "search"], ["catalog-2"]]


@contextmanager
def answering(statuses: dict[str, int]) -> Iterator[tuple[int, list[str | None]]]:
    """A server for one request, 404 where nothing is named: its port, and the credentials that it is sent."""
    seen: list[str | None] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["authorization"])
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port, seen
        thread.join()


@pytest.mark.parametrize("status", [200, 401, 403])
def test_elasticsearch_is_asked_whether_it_takes_the_user_before_anything_waits_for_it(status: int) -> None:
    with answering({"/": status}) as (port, seen):
        url = f"elasticsearch://me:p%40ss@127.0.0.1:{port}/antiphon"
        with pytest.raises(StackError, match="ELASTICSEARCH_URL") if status == 401 else nullcontext():
            accounts.ask_elasticsearch(url)
    assert seen == ["Basic " + b64encode(b"me:p@ss").decode()]


def test_redis_is_asked_whether_it_takes_the_password_before_anything_waits_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"-WRONGPASS invalid username-password pair\r\n" * 4)
                connection.recv(4096)

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(StackError, match=r"Redis does not let us in: .*username-password"):
            accounts.ask_redis(f"redis://:wrong@127.0.0.1:{listener.getsockname()[1]}/0")
        thread.join()


def test_what_a_process_lacks_is_named_beside_it() -> None:
    lines = [
        listing.Line("gateway", "not ready", "127.0.0.1:1", lacks="cache"),
        listing.Line("auth", "absent", "127.0.0.1:2"),
        listing.Line("user", "running", "127.0.0.1:3"),
    ]
    assert (
        listing.complaint(lines)
        == "gateway is not ready (cache), auth is absent; `make up` starts what does not run"
    )
    assert listing.complaint(lines[2:]) == ""


def test_instances_are_in_the_gateways_and_the_edges_address_lists(tmp_path: Path) -> None:
    house = House(tmp_path, 8080, instances={"catalog": 2, "gateway": 2})
    told = environment.environment(house, SERVERS, next(house.processes("gateway")))
    assert told["GATEWAY_CATALOG_URL"] == "http://127.0.0.1:8085,http://127.0.0.1:8125"
    assert edge.upstreams(house.addresses("gateway")) == "127.0.0.1:8081 max_fails=0; server 127.0.0.1:8121"


def test_the_edge_and_every_gateway_have_one_secret_that_nobody_else_is_told(tmp_path: Path) -> None:
    own = "of-the-operator-" * 3
    for overrides in ({}, {"GATEWAY_EDGE_SECRET": own}):
        house = House(tmp_path, 8080, instances={"gateway": 2}, overrides=overrides)
        secret = edge_secret(house)
        assert (secret == own) is bool(overrides)
        for process in house.processes():
            told = environment.environment(house, SERVERS, process)
            assert told.get("GATEWAY_EDGE_SECRET") == (secret if process.kind == "gateway" else None)
            assert process.kind == "gateway" or secret not in str(told)
    assert len(edge_secret(House(tmp_path, 8080))) == 48
    assert edge_secret(House(tmp_path, 8080)) == edge_secret(House(tmp_path, 8080)), "made once"
    assert stat.S_IMODE(house.secrets("edge").stat().st_mode) == 0o600


def test_no_secret_stands_in_the_supervisors_configuration(house: House) -> None:
    secrets = passwords(house)
    supervision.configure(house)
    text = (house.run / "supervisord.conf").read_text("utf-8")
    assert text.count("[program:") == len(PROCESSES) + 1
    assert not [secret for secret in (*secrets.values(), "top-secret") if secret in text]


def test_what_a_stack_remembers_only_its_owner_may_read(house: House) -> None:
    house.save()
    assert House.load(house.data) == house
    assert stat.S_IMODE((house.data / "stack.json").stat().st_mode) == 0o600
    with pytest.raises(StackError, match="make up"):
        House.load(house.data / "elsewhere")


def test_servers_are_named_all_or_none(root: Path, tmp_path: Path) -> None:
    assert are_wanted({})
    assert not are_wanted({"REDIS_URL": "redis://x"})
    done = stack(
        root, "--data", str(tmp_path / "d"), "up", "--port", "21080", REDIS_URL="redis://127.0.0.1:1"
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "POSTGRES_URL" in done.stderr
    with pytest.raises(StackError, match=r"Redis does not answer at 127\.0\.0\.1:1 "):
        _check_without_redis()


def _check_without_redis() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        there = f"127.0.0.1:{other.getsockname()[1]}"
        Servers(
            f"postgresql://{there}/x", "redis://127.0.0.1:1", f"amqp://{there}", f"http://{there}",
            f"http://{there}", f"s3://?endpoint=http://{there}",
        ).check()  # fmt: skip


def _free() -> int:
    """A PORT whose listen ports nobody uses, below those that the system lends to clients."""
    for first in range(11_000 + os.getpid() % 100 * 200, 32_000, 200):
        wanted = (ports.Wanted("127.0.0.1", first + offset, "", "") for offset in range(200))
        with suppress(StackError):
            ports.check(wanted)
            return first
    raise AssertionError("no free listen ports")


@pytest.mark.parametrize(
    ("offset", "whose", "variable"),
    [(0, "the edge", "PORT= or HOST="), (5, "catalog", "PORT="), (25, "the metrics of catalog", "PORT=")],
)
def test_a_taken_listen_port_is_one_line_that_says_what_to_do(
    root: Path, tmp_path: Path, offset: int, whose: str, variable: str
) -> None:
    first = _free()
    port = first + offset
    with socket.create_server(("127.0.0.1", port)):
        # Without the others of the servers it would get no further, were the listen port not seen.
        done = stack(
            root, "--data", str(tmp_path / "d"), "up", "--port", str(first), REDIS_URL="redis://127.0.0.1:1"
        )
    assert (done.returncode, done.stdout) == (1, ""), "nothing has started"
    assert done.stderr == (
        f"error: cannot listen on 127.0.0.1:{port} ({whose}): Address already in use; choose another by {variable}\n"
    )


def test_a_taken_listen_port_of_a_server_is_known_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _free()
    monkeypatch.setenv("SERVERS_DIR", str(tmp_path / "s"))
    monkeypatch.setenv("SERVERS_PORT", str(first + 150))
    house = House(tmp_path, first, own_servers=True)
    ports.check(ports.of_the_stack(house))
    said = rf"127\.0\.0\.1:{first + 157} \(elasticsearch\): .*; choose another by SERVERS_PORT=$"
    with socket.create_server(("127.0.0.1", first + 157)), pytest.raises(StackError, match=said):
        ports.check(ports.of_the_stack(house))
    assert not (tmp_path / "s").exists(), "another one can still be chosen"


def test_servers_keep_their_listen_ports_when_the_stack_gets_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVERS_DIR", str(tmp_path))
    monkeypatch.delenv("SERVERS_PORT", raising=False)
    first = own_servers.listens(House(tmp_path, 8080))["postgres"]
    assert own_servers.listens(House(tmp_path, 8090))["postgres"] == first + 20
    (tmp_path / "stack.json").write_text(json.dumps({"port": 12345, "password": "x"}))
    assert own_servers.listens(House(tmp_path, 8090))["postgres"] == 12345


def test_a_directory_that_cannot_be_used_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = stack(root, "--data", str(tmp_path / "file" / "d"), "up")
    assert (done.returncode, "DATA=" in done.stderr) == (1, True)
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "catalog.db").write_text("")
    done = stack(root, "--data", str(tmp_path / "embedded"), "up")
    assert (done.returncode, "embedded" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "command", [["ps"], ["logs", "catalog"], ["restart", "catalog"], ["demo"], ["env", "x"]]
)
def test_commands_for_a_stack_that_is_not_there_say_so(
    root: Path, tmp_path: Path, command: list[str]
) -> None:
    done = stack(root, "--data", str(tmp_path), *command)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "make up" in done.stderr
    (tmp_path / "stack.json").write_text(json.dumps({"port": 8080}))
    assert "Traceback" not in stack(root, "--data", str(tmp_path), *command[:1], "nobody").stderr


def test_a_service_that_is_not_there_is_one_line_with_those_that_are(root: Path, house: House) -> None:
    house.save()
    for command in ("restart", "logs"):
        done = stack(root, "--data", str(house.data), command, "nobody")
        assert done.stderr == (
            "error: there is no SERVICE=nobody; there are edge, gateway, auth, user, file, catalog, playlist, "
            "library, stream, search\n"
        )
    assert "is not running" in stack(root, "--data", str(house.data), "restart", "edge").stderr


def test_servers_of_a_stack_are_listed_with_state_and_address(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVERS_DIR", str(house.data))
    monkeypatch.setenv("SERVERS_PORT", "12340")
    born = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    (house.data / "postgres.pid").write_text(f"{os.getpid()} {born}\n")
    (house.data / "redis.pid").write_text(f"{os.getpid()} {int(born) - 1}\n")
    found = {
        line.name: (line.state, line.address) for line in listing.servers(replace(house, own_servers=True))
    }
    assert found["postgres"] == ("up", "127.0.0.1:12340")
    assert found["redis"] == ("down", "127.0.0.1:12341"), "its number belongs to somebody else now"
    assert list(found) == ["postgres", "redis", "rabbitmq", "elasticsearch", "s3"]


def test_servers_of_somebody_else_are_asked_whether_they_take_connections(house: House) -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        at = f"127.0.0.1:{there.getsockname()[1]}"
        replace(SERVERS, postgres_url=f"postgresql://x@{at}/x", redis_url="redis://127.0.0.1:1").save(house)
        found = {line.name: (line.state, line.address) for line in listing.servers(house)}
    assert found["Postgres"] == ("up", at)
    assert found["Redis"] == ("down", "127.0.0.1:1")


def test_a_process_that_runs_and_does_not_answer_is_not_called_running(tmp_path: Path) -> None:
    info = {"statename": "RUNNING", "pid": 0, "now": 5, "start": 2}
    silent = House(tmp_path, 1024)
    lines = listing.processes(silent, {"edge": info, "catalog": info})
    found = {line.name: line.state for line in lines}
    assert (found["edge"], found["catalog"], found["search"]) == ("not ready", "not ready", "absent")


@pytest.mark.parametrize(("status", "said"), [(200, ""), (502, "it answers 502")])
def test_the_edge_is_asked_whether_the_gateway_answers_behind_it(
    tmp_path: Path, status: int, said: str
) -> None:
    with answering({"/healthz": status}) as (port, _):
        house = House(tmp_path, port, host="0.0.0.0")
        assert starting.edge_answers(house) == said
    assert starting.edge_answers(house) == "it does not answer"


def test_each_process_is_named_when_it_is_ready_and_not_when_the_last_one_is(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(
        StackError, match="catalog is not ready: it does not answer; `make logs SERVICE=catalog`"
    ):
        starting.wait_for(
            {"catalog": lambda: "it does not answer", "search": lambda: ""}, say=said.append, seconds=0.3
        )
    assert [line.partition(" after ")[0] for line in said] == ["search: ready"]
