"""Servers as containers, where an engine answers: the images of docker-compose.yml, with fresh passwords.

Each process of a test run has its own; they are removed with it, or by testcontainers' reaper if it dies.
Listen ports are fixed, because an engine chooses others when it starts a container again.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from secrets import token_hex
from typing import TYPE_CHECKING

from antiphon_common.testing.isolation import whole_place
from antiphon_common.testing.servers import VARIABLES, Missing
from antiphon_common.testing.stacks import free_block

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

_USER = "antiphon"
_SECOND = 1_000_000_000  # Docker counts in nanoseconds
_START_SECONDS = 180
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Image:
    """How one kind of server is run: what it is told, when it is healthy, how it is named."""

    name: str
    ports: Sequence[int]
    environment: Callable[[str], Values]
    health: str
    urls: Callable[[str, str, Sequence[int]], Sequence[str]]
    command: Callable[[str], Sequence[str]] = lambda _: ()


IMAGES: Mapping[str, Image] = {
    "postgres": Image(
        "postgres:17-alpine", (5432,),
        lambda password: {"POSTGRES_USER": _USER, "POSTGRES_PASSWORD": password},
        # by TCP: the server that runs the first scripts listens on its socket only
        f"pg_isready -q -h 127.0.0.1 -U {_USER}",
        lambda who, host, ports: [f"postgresql+asyncpg://{_USER}:{who}@{host}:{ports[0]}/{_USER}"],
        lambda _: ["-c", "fsync=off", "-c", "max_connections=300"],
    ),
    "redis": Image(
        "redis:7-alpine", (6379,), lambda password: {"REDISCLI_AUTH": password},
        "redis-cli ping | grep -q PONG",
        lambda who, host, ports: [f"redis://:{who}@{host}:{ports[0]}/0"],
        lambda password: [
            "redis-server", "--requirepass", password, "--appendonly", "yes", "--databases", "64"
        ],
    ),
    "rabbitmq": Image(
        "rabbitmq:4-management-alpine", (5672, 15672),
        lambda password: {"RABBITMQ_DEFAULT_USER": _USER, "RABBITMQ_DEFAULT_PASS": password},
        "rabbitmq-diagnostics -q check_port_connectivity",
        lambda who, host, ports: [
            f"amqp://{_USER}:{who}@{host}:{ports[0]}/", f"http://{_USER}:{who}@{host}:{ports[1]}/api"
        ],
    ),
    "elasticsearch": Image(
        "docker.elastic.co/elasticsearch/elasticsearch:8.19.16", (9200,),
        lambda _: {
            "discovery.type": "single-node", "xpack.security.enabled": "false",
            "node.store.allow_mmap": "false", "ingest.geoip.downloader.enabled": "false",
            "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
        },
        "curl -fsS 'http://127.0.0.1:9200/_cluster/health?wait_for_status=yellow&timeout=1s'",
        lambda _, host, ports: [f"http://{host}:{ports[0]}"],
    ),
    "s3": Image(
        "versity/versitygw:v1.8.0", (7070,),
        lambda password: {"ROOT_ACCESS_KEY": _USER, "ROOT_SECRET_KEY": password},
        "wget -q -O /dev/null http://127.0.0.1:7070/healthz",
        lambda who, host, ports: [f"s3://{_USER}:{who}@?endpoint=http://{host}:{ports[0]}&region=us-east-1"],
        lambda _: ["--port", ":7070", "--health", "/healthz", "posix", "/tmp"],
    ),
}  # fmt: skip


class Containers:
    """The source of servers that a container engine is."""

    def __init__(self) -> None:
        self._shared: dict[str, Container] = {}
        self._private: list[Container] = []

    def find(self, name: str) -> Values:
        if name not in self._shared:
            self._shared[name] = self._start(name)
        return self._shared[name].variables

    def private(self, name: str) -> "Container":
        self._private.append(self._start(name))
        return self._private[-1]

    def close_private(self) -> None:
        for container in self._private:
            container.remove()
        self._private.clear()

    def close(self) -> None:
        self.close_private()
        for container in self._shared.values():
            container.remove()
        self._shared.clear()

    def _start(self, name: str) -> "Container":
        if not self._answers:
            raise Missing("no container engine answers")
        return Container(name)

    @cached_property
    def _answers(self) -> bool:
        """Asked by `docker info`: a client on the PATH says nothing of an engine."""
        command = ["docker", "info"]
        return (
            bool(shutil.which("docker"))
            and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )


class Container:
    """One server; private servers are used by all of its methods, shared ones by `variables`."""

    def __init__(self, name: str) -> None:
        image = IMAGES["rabbitmq" if name == "rabbitmq4" else name]
        password, first = token_hex(20), free_block()
        ports = range(first, first + len(image.ports))
        self.name = name
        self._container = _describe(image, password, ports)
        self._container.start()
        host = self._container.get_container_host_ip()
        self.variables: Values = dict(zip(VARIABLES[name], image.urls(password, host, ports), strict=True))
        self.url = whole_place(name, self.variables[VARIABLES[name][0]])

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        _until_healthy().wait_until_ready(self._container)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def freeze(self) -> None:
        self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        self._container.get_wrapped_container().unpause()

    def remove(self) -> None:
        self._container.stop()


def _describe(image: Image, password: str, ports: Sequence[int]) -> "DockerContainer":
    core = import_module("testcontainers.core.container")
    container: DockerContainer = core.DockerContainer(image.name).waiting_for(_until_healthy())
    container.with_envs(**image.environment(password))
    if command := image.command(password):
        container.with_command(list(command))
    for inner, outer in zip(image.ports, ports, strict=True):
        container.with_bind_ports(inner, outer)
    test = {"test": ["CMD-SHELL", image.health]}
    health = {**test, "interval": _SECOND, "timeout": 10 * _SECOND, "retries": _START_SECONDS}
    return container.with_kwargs(healthcheck=health)


def _until_healthy() -> "HealthcheckWaitStrategy":
    strategies = import_module("testcontainers.core.wait_strategies")
    strategy: HealthcheckWaitStrategy = strategies.HealthcheckWaitStrategy()
    return strategy.with_startup_timeout(_START_SECONDS)
