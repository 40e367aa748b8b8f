"""What can be done to a server of a stack. Every step may be repeated; none leaves a server half started."""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.process import Tree, start, wait_until
from servers.server import Server
from servers.stack import Stack
from servers.trouble import NotInstalled, Trouble

Say = Callable[[str], None]


def state(stack: Stack, server: Server) -> str:
    """`up`, `frozen` or `down`."""
    tree = _tree(stack, server)
    return tree.state if tree else "down"


def up(stack: Stack, server: Server, *, say: Say, cancelled: threading.Event) -> None:
    """Running and answering when this returns; otherwise nothing of it is left running."""
    if why := server.missing(stack):
        raise NotInstalled(
            f"{server.name}: {why} is not installed: python3 tools/servers install {server.name}"
        )
    with stack.lock(server.name):
        tree = _tree(stack, server)
        if tree and tree.state == "frozen":
            tree.thaw()
        if tree and tree.state == "up":
            _wait_until_ready(stack, server, tree, cancelled)
            return
        if tree:
            tree.kill()  # what its dead leader left behind
            server.after(stack)
        stack.check_ports(server.listens)
        server.prepare(stack)
        say(f"{server.name}: starting")
        began = time.monotonic()
        home = stack.home(server.name)
        tree = start(server.launch(stack), directory=home, log=_log(stack, server), file=_file(stack, server))
        try:
            _wait_until_ready(stack, server, tree, cancelled)
        except BaseException:
            tree.kill()
            server.after(stack)
            raise
        say(f"{server.name}: ready after {time.monotonic() - began:.1f} s")


def down(stack: Stack, server: Server, *, say: Say) -> None:
    """Stopped in order; by force when it takes too long."""
    with _running(stack, server) as tree:
        if tree is None:
            return
        tree.thaw()
        tree.send(server.stop_signal)
        if not wait_until(lambda: tree.state == "down", server.stop_seconds):
            say(f"{server.name}: did not stop within {server.stop_seconds:g} s and is killed")
        tree.kill()
        server.after(stack)


def kill(stack: Stack, server: Server) -> None:
    """Gone as by loss of power, all its processes."""
    with _running(stack, server) as tree:
        if tree:
            tree.kill()
            server.after(stack)


def freeze(stack: Stack, server: Server) -> None:
    """Not a process of it moves; its sockets stay open."""
    with _running(stack, server) as tree:
        if tree is None or tree.state == "down":
            raise Trouble(f"{server.name} is not running")
        tree.freeze()


def thaw(stack: Stack, server: Server) -> None:
    """Goes on where it was."""
    with _running(stack, server) as tree:
        if tree is None or tree.state == "down":
            raise Trouble(f"{server.name} is not running")
        tree.thaw()


def wipe(stack: Stack, server: Server) -> None:
    """Killed, and all it kept deleted."""
    with _running(stack, server) as tree:
        if tree and tree.state != "down":
            tree.thaw()
            # Postgres gives back its shared memory only when it is told to end
            tree.send(signal.SIGQUIT if server.name == "postgres" else signal.SIGKILL)
            wait_until(lambda: tree.state == "down", 5)
        if tree:
            tree.kill()
            server.after(stack)
        shutil.rmtree(stack.directory / server.name, ignore_errors=True)


def _wait_until_ready(stack: Stack, server: Server, tree: Tree, cancelled: threading.Event) -> None:
    def settled() -> bool:
        return cancelled.is_set() or tree.state == "down" or server.is_ready(stack)

    in_time = wait_until(settled, server.seconds)
    if cancelled.is_set():
        raise Trouble(f"{server.name}: interrupted")
    if tree.state == "down" or not in_time:
        what = "did not answer in time" if tree.state != "down" else "ended at once"
        raise Trouble(f"{server.name} {what}; {_last_words(_log(stack, server))}")


def _last_words(log: Path) -> str:
    lines = [
        line for line in log.read_text(errors="replace").splitlines() if line[:1].strip()
    ]  # no stack trace
    return f"{lines[-1].strip()[:200]} (all of it: {log})" if lines else f"it said nothing in {log}"


@contextmanager
def _running(stack: Stack, server: Server) -> Iterator[Tree | None]:
    """The server's tree, if it was ever started, under the server's lock."""
    with stack.lock(server.name):
        yield _tree(stack, server)


def _tree(stack: Stack, server: Server) -> Tree | None:
    return Tree.read(_file(stack, server))


def _file(stack: Stack, server: Server) -> Path:
    return stack.directory / f"{server.name}.pid"


def _log(stack: Stack, server: Server) -> Path:
    return stack.directory / f"{server.name}.log"
