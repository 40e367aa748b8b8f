"""Schemathesis over the merged OpenAPI document, all checks on, anonymous and logged in."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person

# `make e2e` tests it on both.
pytestmark = pytest.mark.once

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "6")
# These end the very session that the run is made with.
ENDS_THE_SESSION = "auth/logout|auth/sessions|auth/refresh"
# An access token lives five minutes, so what needs one is tested in parts, each with a token of its own.
MY_OWN = "^/api/(me|auth|playlists|users|plays)"


def schemathesis(url: str, folder: Path, *options: str) -> str:
    """Run it; its report. Fails when it found something."""
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "e2e_support.contract_checks",
        "PYTHONPATH": str(HERE),
        "NO_COLOR": "1",
    }
    # Every check is on unless something switches it off; naming them here would win over schemathesis.toml.
    command = [
        str(Path(sys.executable).parent / "st"), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/api/openapi.json", "--url", url,
        "--exclude-checks", "positive_data_acceptance", "--max-examples", EXAMPLES, "--workers", "1",
        "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-shrink", "--warnings", "off",
        "--suppress-health-check", "all", "--request-timeout", "20", *options,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, check=False, timeout=560
    )
    assert done.returncode == 0, done.stdout[-15_000:] + done.stderr[-3_000:]
    return done.stdout


def counted(report: str) -> tuple[int, int]:
    """How many operations were tested, and with how many requests."""
    operations = re.search(r"Tested: (\d+)", report)
    cases = re.search(r"(\d+) generated", report)
    assert operations, report
    assert cases, report
    return int(operations[1]), int(cases[1])


@pytest.fixture
async def artist(url: str, music: Path) -> AsyncIterator[Person]:
    """A person with something in the catalogue."""
    async with Person(url, "Contract") as person:
        await person.register()
        await person.publish(
            make_audio(music / "c.mp3", title="Contract", artist="Law", album="Terms", genre="Folk")
        )
        yield person


@pytest.mark.timeout(600)
async def test_the_api_keeps_its_contract_with_strangers(url: str, tmp_path: Path) -> None:
    operations, cases = counted(schemathesis(url, tmp_path))
    assert operations >= 90
    assert cases >= 2000


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("part", "least_operations", "least_cases"),
    [
        (("--include-path-regex", MY_OWN, "--exclude-path-regex", ENDS_THE_SESSION), 45, 1500),
        (("--exclude-path-regex", f"{MY_OWN}|{ENDS_THE_SESSION}"), 40, 2500),
    ],
    ids=["what_is_mine", "what_is_everybodys"],
)
async def test_the_api_keeps_its_contract_with_users(
    url: str, artist: Person, tmp_path: Path, part: tuple[str, ...], least_operations: int, least_cases: int
) -> None:
    header = ("--header", f"Authorization: Bearer {artist.access}")
    operations, cases = counted(schemathesis(url, tmp_path, *header, *part))
    assert await artist.status("GET", "/api/me") == 200, "the token ended first: the rest ran as a stranger"
    assert operations >= least_operations
    assert cases >= least_cases
