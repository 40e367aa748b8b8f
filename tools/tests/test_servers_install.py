"""Installing by tools/servers, with programs that stand in for apt and Maven and note how they were called."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from server_stacks import TestStack, refusal


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory that is the whole PATH: nothing is installed there but what a test puts in."""
    path = tmp_path / "bin"
    path.mkdir()
    for name in ("env", "sh", "cat", "cp", "mkdir"):
        (path / name).symlink_to(shutil.which(name) or name)
    return path


@pytest.fixture
def stack(tmp_path: Path, programs: Path) -> TestStack:
    """In root's eyes its directory must be open to other accounts."""
    for path in (tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    return TestStack(
        tmp_path / "stack", 17_400, {"PATH": str(programs), "SERVERS_CACHE": str(tmp_path / "cache")}
    )


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def as_root(programs: Path) -> None:
    """Let sudo, if it comes to that, run its arguments."""
    program(programs, "sudo", 'shift; [ "$1" = true ] || exec "$@"')
    (programs / "true").symlink_to(shutil.which("true") or "true")


def test_apt_updates_first_and_installs_no_recommendations(
    stack: TestStack, programs: Path, tmp_path: Path
) -> None:
    as_root(programs)
    program(
        programs, "apt-get", f'echo "$@" >> {tmp_path}/calls\n[ "$7" != install ] || touch {tmp_path}/done'
    )
    program(programs, "apt-get", f'echo "$@" >> {tmp_path}/calls')
    said = refusal(stack.run("install", "redis"))
    assert "Redis is still not to be found after installing" in said
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith("install -y --no-install-recommends redis-server")
    assert all("DPkg::Lock::Timeout=300" in call for call in (update, install))


def test_apt_is_tried_again_when_the_network_fails(stack: TestStack, programs: Path, tmp_path: Path) -> None:
    as_root(programs)
    once = f"{tmp_path}/failed-once"
    program(
        programs, "apt-get", f'echo "$@" >> {tmp_path}/calls\n[ -e {once} ] || {{ : > {once}; exit 100; }}'
    )
    refusal(stack.run("install", "redis"))
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[5] for call in calls] == ["update", "update", "install"]


def test_a_failing_apt_is_one_line_with_its_own_words(stack: TestStack, programs: Path) -> None:
    as_root(programs)
    program(programs, "apt-get", "echo 'E: Unable to locate package redis-server' >&2; exit 100")
    assert "E: Unable to locate package redis-server" in refusal(stack.run("install", "redis"))


def test_without_apt_it_says_what_to_install(stack: TestStack) -> None:
    said = refusal(stack.run("install", "redis", "rabbitmq4"))
    assert "no apt-get" in said
    assert "redis-server debootstrap" in said


@pytest.mark.parametrize("brought", ["something else", ""], ids=["a wrong archive", "nothing"])
def test_what_maven_brings_is_checked(stack: TestStack, programs: Path, brought: str, tmp_path: Path) -> None:
    if not any(Path("/usr/lib/jvm").glob("*/release")):
        pytest.skip("no Java: apt would be asked first")
    zipped = tmp_path / "cache/elasticsearch-8.19.16.zip"
    program(programs, "mvn", f"printf '%s' '{brought}' > {zipped}")
    said = refusal(stack.run("install", "elasticsearch"))
    assert "is not what it should be (SHA-256)" in said
    assert not zipped.exists()


def test_help_names_every_command_and_variable(stack: TestStack) -> None:
    printed = stack.must("--help")
    for word in (
        "install",
        "up",
        "down",
        "kill",
        "freeze",
        "thaw",
        "status",
        "env",
        "wipe",
        "SERVERS_DIR",
        "SERVERS_CACHE",
        "SERVERS_PORT",
        "SERVERS_FAST",
        "SERVERS_ES_HEAP",
    ):
        assert word in printed
