"""How a process of the stack begins and ends: as whom it runs, and that nothing of it is left behind."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stack import account, environment, launch, supervision
from stack.house import House
from test_stack import SERVERS

# Its shell is named after the script, as nginx's workers are named after nginx.
NGINX = "#!/bin/sh\n( while :; do sleep 0.1; done ) &\nwhile :; do sleep 0.1; done\n"
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def nginx(tmp_path: Path) -> Path:
    """A master with one worker."""
    path = tmp_path / "nginx"
    path.write_text(NGINX)
    path.chmod(0o755)
    return path


@pytest.fixture
def start(nginx: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts the edge as the supervisor does, at the head of a process group; all of it is ended afterwards."""
    file = tmp_path / "group"

    def begin() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(launch.command("edge", file, nginx), process_group=0)
        after(lambda: file.exists() and file.read_text().startswith(f"{process.pid} "))
        after(lambda: len(family(process.pid)) == 2)
        started.append(process)
        return process

    started: list[subprocess.Popen[bytes]] = []
    yield begin
    launch.end_edge(file)
    for process in started:
        process.wait()


def after(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def family(group: int) -> set[int]:
    """Who lives in a process group under the name of nginx."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if "(nginx)" in text and int(fields[2]) == group and fields[0] not in "ZX":
            found.add(int(path.parent.name))
    return found


def test_workers_that_outlive_a_killed_edge_end_before_the_next_begins(
    start: Callable[[], subprocess.Popen[bytes]],
) -> None:
    first = start()
    first.kill()
    first.wait()
    assert len(family(first.pid)) == 1, "a worker goes on, and would hold the listen port"
    second = start()
    assert family(first.pid) == set()
    assert len(family(second.pid)) == 2


def test_ending_an_edge_ends_nobody_else(
    start: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    with subprocess.Popen(["sleep", "1000"], process_group=0) as stranger:
        other.write_text(f"{stranger.pid} 0\n")
        launch.end_edge(other)
        assert stranger.poll() is None, "another program with a number that was used again"
        stranger.kill()
    running = start()
    other.write_text(f"{running.pid} {10**12}\n")
    launch.end_edge(other)
    assert len(family(running.pid)) == 2, "born before the one that is meant"


def test_what_the_supervisor_has_started_ends_with_it(nginx: Path, tmp_path: Path) -> None:
    words = [*launch.command("edge", tmp_path / "group", nginx)]
    program = f"import subprocess, time; subprocess.Popen({words!r}, process_group=0); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", program]) as supervisor:
        after((tmp_path / "group").exists)
        after(lambda: (tmp_path / "group").read_text() != "")
        group = int((tmp_path / "group").read_text().split()[0])
        after(lambda: len(family(group)) == 2)
        supervisor.kill()
    after(lambda: group not in family(group))
    launch.end_edge(tmp_path / "group")


def test_the_edge_is_started_by_what_ends_its_predecessor(tmp_path: Path) -> None:
    (tmp_path / "run" / "environment").mkdir(parents=True)
    supervision.configure(House(tmp_path, 8080, account="somebody"))
    programs = (tmp_path / "run" / "supervisord.conf").read_text("utf-8").split("[program:")
    edge = next(text for text in programs if text.startswith("edge]"))
    assert f"launch.py edge {tmp_path}/run/edge/group " in edge
    assert "startsecs=3\n" in edge, "it tries a taken listen port for two and a half seconds"
    assert sum(".json somebody " in text for text in programs) == 9


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other accounts can reach."""
    path = Path(tempfile.mkdtemp(prefix="antiphon-stack-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@only_root
def test_a_process_that_root_starts_has_none_of_roots_rights(place: Path) -> None:
    """With the machine's own Python and a copy of the file: root's own Python may be closed to others."""
    script = shutil.copy(launch.__file__, place / "launch.py")
    told = place / "probe.json"
    told.write_text(json.dumps({"PYTHONPATH": str(place), "PROBE": "secret"}))
    told.chmod(0o600)
    (place / "antiphon_probe.py").write_text(
        "import json, os, sys\n"
        "readable = os.access(sys.argv[1], os.R_OK)\n"
        "print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), os.environ['PROBE'], readable]))\n"
    )
    nobody = pwd.getpwnam("nobody")
    command = ["/usr/bin/python3", script, "service", str(told), "nobody", "probe", str(told)]
    if not Path(command[0]).exists():
        pytest.skip("no Python of the system's own")
    done = subprocess.run(command, capture_output=True, text=True, check=True, extra_groups=[0])
    users, groups, more, secret, readable = json.loads(done.stdout)
    assert (set(users), set(groups), more) == ({nobody.pw_uid}, {nobody.pw_gid}, [])
    assert (secret, readable) == ("secret", False), "it is told its settings and cannot read the file"


def test_an_account_that_cannot_reach_the_data_is_told_what_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    nobody = pwd.getpwnam("nobody")
    assert account.unreachable(nobody, tmp_path) == f"{tmp_path} is closed to nobody"


@only_root
def test_the_account_gets_its_secrets_and_no_others(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    house = House(tmp_path, 8080, account="nobody")
    for directory in (house.run, house.secrets("auth")):
        directory.mkdir(parents=True, mode=0o700)
    (house.secrets("auth") / "key").write_text("")
    house.secrets("passwords.json").write_text("")
    (tmp_path / "elsewhere").write_text("")
    (house.secrets("auth") / "link").symlink_to(tmp_path / "elsewhere")
    account.arrange(house)
    owners = {path.name: path.stat().st_uid for path in tmp_path.rglob("*")}
    assert owners["auth"] == owners["stream"] == owners["key"] == nobody.pw_uid
    assert owners["passwords.json"] == owners["elsewhere"] == owners["run"] == 0, "a link is not followed"
    assert stat.S_IMODE(house.secrets("").stat().st_mode) == 0o711


def test_a_process_of_another_account_is_not_sent_home_to_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/root")
    house = House(tmp_path, 8080)
    process = next(house.processes("catalog"))
    assert environment.environment(house, SERVERS, process)["HOME"] == "/root"
    theirs = House(tmp_path, 8080, account="somebody")
    assert "HOME" not in environment.environment(theirs, SERVERS, process)
