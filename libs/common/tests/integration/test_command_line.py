"""The command line that every service has, as a person at a terminal meets it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import pytest

from antiphon_common.bus import Envelope
from antiphon_common.clock import SystemClock
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.bus import opened
from antiphon_common.testing.suites.events import Changed, changed
from antiphon_common.testing.warm import Warm, warm


class Terminal:
    """Runs `python -m antiphon_user` with the settings of one directory."""

    def __init__(self, folder: Path, programs: Warm) -> None:
        self.folder = folder
        self.programs = programs
        self.bus_url = f"inproc://{folder}/bus.db"
        self.environment = {
            "PATH": os.environ["PATH"],
            "USER_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/user.db",
            "USER_BUS_URL": self.bus_url,
            "USER_JWKS_URL": "file:///dev/null",
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        everything = {**self.environment, **environment}
        return self.programs.run("antiphon_user", arguments, everything, folder=self.folder)

    def json(self, *arguments: str) -> Any:
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return orjson.loads(ended.stdout)


@pytest.fixture(scope="module")
def programs() -> Iterator[Warm]:
    with warm("antiphon_user.app", "antiphon_common.cli") as programs:
        yield programs


@pytest.fixture
def terminal(tmp_path: Path, programs: Warm) -> Terminal:
    return Terminal(tmp_path, programs)


@pytest.fixture(params=["inproc", "amqp"])
def terminal_of_each_bus(request: pytest.FixtureRequest, terminal: Terminal) -> Terminal:
    if request.param == "amqp":
        terminal.bus_url = terminal.environment["USER_BUS_URL"] = request.getfixturevalue("amqp_url")
    return terminal


async def bury(url: str, *values: str) -> list[str]:
    """Dead letters of a consumer that refuses everything; their ids."""

    async def refuse(_: object) -> None:
        raise RuntimeError

    async with opened(url) as bus:
        await bus.consume("user", [Changed.type], refuse)
        await bus.publish([Envelope.of(changed(value), SystemClock()) for value in values])
        dead = await eventually(lambda: bus.dead_letters("user"), lambda found: len(found) == len(values))
        return [letter.id for letter in dead]


async def test_dead_letters_are_listed_redriven_and_discarded(terminal_of_each_bus: Terminal) -> None:
    terminal = terminal_of_each_bus
    first, second, third = await bury(terminal.bus_url, "a", "b", "c")
    listed = terminal.json("dead-letters", "list", "--consumer", "user")
    assert [(item["id"], item["code"]) for item in listed["items"]] == [
        (letter, "handler_failed") for letter in (first, second, third)
    ]
    assert terminal.json("dead-letters", "discard", "--consumer", "user", "--id", second) == {"discarded": 1}
    assert terminal.json("dead-letters", "redrive", "--consumer", "user") == {"redriven": 2}
    async with opened(terminal.bus_url) as bus:
        assert (await bus.depth("user"), await bus.dead_letters("user")) == (2, [])


async def test_a_dead_letter_that_is_not_there_is_an_error(terminal_of_each_bus: Terminal) -> None:
    terminal = terminal_of_each_bus
    first, second = await bury(terminal.bus_url, "a", "b")
    for action in ("redrive", "discard"):
        ended = terminal.run("dead-letters", action, "--consumer", "user", "--id", "4711")
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
        assert ended.stderr.startswith("no_such_letter: this is no dead letter of user; ")
    ended = terminal.run("dead-letters", "discard", "--consumer", "user", "--id", "4711", "--id", first)
    assert ended.returncode == 1
    assert ended.stderr.startswith("no_such_letter: 1 of 2 were there and are done, the rest is no dead ")
    listed = terminal.json("dead-letters", "list", "--consumer", "user")
    assert [item["id"] for item in listed["items"]] == [second]


def test_state_is_sent_again_to_one_consumer(terminal_of_each_bus: Terminal) -> None:
    terminal = terminal_of_each_bus
    assert terminal.run("migrate").returncode == 0
    assert terminal.json("republish", "--to", "catalog") == {"consumer": "catalog", "sent": 0}


def test_wrong_settings_are_named_one_by_one(terminal: Terminal) -> None:
    del terminal.environment["USER_BUS_URL"]
    ended = terminal.run("serve", USER_PORT="http")
    assert ended.returncode == 2
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == ["USER_PORT", "USER_BUS_URL"]


@pytest.mark.parametrize("command", ["serve", "migrate", "openapi", "republish", "dead-letters"])
def test_the_help_of_each_command_shows_an_example_and_the_exit_codes(
    terminal: Terminal, command: str
) -> None:
    ended = terminal.run(command, "--help")
    assert ended.returncode == 0
    assert f"python -m antiphon_user {command}" in ended.stdout.partition("examples:")[2]
    assert "exit code: 0 done" in ended.stdout


def test_a_refill_that_fails_says_how_far_it_came_and_is_no_success(
    terminal: Terminal, tmp_path: Path
) -> None:
    assert terminal.run("migrate").returncode == 0
    (tmp_path / "user.db").unlink()
    ended = terminal.run("republish", "--to", "catalog", USER_DATABASE_URL="sqlite+aiosqlite:////dev/null/x")
    assert ended.returncode == 1
    assert "0 events sent to catalog then it failed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_wrong_usage_is_said(terminal: Terminal) -> None:
    ended = terminal.run("dead-letters", "list")
    assert (ended.returncode, "usage:" in ended.stderr) == (2, True)


def test_a_broker_that_is_away_or_refuses_is_a_sentence_and_no_stack(terminal: Terminal) -> None:
    ended = terminal.run(
        "dead-letters", "list", "--consumer", "user", USER_BUS_URL="amqp://user:canary@127.0.0.1:1/antiphon"
    )
    assert (ended.returncode, ended.stderr) == (1, "bus_unavailable: The broker does not answer.\n")


def test_a_login_that_the_broker_refuses_names_the_setting(terminal: Terminal, amqp_url: str) -> None:
    at = urlsplit(amqp_url)
    url = urlunsplit(at._replace(netloc=f"nobody:canary@{at.hostname}:{at.port}"))
    ended = terminal.run("dead-letters", "list", "--consumer", "user", USER_BUS_URL=url)
    assert (ended.returncode, "USER_BUS_URL" in ended.stderr, "canary" in ended.stderr) == (2, True, False)
    assert len(ended.stderr.splitlines()) == 1


def test_a_bus_that_cannot_be_opened_is_a_sentence_and_no_stack(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "bus.db").mkdir()
    ended = terminal.run("dead-letters", "list", "--consumer", "user")
    assert (ended.returncode, ended.stderr) == (1, "bus_unavailable: The bus cannot be read or written.\n")


def test_a_service_that_serves_does_not_load_what_only_migrations_need(terminal: Terminal) -> None:
    script = "import sys, antiphon_user.__main__, antiphon_user.app; sys.exit('alembic' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], env=terminal.environment, check=False)
    assert ended.returncode == 0
