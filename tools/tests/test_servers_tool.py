"""tools/servers as a person uses it: stacks apart from each other, nothing lost, errors of one line."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as Silent
from server_stacks import SCRIPT, TestStack, refusal
from servers.server import answers

from antiphon_common.testing.isolation import make_bucket
from antiphon_common.testing.servers import Servers
from antiphon_common.testing.stacks import Run

NewStack = Callable[[], TestStack]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the servers' account can reach, which a test's own is not."""
    path = Path(tempfile.mkdtemp(prefix="antiphon-tool-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def new_stack(place: Path) -> Iterator[NewStack]:
    """Makes stacks, each on listen ports of its own, and wipes them."""
    made: list[TestStack] = []

    def make() -> TestStack:
        made.append(TestStack(place / f"stack{len(made)}", Run.begin().port, {"SERVERS_FAST": "1"}))
        return made[-1]

    yield make
    for stack in made:
        stack.run("wipe")


@pytest.fixture
def stack(new_stack: NewStack) -> TestStack:
    return new_stack()


def test_two_stacks_run_side_by_side_and_share_nothing(new_stack: NewStack) -> None:
    one, other = new_stack(), new_stack()
    for each in (one, other):
        printed = each.must("up", "redis", "postgres").splitlines()
        assert [line.split()[:2] for line in printed] == [["redis", "up"], ["postgres", "up"]]
        assert printed[0].endswith(f"127.0.0.1:{each.port + 1}")
    with Redis.from_url(one.url("redis")) as first, Redis.from_url(other.url("redis")) as second:
        first.set("mine", "1")
        assert second.get("mine") is None
    assert one.password() != other.password()


def test_up_twice_and_down_twice_are_fine(stack: TestStack) -> None:
    stack.must("up", "redis")
    before = (stack.directory / "redis.pid").read_text()
    stack.must("up", "redis")
    assert (stack.directory / "redis.pid").read_text() == before
    stack.must("down", "redis")
    stack.must("down", "redis")
    assert stack.run("status", "redis").returncode == 1


def test_kill_and_up_again_loses_nothing(stack: TestStack) -> None:
    import asyncpg
    import boto3

    stack.must("up", "redis", "postgres", "s3")
    store = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{stack.port + 9}", region_name="us-east-1",
        aws_access_key_id="antiphon", aws_secret_access_key=stack.password(),
    )  # fmt: skip
    make_bucket(stack.url("s3"), "bucket")

    async def sql(statement: str) -> list[object]:
        connection = await asyncpg.connect(stack.url("postgres").replace("+asyncpg", ""))
        rows = await connection.fetch(statement)
        await connection.close()
        return [row[0] for row in rows]

    asyncio.run(sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id"))
    store.put_object(Bucket="bucket", Key="kept", Body=b"bytes")
    with Redis.from_url(stack.url("redis")) as redis:
        redis.set("kept", "1")
    stack.must("kill", "redis", "postgres", "s3")
    stack.must("up", "redis", "postgres", "s3")
    with Redis.from_url(stack.url("redis")) as redis:
        assert redis.get("kept") == b"1"
    assert asyncio.run(sql("SELECT count(*) FROM kept")) == [1000]
    assert store.get_object(Bucket="bucket", Key="kept")["Body"].read() == b"bytes"


def test_a_frozen_server_is_silent_and_can_still_be_stopped(stack: TestStack) -> None:
    stack.must("up", "redis")
    redis = Redis.from_url(stack.url("redis"), socket_timeout=0.3, retry=None)
    redis.set("kept", "1")
    stack.must("freeze", "redis")
    assert stack.run("status", "redis").stdout.split()[1] == "frozen"
    with pytest.raises(Silent):
        redis.get("kept")
    assert "killed" not in stack.run("down", "redis").stderr
    stack.must("up", "redis")
    assert redis.get("kept") == b"1"
    redis.close()


def test_up_thaws_what_is_frozen(stack: TestStack) -> None:
    stack.must("up", "redis")
    stack.must("freeze", "redis")
    stack.must("up", "redis")
    with Redis.from_url(stack.url("redis"), socket_timeout=5) as redis:
        assert redis.ping()


def test_env_is_ready_for_a_shell(stack: TestStack) -> None:
    stack.must("up", "redis")
    script = f'eval "$({sys.executable} {SCRIPT} env)" && {sys.executable} -c \'import os; print(os.environ["S3_URL"])\''
    own = {"SERVERS_DIR": str(stack.directory), "PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", "-c", script], env=own, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == stack.url("s3")


def test_no_other_user_can_read_the_password(stack: TestStack) -> None:
    stack.must("up", "redis", "postgres")
    secret = stack.password().encode()
    holders = [path for path in stack.directory.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert {path.name for path in holders} >= {"stack.json", "redis.conf"}
    assert [path for path in holders if path.stat().st_mode & 0o077] == []
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(secret in command for command in commands)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["up", "mysql"], {}, "no such server: mysql"),
        (["kill"], {}, "kill which one?"),
        (["freeze", "redis"], {}, "redis is not running"),
        (["up", "redis"], {"SERVERS_PORT": "many"}, "SERVERS_PORT is 'many'"),
        (["up", "redis"], {"SERVERS_PORT": "80"}, "it takes a number from 1024"),
        (["up", "redis"], {"SERVERS_DIR": "/proc/nowhere"}, "set SERVERS_DIR to another place"),
    ],
    ids=["unknown server", "no name", "not running", "port no number", "port too low", "no such place"],
)
def test_a_mistake_is_one_line(
    stack: TestStack, arguments: list[str], variables: dict[str, str], said: str
) -> None:
    assert said in refusal(stack.run(*arguments, **variables))


def test_a_taken_port_is_one_line_and_starts_nothing(stack: TestStack) -> None:
    with socket.create_server(("127.0.0.1", stack.port + 1)):
        done = stack.run("up", "redis")
        if done.returncode != 3:
            assert f"port {stack.port + 1} (redis): Address already in use" in refusal(done)
    assert stack.run("status", "redis").stdout.split()[1] == "down"


def test_a_stack_keeps_its_ports(stack: TestStack) -> None:
    stack.must("env")
    assert "uses the listen ports from" in refusal(stack.run("status", SERVERS_PORT=str(stack.port + 20)))


def test_what_is_not_installed_is_exit_code_3_and_says_how(stack: TestStack, tmp_path: Path) -> None:
    done = stack.run("up", "elasticsearch", SERVERS_CACHE=str(tmp_path))
    assert done.returncode == 3
    assert done.stderr == (
        "servers: elasticsearch: Elasticsearch is not installed: python3 tools/servers install elasticsearch\n"
    )


def test_wiping_leaves_nothing(stack: TestStack) -> None:
    stack.must("up", "redis", "postgres")
    numbers = [
        int((stack.directory / f"{name}.pid").read_text().split()[0]) for name in ("redis", "postgres")
    ]
    stack.must("wipe")
    assert not stack.directory.exists()
    states = [Path(f"/proc/{number}/stat") for number in numbers]
    assert all(not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z" for path in states)


def test_wiping_takes_nothing_that_is_not_the_stacks(stack: TestStack) -> None:
    stack.must("env")
    (stack.directory / "mine").write_text("kept")
    stack.must("wipe")
    assert [path.name for path in stack.directory.iterdir()] == ["mine"]


def test_a_directory_with_other_things_in_it_is_no_place_for_a_stack(stack: TestStack) -> None:
    stack.directory.mkdir()
    (stack.directory / "postgres").mkdir()
    assert "has other things (postgres)" in refusal(stack.run("wipe"))
    assert (stack.directory / "postgres").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_stacks_too(place: Path) -> None:
    """With the machine's own Python and a copy of the tool: a checkout may be closed to others."""
    nobody = pwd.getpwnam("nobody")
    shutil.copytree(SCRIPT, place / "servers", ignore=shutil.ignore_patterns("__pycache__"))
    home = place / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "SERVERS_PORT": str(Run.begin().port),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=env, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run("/usr/bin/python3", str(place / "servers"), *arguments)

    if run("sh", "-c", "/usr/bin/python3 -c 'import hashlib; hashlib.file_digest'").returncode:
        pytest.skip("no Python of the system's own that is new enough")
    try:
        done = tool("up", "redis", "postgres")
        assert done.returncode in {0, 3}, done.stderr
        if done.returncode == 0:
            number = (home / ".local/state/antiphon-servers/redis.pid").read_text().split()[0]
            assert Path(f"/proc/{number}").stat().st_uid == nobody.pw_uid
            assert (home / ".local/state/antiphon-servers").stat().st_mode & 0o077 == 0
    finally:
        assert tool("wipe").returncode == 0


def test_elasticsearch_lets_nobody_in_without_the_password(servers: Servers) -> None:
    """The stack of the whole test run: one more Elasticsearch would take half a minute."""
    engine = shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False)
    if os.environ.get("ELASTICSEARCH_URL") or (engine and engine.returncode == 0):
        pytest.skip("this run uses another Elasticsearch than the tool's")
    at = urlsplit(servers.need("elasticsearch")["ELASTICSEARCH_URL"])
    address = f"http://{at.hostname}:{at.port}/_cluster/health"
    assert at.username
    assert at.password
    assert answers(address) == 401
    assert answers(address, user=at.username, password="wrong") == 401
    assert answers(address, user=at.username, password=at.password) == 200
