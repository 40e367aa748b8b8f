"""Whom the processes run as: nobody else for an ordinary user; for root the account that runs the servers.

What they are told and the servers' passwords stay root's alone (launch.py reads them before it gives up its
rights); of the data directory the account gets the secrets that auth and stream make themselves.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from servers import process
from servers.trouble import Trouble

from stack.house import PROCESSES, ROOT, House, StackError

_OF_THE_ACCOUNT = ("auth", "stream")
_CODE = (ROOT / "libs", ROOT / "gateway", ROOT / "services")


def choose(house: House) -> str:
    """The account's name; empty for whoever asks.

    Where the account cannot reach Python, the code or the data, root runs them itself, and is told why.
    """
    try:
        account = process.account()
    except Trouble as trouble:
        raise StackError(str(trouble)) from trouble
    if account is None:
        return ""
    if why := unreachable(account, house.data):
        said = f"warning: every process runs as root, because {why}; `make up` as another user does not"
        print(said, file=sys.stderr, flush=True)
        return ""
    return account.pw_name


def unreachable(account: pwd.struct_passwd, data: Path) -> str:
    """What keeps this account from running the processes; empty when nothing does."""
    for place in (data, Path(sys.executable).resolve(), Path(sys.prefix), ROOT):
        for path in (place, *place.parents):
            if not path.stat().st_mode & 0o001:
                above = "" if path == place else f", above {place},"
                return f"{path}{above} is closed to {account.pw_name}"
    modules = ", ".join(("fastapi", "antiphon_common", *(f"antiphon_{kind}" for kind in PROCESSES)))
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"], cwd="/", capture_output=True, text=True, check=False,
        env={}, user=account.pw_uid, group=account.pw_gid, extra_groups=[],
    )  # fmt: skip
    return (
        f"{account.pw_name} cannot run it: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""
    )


def arrange(house: House) -> None:
    """Open the way to what the account must reach, and give it what is its own."""
    if not house.account:
        return
    for path in (house.run, house.secrets("")):
        path.chmod(0o711)
    them = pwd.getpwnam(house.account)
    for service in _OF_THE_ACCOUNT:
        top = house.secrets(service)
        top.mkdir(exist_ok=True, mode=0o700)
        for path in (top, *_below(top)):
            if path.lstat().st_uid != them.pw_uid:
                os.chown(path, them.pw_uid, them.pw_gid, follow_symlinks=False)


def compile_code(house: House) -> None:
    """The account may not write beside the code: its processes would compile all of it at each start."""
    if not house.account:
        return
    code = [str(path) for path in (*_CODE, *(Path(path) for path in sys.path if "site-packages" in path))]
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", *code], capture_output=True, check=False
    )


def _below(top: Path) -> Iterator[Path]:
    # A link is given away itself, never what it points at.
    for path in top.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
