"""Processes to start, and none left over."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from antiphon_common.testing.processes import Process
from antiphon_common.testing.warm import Warm, warm


@pytest.fixture(scope="module")
def programs() -> Iterator[Warm]:
    with warm("antiphon_user.app", "antiphon_common.cli", "antiphon_common.db.migrations") as programs:
        yield programs


@pytest.fixture
def new_process(tmp_path: Path, programs: Warm) -> Callable[..., Process]:
    """Makes a process that has not been started, with these variables beside the usual ones."""
    return partial(Process, "user", tmp_path, programs)


@pytest.fixture
def process(new_process: Callable[..., Process]) -> Iterator[Process]:
    process = new_process()
    assert process.run("migrate").returncode == 0
    yield process
    if process.running and process.running.poll() is None:
        process.running.kill()
        process.running.wait()
