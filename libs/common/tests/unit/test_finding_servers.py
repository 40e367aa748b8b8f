"""How a test run finds its servers, and what becomes of a test whose server is nowhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon_common.testing.containers import IMAGES, Containers
from antiphon_common.testing.servers import OPTIONAL, VARIABLES, Environment, Missing, Servers, are_required

Run = Callable[..., subprocess.CompletedProcess[str]]
NEEDS_REDIS = '''"""A test that needs a server."""


def test_that_needs_it(redis_url: str) -> None:
    assert redis_url


def test_that_needs_none(request) -> None:
    assert "redis_url" not in request.fixturenames
'''


class Nowhere:
    """A source that has nothing."""

    def __init__(self, why: str = "not here") -> None:
        self.why = why

    def find(self, name: str) -> dict[str, str]:
        raise Missing(self.why)

    private = find

    def close_private(self) -> None:
        pass

    close = close_private


def test_set_variables_come_before_everything_else() -> None:
    servers = Servers([Environment({"REDIS_URL": "redis://set/0"}), Nowhere()], required=True)
    assert servers.need("redis") == {"REDIS_URL": "redis://set/0"}


def test_a_source_with_half_of_the_variables_has_nothing() -> None:
    with pytest.raises(Missing, match="RABBITMQ_API not set"):
        Environment({"AMQP_URL": "amqp://set/"}).find("rabbitmq")


def test_a_missing_server_is_a_skip_that_names_every_reason() -> None:
    servers = Servers([Nowhere("no variable"), Nowhere("no engine")], required=False)
    with pytest.raises(pytest.skip.Exception, match=r"redis \(no variable; no engine\)"):
        servers.need("redis")
    with pytest.raises(pytest.skip.Exception, match="redis"):
        servers.private("redis")


def test_a_missing_server_is_a_failure_where_servers_are_required() -> None:
    servers = Servers([Nowhere()], required=True)
    for ask in (servers.need, servers.private):
        # every outcome is caught: a skip would only skip this test
        with pytest.raises(BaseException, match=r"redis \(not here\)") as caught:
            ask("redis")
        assert caught.type is pytest.fail.Exception


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_optional_server_is_never_required(name: str) -> None:
    with pytest.raises(pytest.skip.Exception):
        Servers([Nowhere()], required=True).need(name)


@pytest.mark.parametrize(
    ("environ", "required"),
    [({}, False), ({"CI": "1"}, True), ({"CI": "true"}, True), ({"CI": "false"}, False), ({"CI": ""}, False),
     ({"ANTIPHON_REQUIRE_SERVERS": "1"}, True)],
)  # fmt: skip
def test_servers_are_required_where_a_variable_says_so(environ: dict[str, str], *, required: bool) -> None:
    assert are_required(environ) is required


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A whole test run in a place where no server can be found."""
    (tmp_path / "test_it.py").write_text(NEEDS_REDIS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")

    def start(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "antiphon_common.testing.plugin",
            "-p",
            "no:cacheprovider",
        ]
        env = {"PATH": "/nowhere", "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **variables}
        return subprocess.run(
            [*command, *options, "test_it.py"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def test_a_run_lists_loudly_what_was_not_tested(run: Run) -> None:
    done = run("-n", "1")  # a worker skips, and the process that began the run tells of it
    assert done.returncode == 0, done.stdout
    assert (
        "NOT TESTED: 1 tests, redis (REDIS_URL not set; no container engine answers; there is no tools/servers"
        in done.stdout
    )
    assert "\ntest_it.py::test_that_needs_it\n" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


@pytest.mark.parametrize("variable", ["CI", "ANTIPHON_REQUIRE_SERVERS"])
def test_a_run_fails_where_servers_are_required(run: Run, variable: str) -> None:
    done = run(**{variable: "1"})
    assert done.returncode == 1, done.stdout
    assert "no server for this test: redis" in done.stdout
    assert "1 passed, 1 error" in done.stdout


ONCE = """
import pytest

@pytest.fixture(params=["embedded", "server"])
def url(request): return request.param

@pytest.mark.once("server")
def test_of_servers(): pass

@pytest.mark.once("embedded", "server")
def test_of_both(): pass

@pytest.mark.once
def test_of_a_url(url): pass

def test_of_any(): pass
"""


@pytest.mark.parametrize(
    ("profile", "left_out"),
    [("embedded", ["of_servers", "url[server]"]), ("server", ["url[embedded]"]), ("", [])],
)
def test_a_run_of_one_profile_leaves_out_what_belongs_to_the_other(
    run: Run, tmp_path: Path, profile: str, left_out: list[str]
) -> None:
    (tmp_path / "test_it.py").write_text(ONCE)
    done = run("-v", ANTIPHON_TEST_PROFILE=profile)
    assert f"{5 - len(left_out)} passed" in done.stdout, done.stdout
    assert not [name for name in left_out if name in done.stdout]


@pytest.mark.parametrize("name", IMAGES)
def test_a_container_tells_every_variable_and_runs_what_compose_runs(name: str) -> None:
    image = IMAGES[name]
    urls = image.urls("password", "host", list(range(9001, 9001 + len(image.ports))))
    assert len(urls) == len(VARIABLES[name])
    assert all(f"host:{port}" in " ".join(urls) for port in range(9001, 9001 + len(image.ports)))
    compose = Path(__file__).parents[4] / "docker-compose.yml"
    assert f"image: {image.name}\n" in compose.read_text()


def test_without_an_engine_there_are_no_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The engine's program, if there is one, asks an address where nobody answers.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    containers = Containers()
    with pytest.raises(Missing, match="no container engine answers"):
        containers.find("redis")
    containers.close()
