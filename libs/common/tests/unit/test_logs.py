"""Log lines: one an event, JSON, without secrets, and never a reason to fail."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry


class Log:
    """A logger that writes to a file, and the lines in it."""

    def __init__(self, folder: Path, level: str = "debug") -> None:
        self.file = folder / "logs" / "antiphon.jsonl"
        self.log = open_log("user", level=level, file=self.file)

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.file.read_bytes().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_line_says_when_how_bad_and_who(log: Log) -> None:
    log.log.warning("something_happened", number=7)
    [line] = log.lines()
    assert (line["event"], line["level"], line["service"], line["number"]) == (
        "something_happened",
        "warning",
        "user",
        7,
    )
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "text", ["a\nb", '{"level":"error"}\n{"event":"forged"}', "a\r\nb", "a\u2028b", "\x1b[31m", "\0"]
)
def test_text_of_others_never_makes_a_line_of_its_own(log: Log, text: str) -> None:
    log.log.info(text, path=text, **{"x\ny": text})
    assert log.file.read_bytes().count(b"\n") == 1
    assert log.lines()[0]["path"] == text


@pytest.mark.parametrize(
    "key",
    ["password", "new_password", "Authorization", "access_token", "refreshToken", "client_secret", "set-cookie",
     "url_signature", "sig"],
)  # fmt: skip
def test_secrets_are_redacted_at_any_depth(log: Log, key: str) -> None:
    log.log.info("request", **{key: "hunter2"}, headers={key: "hunter2", "inner": {key: ["hunter2"]}})
    assert b"hunter2" not in log.file.read_bytes()
    assert log.lines()[0]["headers"]["inner"][key] == "[redacted]"


def test_a_bound_secret_is_redacted_too(log: Log) -> None:
    log.log.bind(token="hunter2").info("request")
    assert log.lines()[0]["token"] == "[redacted]"


@pytest.mark.parametrize(
    "value",
    ["\ud800", 2**80, {1: "a"}, {"a": {"\udfff": 1}}, object(), {1, 2}, b"\xff", Path("x"), float("nan")],
)
def test_nothing_that_is_logged_makes_logging_fail(log: Log, value: object) -> None:
    log.log.info("odd", value=value)
    assert log.lines()[0]["event"] == "odd"


def test_an_exception_is_part_of_its_line(log: Log) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.log.exception("failed")
    [line] = log.lines()
    assert "ValueError: first\nsecond" in line["exception"]


def test_a_line_names_the_trace_it_belongs_to(log: Log) -> None:
    with Telemetry("user").span("request", parent=None) as trace:
        log.log.info("inside")
    log.log.info("outside")
    assert [line.get("trace_id") for line in log.lines()] == [trace.trace_id, None]


def test_levels_below_the_chosen_one_are_not_written(tmp_path: Path) -> None:
    log = Log(tmp_path, "warning")
    log.log.info("no")
    log.log.error("yes")
    assert [line["event"] for line in log.lines()] == ["yes"]


def test_two_logs_in_one_process_stay_apart(tmp_path: Path) -> None:
    one, two = Log(tmp_path / "one"), Log(tmp_path / "two", "error")
    one.log.info("a")
    two.log.error("b")
    assert [line["event"] for line in one.lines() + two.lines()] == ["a", "b"]


def test_a_full_disk_makes_no_caller_fail() -> None:
    with pytest.raises(OSError) as full, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")
    assert full.value.errno == errno.ENOSPC
    log = open_log("user", file=Path("/dev/full"))
    log.info("lost")
    log.error("lost", password="x")


async def test_secrets_inside_a_text_are_removed_too(tmp_path: Path) -> None:
    log = open_log("x", file=tmp_path / "log")
    try:
        raise RuntimeError("cannot reach postgresql+asyncpg://user:canary@host/db")
    except RuntimeError:
        log.exception(
            "failed", detail="amqp://u:canary@h/v and Bearer canary.canary", url="redis://:canary@h/0"
        )
    text = (tmp_path / "log").read_text()
    assert "canary" not in text
    assert text.count("[redacted]@") >= 3
    assert "host/db" in text


def test_what_libraries_say_is_one_line_a_minute_and_has_no_stack_when_something_is_away(
    tmp_path: Path,
) -> None:
    script = (
        "import logging, pathlib, sys; from antiphon_common.logs import adopt, open_log\n"
        "adopt(open_log('x', file=pathlib.Path(sys.argv[1])))\n"
        "for number in range(50):\n"
        "    try: raise ConnectionRefusedError('nobody')\n"
        "    except OSError: logging.getLogger('driver').exception('lost %s amqp://u:canary@h', number)\n"
        "try: 1 / 0\n"
        "except ArithmeticError: logging.getLogger('driver').exception('a mistake')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "log")], check=True)
    lost, mistake = (json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    assert (lost["library"], lost["text"], lost["error"], lost["level"]) == (
        "driver", "lost 0 amqp://[redacted]@h", "ConnectionRefusedError", "error"
    )  # fmt: skip
    assert "exception" not in lost
    assert "ZeroDivisionError" in mistake["exception"]
