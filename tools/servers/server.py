"""What a server is to this tool: how it is prepared, launched, asked, stopped; a module for each says it."""

import base64
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from servers.process import Launch
from servers.stack import HOST, Stack


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server. `missing` says what is not installed, in a few words, or nothing."""

    name: str
    listens: tuple[str, ...]
    missing: Callable[[Stack], str]
    prepare: Callable[[Stack], None]
    launch: Callable[[Stack], Launch]
    is_ready: Callable[[Stack], bool]
    variables: Callable[[Stack], Mapping[str, str]]
    seconds: float
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 60
    after: Callable[[Stack], None] = lambda _: None

    def address(self, stack: Stack) -> str:
        return f"{HOST}:{stack.port(self.listens[0])}"


def program(name: str, *patterns: str) -> str:
    """The path of a program: the newest match of a pattern, else by PATH; empty when absent."""
    for pattern in patterns:
        if found := sorted(Path("/").glob(pattern.lstrip("/")), key=_by_numbers):
            return str(found[-1])
    return shutil.which(name) or ""


def environment(home: Path, **more: str) -> dict[str, str]:
    """The whole environment of a server: nothing of the caller's but where programs are."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        **more,
    }


def answers(url: str, *, user: str = "", password: str = "") -> int:
    """The status of a GET; 0 when nobody answers within two seconds."""
    request = urllib.request.Request(url)
    if user:
        request.add_header(
            "authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        )
    # an address on loopback is never a proxy's business
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (0, part)
        for part in path.as_posix().replace("-", "/").replace(".", "/").split("/")
    ]
