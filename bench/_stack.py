"""A platform to measure, and somebody to use it: the same ones that the journeys use."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests-e2e"))

from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person
from e2e_support.platform import PlatformProcess, antiphon

__all__ = ["PASSWORD", "Person", "PlatformProcess", "antiphon", "make_audio"]
