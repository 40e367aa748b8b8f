"""A platform for the journeys: the one at ANTIPHON_E2E_URL, or one of our own on each profile.

Everything that asks for `url` runs twice: on an embedded platform, and on one of nine processes on real servers.
"""

import os
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from e2e_support.people import Person
from e2e_support.platform import PlatformProcess
from e2e_support.server_platform import ServerPlatform
from e2e_support.sharing import shared_platform

from antiphon_common.testing.servers import are_required, not_tested

GIVEN = os.environ.get("ANTIPHON_E2E_URL")
PROFILES = ["given"] if GIVEN else (os.environ.get("PROFILES") or "embedded,server").split(",")

_PLATFORMS = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def platforms(request: pytest.FixtureRequest) -> Iterator[ExitStack]:
    """What a worker's journeys share, ended with them."""
    with ExitStack() as platforms:
        request.session.stash[_PLATFORMS] = platforms
        yield platforms


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """A worker's platforms end with its last journey: an idle one would take from all tests that follow."""
    yield
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        item.session.stash.get(_PLATFORMS, ExitStack()).close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test on real servers waits until five servers and nine processes have started."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if (
            "server" in (params.get("url"), params.get("watched"))
            and item.get_closest_marker("timeout") is None
        ):
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session", params=PROFILES)
def url(request: pytest.FixtureRequest) -> str:
    """Where people reach the platform: the gateway of an embedded one, the edge of the other."""
    return GIVEN or str(request.getfixturevalue(f"url_{request.param}"))


# Fixtures of their own, without parameters: pytest ends a parametrised one whenever the parameter changes.
@pytest.fixture(scope="session")
def url_embedded(platforms: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An embedded platform for all of this worker's tests."""
    platform = PlatformProcess(tmp_path_factory.mktemp("platform") / "data")
    platform.start()
    platforms.callback(platform.stop)
    return platform.url


@pytest.fixture(scope="session")
def server_programs() -> None:
    """What a platform on real servers is started from; without it such tests are skipped, or fail in CI."""
    for program in ("psql", "rabbitmq-server"):
        if not shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
            not_tested(
                f"platform ({program} is not installed; `make servers` installs it)", required=are_required()
            )


@pytest.fixture(scope="session")
def server_platform(
    platforms: ExitStack, server_programs: None, tmp_path_factory: pytest.TempPathFactory
) -> ServerPlatform:
    """A platform on real servers for all workers."""
    base = tmp_path_factory.getbasetemp()
    # A worker's directory is below that of the run.
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return platforms.enter_context(shared_platform(folder))


@pytest.fixture(scope="session")
def url_server(server_platform: ServerPlatform) -> str:
    """Its edge."""
    return server_platform.url


@pytest.fixture
async def ada(url: str) -> AsyncIterator[Person]:
    """A person with an account."""
    async with Person(url, "Ada") as person:
        await person.register()
        yield person


@pytest.fixture
async def bob(url: str) -> AsyncIterator[Person]:
    """Another person with an account."""
    async with Person(url, "Bob") as person:
        await person.register()
        yield person


@pytest.fixture
async def anonymous(url: str) -> AsyncIterator[Person]:
    """Somebody who is not logged in."""
    async with Person(url) as person:
        yield person


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder for music."""
    folder = tmp_path / "music"
    folder.mkdir()
    return folder
