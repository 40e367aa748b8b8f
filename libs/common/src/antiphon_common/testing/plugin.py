"""Pytest fixtures for every package; the workspace's pytest options load this module."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from antiphon_common.clock import FixedClock
from antiphon_common.testing import isolation
from antiphon_common.testing.containers import Containers
from antiphon_common.testing.databases import database, migrated, template_of, test_postgres
from antiphon_common.testing.proxy import FaultProxy
from antiphon_common.testing.servers import (
    NOT_TESTED,
    Environment,
    PrivateServer,
    Servers,
    Source,
    are_required,
)
from antiphon_common.testing.stacks import Run, Stacks, end
from antiphon_common.testing.tokens import TokenMaker

__all__ = ["database", "migrated", "template_of", "test_postgres"]

_RUN = pytest.StashKey[Run]()
_TOLD = "antiphon_servers"

# A suite's assertions explain themselves like those of a test module.
pytest.register_assert_rewrite("antiphon_common.testing.suites")


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still."""
    return FixedClock()


@pytest.fixture
def tokens(tmp_path: Path) -> TokenMaker:
    """Makes access tokens that a service with `jwks_url=tokens.jwks_url` accepts."""
    return TokenMaker(tmp_path)


@pytest.fixture
def urls(tmp_path: Path, tokens: TokenMaker) -> dict[str, str]:
    """The settings every service needs, for the embedded adapters, in a directory of this test."""
    return {
        "database_url": f"sqlite+aiosqlite:///{tmp_path}/service.db",
        "bus_url": f"inproc://{tmp_path}/bus.db",
        "jwks_url": tokens.jwks_url,
    }


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[Servers]:
    """The real servers of this run."""
    stacks = Stacks(_script(pytestconfig), pytestconfig.stash[_RUN])
    sources: list[Source] = [Environment(os.environ), Containers(), stacks]
    servers = Servers(sources, required=are_required())
    yield servers
    servers.close()


def _place(server: str, make: Callable[..., AbstractContextManager[str]], what: str) -> Any:
    """A fixture: a fresh place on a real server, removed after the test."""

    def place(servers: Servers) -> Iterator[str]:
        with make(*servers.need(server).values()) as url:
            yield url

    place.__doc__ = what
    return pytest.fixture(place)


postgres_url = _place("postgres", isolation.postgres_database, "A fresh database of a real Postgres.")
amqp_url = _place("rabbitmq", isolation.amqp_vhost, "A fresh virtual host of a real RabbitMQ.")
amqp4_url = _place("rabbitmq4", isolation.amqp_vhost, "The same on RabbitMQ 4, which few machines can have.")
redis_url = _place("redis", isolation.redis_database, "An empty database of a real Redis.")
elasticsearch_url = _place("elasticsearch", isolation.elasticsearch_alias, "An alias nobody uses yet.")
s3_url = _place("s3", isolation.s3_bucket, "A fresh bucket of a real object store.")


@pytest.fixture(scope="module")
def private_server(servers: Servers) -> Iterator[Callable[[str], PrivateServer]]:
    """Makes servers for this module alone, to be stopped, killed and frozen: `private_server("redis")`."""
    yield servers.private
    servers.close_private()


@pytest.fixture
async def fault_proxy() -> AsyncIterator[Callable[[str, int], Awaitable[FaultProxy]]]:
    """Makes proxies on the way to a server: `proxy = await fault_proxy(host, port)`."""
    made: list[FaultProxy] = []

    async def make(host: str, port: int) -> FaultProxy:
        made.append(FaultProxy(host, port))
        return made[-1]

    yield make
    for proxy in made:
        await proxy.close()


_ONCE = (
    "once(*profiles): proves no more on the other profile, so a run of one (ANTIPHON_TEST_PROFILE) leaves it "
    "to these; without any it belongs to the profile of its `url`"
)


def pytest_configure(config: pytest.Config) -> None:
    """A worker is told which stack it shares; whoever has no such word began the run."""
    config.addinivalue_line("markers", _ONCE)
    told = getattr(config, "workerinput", {}).get(_TOLD)
    config.stash[_RUN] = Run.from_text(told) if told else Run.begin()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run of one profile leaves out what belongs to another."""
    profile = os.environ.get("ANTIPHON_TEST_PROFILE")
    others = [item for item in items if profile and not _belongs(item, profile)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _belongs(item, profile or "")]


def _belongs(item: pytest.Item, profile: str) -> bool:
    marker = item.get_closest_marker("once")
    if marker is None:
        return True
    # A platform that is given is of any profile.
    wanted = marker.args or (item.callspec.params["url"],)  # type: ignore[attr-defined]
    return bool({profile, "given"} & {*wanted})


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker (xdist) before it starts."""
    node.workerinput[_TOLD] = node.config.stash[_RUN].to_text()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The servers that were started for this run end with it."""
    directory = Path(config.stash[_RUN].directory)
    if directory.exists() and not hasattr(config, "workerinput"):
        end(_script(config), directory)


def _script(config: pytest.Config) -> Path:
    return config.rootpath / "tools/servers"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tests had no server, so that nobody takes a skip for a proof."""
    missing: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, found, which = reason.partition(f"{NOT_TESTED}: ")
        if found:
            missing.setdefault(which, []).append(report.nodeid)
    for which, tests in sorted(missing.items()):
        terminalreporter.section(f"NOT TESTED: {len(tests)} tests, {which}", red=True, bold=True)
        for test in sorted(tests):
            terminalreporter.line(test)
