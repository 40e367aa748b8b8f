"""Pytest fixtures for every package; the workspace's pytest options load this module."""

from pathlib import Path

import pytest

from antiphon_common.clock import FixedClock
from antiphon_common.testing.tokens import TokenMaker

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
