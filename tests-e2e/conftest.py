"""A platform for the journeys: the one at ANTIPHON_E2E_URL, or an embedded one of our own."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from e2e_support.people import Person
from e2e_support.platform import PlatformProcess


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the gateway answers."""
    given = os.environ.get("ANTIPHON_E2E_URL")
    if given:
        yield given
        return
    platform = PlatformProcess(tmp_path_factory.mktemp("platform") / "data")
    platform.start()
    yield platform.url
    platform.stop()


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
