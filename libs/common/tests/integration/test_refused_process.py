"""One service whose server refuses it: at the start it ends with a sentence, later it says one and waits."""

import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from antiphon_common.bus.amqp.link import Link
from antiphon_common.testing.isolation import amqp_vhost
from antiphon_common.testing.processes import Process
from antiphon_common.testing.running import eventually
from antiphon_common.testing.servers import Servers

WRONG = "secret-word"


def with_login(url: str, user: str, password: str) -> str:
    at = urlsplit(url)
    return urlunsplit(at._replace(netloc=f"{user}:{password}@{at.hostname}:{at.port}"))


@pytest.mark.parametrize("setting", ["DATABASE_URL", "BUS_URL"])
def test_a_wrong_password_ends_the_start_with_a_line_that_names_the_setting(
    new_process: Callable[..., Process], postgres_url: str, amqp_url: str, setting: str
) -> None:
    right = {"DATABASE_URL": postgres_url, "BUS_URL": amqp_url}[setting]
    wrong = with_login(right, urlsplit(right).username or "", WRONG)
    process = new_process(**{f"USER_{setting}": wrong})
    if setting == "BUS_URL":
        assert process.run("migrate").returncode == 0
    ended = process.run("serve")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert ended.stderr.startswith(f"USER_{setting}: ")
    assert "password" in ended.stderr
    assert WRONG not in ended.stderr


async def test_a_queue_with_other_arguments_ends_the_start_with_a_line_that_names_it(
    new_process: Callable[..., Process], amqp_url: str
) -> None:
    operator = Link(amqp_url, "operator")
    operator.start()
    async with operator.brief() as channel:
        await channel.queue_declare("user", durable=True, arguments={"x-queue-type": "quorum"})
    await operator.stop()
    process = new_process(USER_BUS_URL=amqp_url)
    assert process.run("migrate").returncode == 0
    ended = process.run("serve")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert ended.stderr.startswith("queue_differs: ")
    assert "'user'" in ended.stderr


def test_a_schema_newer_than_the_code_ends_the_start_with_a_line_that_says_so(
    new_process: Callable[..., Process],
) -> None:
    process = new_process()
    assert process.run("migrate").returncode == 0
    with sqlite3.connect(process.folder / "user.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    ended = process.run("serve")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "newer" in ended.stderr


async def test_a_password_that_is_changed_under_a_process_is_said_once_and_waited_for(
    process: Process, new_process: Callable[..., Process], postgres_url: str
) -> None:
    database = urlsplit(postgres_url).path[1:]
    administrator = await asyncpg.connect(postgres_url.replace("+asyncpg", "", 1))

    async def let_in(password: str) -> None:
        await administrator.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
        await administrator.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        )

    role = f"role_{database}"
    await administrator.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first'")
    await administrator.execute(f'ALTER DATABASE "{database}" OWNER TO {role}')
    await administrator.execute(f"GRANT ALL ON SCHEMA public TO {role}")
    try:
        process.environment["USER_DATABASE_URL"] = with_login(postgres_url, role, "first")
        assert process.run("migrate").returncode == 0
        await process.start()
        await eventually(process.ready, is_ready)
        await let_in("second")
        await eventually(process.ready, lambda found: found["reasons"].get("database") == "database_refused")
        await let_in("first")
        await eventually(process.ready, is_ready)
    finally:
        await administrator.execute(f'ALTER DATABASE "{database}" OWNER TO CURRENT_USER')
        await administrator.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        await administrator.execute(f"DROP OWNED BY {role}")
        await administrator.execute(f"DROP ROLE {role}")
        await administrator.close()
    said = [line for line in process.said() if line.get("lacks") == "database"]
    assert said
    assert any(f"refuses the password of the user {role}" in line["detail"] for line in said)
    check_no_stack(process)


async def test_a_virtual_host_that_goes_away_under_a_process_is_said_and_waited_for(
    process: Process, servers: Servers
) -> None:
    with amqp_vhost(*servers.need("rabbitmq").values()) as url:
        process.environment["USER_BUS_URL"] = url
        await process.start()
        await eventually(process.ready, is_ready)
    found = await eventually(process.ready, lambda found: "bus" in found["missing"])
    assert found["reasons"]["bus"].startswith("bus_")
    await eventually(lambda: told(process, "bus"))
    check_no_stack(process)


def is_ready(found: Any) -> bool:
    return found["missing"] == []


async def told(process: Process, check: str) -> list[dict[str, Any]]:
    return [
        line for line in process.said() if line.get("lacks") == check and "virtual host" in line["detail"]
    ]


def check_no_stack(process: Process) -> None:
    said = process.said()
    assert not [line for line in said if "exception" in line], "who is refused has made no mistake"
    assert len(said) < 30, "and it is said now and then, not all the time"
