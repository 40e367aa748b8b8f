"""What the supervisor runs: it becomes one process of a stack, as the account that is to run it.

`python launch.py service FILE ACCOUNT KIND ARGUMENT...` reads the environment from a file that only the owner
of the stack may read, so no setting stands on a command line, nor in supervisord's configuration.
`python launch.py edge FILE COMMAND...` becomes nginx. Whoever is launched ends when the supervisor does: a
stack without one would keep its listen ports, and nobody could stop it.
"""

import ctypes
import json
import os
import pwd
import signal
import sys
import time
from pathlib import Path

_PARENT = os.getppid()
_PR_SET_PDEATHSIG = 1
_EDGE = "nginx"
NOBODY_ELSE = "-"


def launch(file: Path, account: str, kind: str, arguments: list[str], *, stays: bool = True) -> None:
    """Replace this process by `python -m antiphon_<kind>` with exactly that environment.

    `account` is empty for whoever runs this, which is the only choice unless root does. Unless it `stays`, it
    is told to end with the process that started it.
    """
    environment = json.loads(file.read_text("utf-8"))
    become(account)
    if not stays:
        _end_with_parent(signal.SIGTERM)
    os.execve(sys.executable, [sys.executable, "-m", f"antiphon_{kind}", *arguments], environment)


def become(account: str) -> None:
    """Give up root's rights for good."""
    if account:
        them = pwd.getpwnam(account)
        os.setgroups([])
        os.setgid(them.pw_gid)
        os.setuid(them.pw_uid)


def launch_edge(file: Path, command: list[str]) -> None:
    """Replace this process by nginx, after ending what an earlier one has left on the listen port."""
    end_edge(file)
    file.write_text(f"{os.getpid()} {_born(os.getpid())}\n", "utf-8")
    _end_with_parent(signal.SIGQUIT)
    os.execv(command[0], command)


def end_edge(file: Path) -> None:
    """Kill every process of the nginx that `file` speaks of.

    Its workers outlive a master that was killed, and go on listening. They share a process group: its number
    is not given away while it has members, and what is none of nginx or was born before it is somebody else.
    """
    try:
        group, born = map(int, file.read_text("utf-8").split())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + 5
    while left := _members(group, born):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            sys.exit(f"processes {left} of an earlier edge cannot be ended")
        time.sleep(0.02)


def _members(group: int, born: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (each := _look(int(path.name))):
            name, state, its_group, its_birth = each
            if (name, its_group) == (_EDGE, group) and its_birth >= born and state not in "ZX":
                found.append(int(path.name))
    return found


def _born(pid: int) -> int:
    seen = _look(pid)
    return seen[3] if seen else 0


def _look(pid: int) -> tuple[str, str, int, int] | None:
    """Its program, state, process group and moment of birth; /proc/<pid>/stat is everybody's to read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    name = text.partition("(")[2].rpartition(")")[0]
    fields = text.rpartition(")")[2].split()
    return name, fields[0], int(fields[2]), int(fields[19])


def _end_with_parent(number: signal.Signals) -> None:
    # After a change of account, which would undo it; an exec keeps it.
    # Whoever was started in the background may have it ignored, and that would be inherited.
    signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != _PARENT:
        sys.exit("the supervisor ended meanwhile")


def command(*words: object) -> list[str]:
    """The command line that runs this file."""
    return [sys.executable, str(Path(__file__)), *map(str, words)]


def _main(words: list[str]) -> None:
    if words[0] == "edge":
        launch_edge(Path(words[1]), words[2:])
    else:
        file, account, kind, *arguments = words[1:]
        launch(Path(file), "" if account == NOBODY_ELSE else account, kind, arguments, stays=False)


if __name__ == "__main__":
    _main(sys.argv[1:])
