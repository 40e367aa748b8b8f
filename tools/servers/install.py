"""Installs what servers need: packages by apt where that is allowed, the rest into the cache, by checksum.

Nothing here starts a system service on purpose; where apt's packages do, they listen elsewhere.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from servers import elasticsearch, rabbitmq, s3
from servers.server import Server
from servers.stack import Stack
from servers.trouble import Trouble

PACKAGES: Mapping[str, Sequence[str]] = {
    "postgres": ("postgresql",), "redis": ("redis-server",), "rabbitmq": ("rabbitmq-server",),
    "rabbitmq4": ("debootstrap",), "elasticsearch": ("default-jre-headless",), "s3": (),
}  # fmt: skip
_APT_OPTIONS = ("-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
_MAVEN = "org.elasticsearch.distribution.integ-test-zip"
_ZIP = f"elasticsearch-{elasticsearch.VERSION}.zip"
_CENTRAL = (
    f"https://repo1.maven.org/maven2/{_MAVEN.replace('.', '/')}/elasticsearch/{elasticsearch.VERSION}/{_ZIP}"
)
_SHA256 = "c3d95992e27741b33a8057118379cda8b17cfda9e46ff4ec25e3f5b94fc22b52"
_TRIES = 3
Say = Callable[[str], None]


def packages(stack: Stack, servers: Sequence[Server], *, say: Say) -> None:
    """The packages of these servers, as far as they are missing, in one go."""
    with _alone(stack, "packages"):
        wanted = [name for server in servers if server.missing(stack) for name in PACKAGES[server.name]]
        wanted = [name for name in wanted if not _is_there(name)]
        if wanted:
            apt(wanted, say=say)


def complete(stack: Stack, server: Server, *, say: Say) -> None:
    """What a server needs besides packages; ends with the server installed, or with `Trouble`."""
    if not server.missing(stack):
        say(f"{server.name}: installed")
        return
    with _alone(stack, server.name):
        if (fetch := _FETCHED.get(server.name)) and server.missing(stack):
            fetch(stack.cache, say)
    if why := server.missing(stack):
        raise Trouble(f"{server.name}: {why} is still not to be found after installing")
    say(f"{server.name}: installed")


@contextmanager
def _alone(stack: Stack, what: str) -> Iterator[None]:
    """One at a time on this machine, whichever stack asks."""
    try:
        stack.cache.mkdir(parents=True, exist_ok=True)
        with (stack.cache / f".{what}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise Trouble(f"{error.filename}: {error.strerror}; set SERVERS_CACHE to another place") from None


def apt(wanted: Sequence[str], *, say: Say) -> None:
    """Install these packages, where that is allowed; none of them starts a service. Raises `Trouble`."""
    by_hand = f"apt-get install --no-install-recommends {' '.join(wanted)}"
    if not shutil.which("apt-get"):
        raise Trouble(
            f"this machine has no apt-get: install what these Debian packages bring: {' '.join(wanted)}"
        )
    become = _become_root()
    if become is None:
        raise Trouble(f"not root, and sudo asks for a password: run `sudo {by_hand}` first")
    # RUNLEVEL=1 keeps the packages from starting services of their own
    apt = [*become, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq", *_APT_OPTIONS]
    say(f"installing {' '.join(wanted)}")
    _retried([*apt, "update"])
    _retried([*apt, "install", "-y", "--no-install-recommends", *wanted])


def _become_root() -> list[str] | None:
    """What to put before a command: nothing for root, sudo where it asks nothing; none when neither."""
    if os.geteuid() == 0:
        return []
    asks_not = shutil.which("sudo") and subprocess.run(
        ["sudo", "-n", "true"], capture_output=True, check=False
    )
    return ["sudo", "-n"] if asks_not and asks_not.returncode == 0 else None


def _is_there(package: str) -> bool:
    if package == "default-jre-headless" and elasticsearch.java_home():
        return True
    if not shutil.which("dpkg-query"):
        return False
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, check=False)
    return asked.stdout == b"install ok installed"


def _elasticsearch(cache: Path, say: Say) -> None:
    """By Maven where there is one, because it knows this place's mirror; else straight from Maven Central."""
    target = elasticsearch.programs(cache)
    if (target / "bin/elasticsearch").exists():
        return
    archive = cache / _ZIP
    if not _is_right(archive):
        say(f"fetching Elasticsearch {elasticsearch.VERSION} (104 MB)")
        if shutil.which("mvn"):
            artifact = f"{_MAVEN}:elasticsearch:{elasticsearch.VERSION}:zip"
            _retried(
                ["mvn", "-q", "-B", "dependency:copy", f"-DoutputDirectory={cache}", f"-Dartifact={artifact}"]
            )
        else:
            _download(_CENTRAL, archive)
    if not _is_right(archive):
        archive.unlink(missing_ok=True)
        raise Trouble(f"{_ZIP} is not what it should be (SHA-256): it was deleted, try again")
    draft = cache / f".unpacking-{elasticsearch.VERSION}"
    shutil.rmtree(draft, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(draft)
    inner = draft / target.name
    for name in ("logs", "plugins"):
        (inner / name).mkdir(exist_ok=True)
    for path in (inner / "bin").iterdir():
        path.chmod(0o755)  # a zip read by Python forgets who may run
    inner.rename(target)
    draft.rmdir()
    archive.unlink()


def _versitygw(cache: Path, say: Say) -> None:
    """Built by Go, which checks the sources against its public checksum database."""
    target = s3.binary(cache)
    if not shutil.which("go"):
        raise Trouble(
            f"s3: building versitygw needs Go (https://go.dev/dl); or put versitygw {s3.VERSION} on the PATH"
        )
    say("building versitygw (about a minute)")
    module = f"github.com/versity/versitygw/cmd/versitygw@{s3.VERSION}"
    _retried(["env", f"GOBIN={target.parent}", "go", "install", module])
    target.parent.chmod(0o755)


def _rabbitmq4(cache: Path, say: Say) -> None:
    """A small Debian 13 with the broker in it; only root can make one, and only root can start it."""
    root = rabbitmq.changed_root(cache)
    if os.geteuid() != 0:
        raise Trouble("rabbitmq4: only root can install and start it")
    say("making a Debian 13 with RabbitMQ 4 (about a minute)")
    shutil.rmtree(root, ignore_errors=True)
    _retried(["debootstrap", "--variant=minbase", "--include=rabbitmq-server", "trixie", str(root)], tries=1)
    (root / rabbitmq.INSIDE.lstrip("/")).mkdir(mode=0o755)
    (root / "installed").touch()


_FETCHED: Mapping[str, Callable[[Path, Say], None]] = {
    "elasticsearch": _elasticsearch, "s3": _versitygw, "rabbitmq4": _rabbitmq4
}  # fmt: skip


def _is_right(archive: Path) -> bool:
    if not archive.exists():
        return False
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == _SHA256


def _download(url: str, target: Path) -> None:
    draft = target.with_suffix(".draft")
    for attempt in range(_TRIES):
        with suppress(OSError), urllib.request.urlopen(url, timeout=60) as answer, draft.open("wb") as file:
            shutil.copyfileobj(answer, file)
            draft.rename(target)
            return
        time.sleep(2**attempt)
    raise Trouble(f"cannot fetch {url}")


def _retried(argv: Sequence[str], *, tries: int = _TRIES) -> None:
    """A command that needs the network; raises `Trouble` with its last line when it never succeeds."""
    for attempt in range(tries):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            return
        if attempt < tries - 1:
            time.sleep(2**attempt)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["it said nothing"]
    raise Trouble(f"`{' '.join(argv)}` failed: {said[-1].strip()[:300]}")
