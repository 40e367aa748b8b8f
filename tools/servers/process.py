"""A server as a tree of processes: started apart from us, known by a file, stopped, frozen and killed whole.

A process is its number and the moment it was born, so that a number used again is never taken for it.
Servers fork, and some of their children begin sessions of their own: the tree is who descends from the
leader or shares its session.
"""

import contextlib
import fcntl
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.trouble import Trouble

_GONE = {"", "Z", "X"}
_ACCOUNT = "antiphon-servers"


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line, its whole environment, and whether it stays root (to change its root directory)."""

    argv: Sequence[str]
    env: Mapping[str, str]
    as_root: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """One process in /proc."""

    state: str
    parent: int
    session: int
    born: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A server that was started: its leader's number and birth, as its file keeps them."""

    pid: int
    born: str

    @classmethod
    def read(cls, path: Path) -> "Tree | None":
        """The tree that the file speaks of; none when there is no file."""
        try:
            pid, born = path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return cls(int(pid), born)

    @property
    def state(self) -> str:
        """`up`, `frozen` or `down`."""
        leader = _look(self.pid)
        if leader is None or leader.born != self.born or leader.state in _GONE:
            return "down"
        return "frozen" if leader.state in {"T", "t"} else "up"

    def members(self) -> set[int]:
        """Everybody in it that lives, the leader's orphans too."""
        seen = {pid: each for pid in _numbers() if (each := _look(pid))}
        leader = seen.get(self.pid)
        if leader and leader.born != self.born:
            return set()  # the number was used again, which it cannot be while our session has a member
        found = {self.pid} | {pid for pid, each in seen.items() if each.session == self.pid}
        while True:
            children = {pid for pid, each in seen.items() if each.parent in found} - found
            if not children:
                break
            found |= children
        return {pid for pid in found if pid in seen and seen[pid].state not in _GONE}

    def send(self, number: signal.Signals) -> None:
        """A signal to the leader alone."""
        send_to(self.pid, number)

    def freeze(self) -> None:
        """Stop everybody; looks again for whoever was just being born."""
        stopped: set[int] = set()
        while fresh := self.members() - stopped:
            for pid in sorted(fresh):
                send_to(pid, signal.SIGSTOP)
            stopped |= fresh

    def thaw(self) -> None:
        for pid in self.members():
            send_to(pid, signal.SIGCONT)

    def kill(self) -> None:
        """End everybody at once, without a word."""
        deadline = time.monotonic() + 30
        while members := self.members():
            for pid in members:
                send_to(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise Trouble(f"processes {sorted(members)} cannot be killed")
            time.sleep(0.01)
        # Postgres takes a leader whose end nobody has noticed yet for one that runs.
        wait_until(self._is_reaped, 5)

    def _is_reaped(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        leader = _look(self.pid)
        return leader is None or leader.born != self.born

    def ended(self, seconds: float) -> bool:
        """Wait until nobody is left; whether that was so in time."""
        return wait_until(lambda: not self.members(), seconds)


def start(launch: Launch, *, directory: Path, log: Path, file: Path) -> Tree:
    """Start a leader of a session of its own, as the account that servers run as; note it in `file`."""
    user = None if launch.as_root else account()
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(
            launch.argv, env=dict(launch.env), cwd=directory, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            user=user and user.pw_uid, group=user and user.pw_gid,
            extra_groups=[] if user else None,
        )  # fmt: skip
    process.returncode = 0  # it outlives us on purpose: nobody shall warn about it
    seen = _look(process.pid)
    tree = Tree(process.pid, seen.born if seen else "0")
    file.write_text(f"{tree.pid} {tree.born}\n")
    return tree


def account() -> pwd.struct_passwd | None:
    """Whom servers run as: nobody else for an ordinary user, an account of their own for root."""
    if os.geteuid() != 0:
        return None
    with Path("/etc/passwd").open() as everybody:
        fcntl.flock(everybody, fcntl.LOCK_EX)  # two that add a user at once spoil each other's work
        if not _is_known(_ACCOUNT):
            command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                raise Trouble(f"cannot make the user {_ACCOUNT}: {made.stderr.strip()}")
    return pwd.getpwnam(_ACCOUNT)


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, directory: Path | None = None) -> None:
    """Run a short command as the servers' account. Raises `Trouble` with the last line it said."""
    user = account()
    done = subprocess.run(
        argv, env=dict(env) if env else None, cwd=directory, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, user=user and user.pw_uid, group=user and user.pw_gid,
        extra_groups=[] if user else None,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Trouble(f"{Path(argv[0]).name}: {said[-1]}")


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Ask until it holds; whether it did in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def by_environment(program: str, variable: str) -> list[int]:
    """Processes of a program whose environment says so, like `NAME=value`."""
    found = []
    for pid in _numbers():
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            wanted = name == program and variable.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(
                b"\0"
            )
        except OSError:
            continue
        found += [pid] if wanted else []
    return found


def works_in(directory: Path) -> bool:
    """Whether a living process has this as its working directory."""
    for pid in _numbers():
        try:
            if Path(f"/proc/{pid}/cwd").readlink() == directory:  # a dead one has none
                return True
        except OSError:
            continue
    return False


def _is_known(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _numbers() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _look(pid: int) -> _Seen | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Seen(fields[0], int(fields[1]), int(fields[3]), fields[19])


def send_to(pid: int, number: signal.Signals) -> None:
    """A signal to one process, if it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise Trouble(f"process {pid} belongs to another user: run as the one who started it") from None
