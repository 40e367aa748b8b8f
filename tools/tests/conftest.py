"""The tools are scripts, not a package: their tests find them by path."""

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent
sys.path[:0] = [str(TOOLS), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout these tests are in."""
    return TOOLS.parent
