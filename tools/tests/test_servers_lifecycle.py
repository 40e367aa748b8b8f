"""Starting and ending in tools/servers, with servers that misbehave: nothing half started, nobody left behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from servers import lifecycle
from servers.process import Launch, Tree
from servers.server import Server
from servers.stack import Stack, open_stack
from servers.trouble import Trouble

from antiphon_common.testing.stacks import Run

FAMILY = "sleep 1000 & setsid sleep 1000 & echo started; exec sleep 1000"


@pytest.fixture
def stack() -> Iterator[Stack]:
    path = Path(tempfile.mkdtemp(prefix="antiphon-tool-", dir="/var/tmp"))
    path.chmod(0o755)
    yield open_stack(
        {"SERVERS_DIR": str(path), "SERVERS_CACHE": str(path), "SERVERS_PORT": str(Run.begin().port)}
    )
    shutil.rmtree(path)


@pytest.fixture
def fake(stack: Stack) -> Iterator[Callable[..., Server]]:
    """Makes a server of a shell command; it is ended after the test."""
    server = Server(
        "fake", (), missing=lambda _: "", prepare=lambda _: None, launch=lambda _: launch("exec sleep 1000"),
        is_ready=lambda _: True, variables=lambda _: {}, seconds=5,
    )  # fmt: skip

    def make(command: str, **changes: object) -> Server:
        return replace(server, launch=lambda _: launch(command), **changes)

    yield make
    lifecycle.kill(stack, server)


def launch(command: str) -> Launch:
    return Launch(["sh", "-c", command], {"PATH": os.environ["PATH"]})


def up(stack: Stack, server: Server, cancelled: threading.Event | None = None) -> Tree:
    lifecycle.up(stack, server, say=lambda _: None, cancelled=cancelled or threading.Event())
    tree = Tree.read(stack.directory / "fake.pid")
    assert tree
    return tree


def after(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_children_with_sessions_of_their_own_belong_to_the_tree(
    stack: Stack, fake: Callable[..., Server]
) -> None:
    tree = up(stack, fake(FAMILY))
    after(lambda: len(tree.members()) == 3)
    lifecycle.kill(stack, fake(FAMILY))
    assert tree.members() == set()


def test_freezing_halts_everybody_and_thawing_lets_them_go_on(
    stack: Stack, fake: Callable[..., Server]
) -> None:
    server = fake(FAMILY)
    tree = up(stack, server)
    after(lambda: len(tree.members()) == 3)
    lifecycle.freeze(stack, server)
    assert {state_of(pid) for pid in tree.members()} == {"T"}
    assert lifecycle.state(stack, server) == "frozen"
    lifecycle.thaw(stack, server)
    after(lambda: {state_of(pid) for pid in tree.members()} == {"S"})


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_server_that_never_answers_is_ended(stack: Stack, fake: Callable[..., Server]) -> None:
    server = fake(FAMILY, is_ready=lambda _: False, seconds=0.3)
    with pytest.raises(Trouble, match="fake did not answer in time; started"):
        up(stack, server)
    tree = Tree.read(stack.directory / "fake.pid")
    assert tree is not None
    assert tree.members() == set()


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(
    stack: Stack, fake: Callable[..., Server]
) -> None:
    with pytest.raises(Trouble, match="fake ended at once; no such setting: x"):
        up(
            stack,
            fake(
                "printf 'no such setting: x\\n\\tat Main.main(Main.java:65)\\n' >&2; exit 1",
                is_ready=lambda _: False,
            ),
        )


def test_an_interruption_ends_what_is_starting(stack: Stack, fake: Callable[..., Server]) -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(Trouble, match="interrupted"):
        up(stack, fake(FAMILY, is_ready=lambda _: False, seconds=60), cancelled)
    tree = Tree.read(stack.directory / "fake.pid")
    assert tree is not None
    assert tree.members() == set()


def test_orphans_of_a_dead_leader_are_ended_before_a_new_start(
    stack: Stack, fake: Callable[..., Server]
) -> None:
    server = fake("sleep 1000 & exec sleep 1000")
    tree = up(stack, server)
    after(lambda: len(tree.members()) == 2)
    os.kill(tree.pid, signal.SIGKILL)
    after(lambda: tree.state == "down")
    assert len(tree.members()) == 1
    assert up(stack, server) != tree
    assert tree.members() == set()


def test_a_server_that_ignores_its_signal_is_killed(stack: Stack, fake: Callable[..., Server]) -> None:
    server = fake("trap '' TERM; echo started; while :; do sleep 0.1; done", stop_seconds=0.3)
    tree = up(stack, server)
    after(lambda: b"started" in (stack.directory / "fake.log").read_bytes())
    said: list[str] = []
    lifecycle.down(stack, server, say=said.append)
    assert tree.members() == set()
    assert "is killed" in said[0]


def test_a_number_that_was_used_again_is_nobody_of_ours(stack: Stack) -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        tree = Tree(stranger.pid, "1")
        try:
            assert tree.state == "down"
            assert tree.members() == set()
            tree.kill()
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_two_commands_at_once_start_one_server(stack: Stack, fake: Callable[..., Server]) -> None:
    starts: list[int] = []
    server = fake("exec sleep 1000", prepare=lambda _: starts.append(1))
    threads = [threading.Thread(target=up, args=(stack, server)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert starts == [1]
