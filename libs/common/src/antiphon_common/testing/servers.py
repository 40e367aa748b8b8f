"""Where the real servers of a test run are: named by variables, or started for it, or missing.

A test asks for a server by name and gets its variables. Whoever starts servers for a run implements `Source`;
the first source that has it gives it. A missing server is a skip, or a failure where all are required.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Protocol, TypeVar

import pytest

T = TypeVar("T")

# What a test needs to know of each server, as `tools/servers env` prints it.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "postgres": ("POSTGRES_URL",),
    "redis": ("REDIS_URL",),
    "rabbitmq": ("AMQP_URL", "RABBITMQ_API"),
    "elasticsearch": ("ELASTICSEARCH_URL",),
    "s3": ("S3_URL",),
    "rabbitmq4": ("AMQP4_URL", "RABBITMQ4_API"),
}
OPTIONAL = {"rabbitmq4"}  # not every machine can have it: a skip everywhere
NOT_TESTED = "no server for this test"
REQUIRED_BY = ("CI", "ANTIPHON_REQUIRE_SERVERS")


class Missing(Exception):
    """There is no such server here; the text says why and what to do."""


class PrivateServer(Protocol):
    """A server for one test module alone, to be broken; `url` is in the form that settings take."""

    name: str
    url: str
    variables: Mapping[str, str]

    def stop(self) -> None:
        """Shut down in order."""

    def start(self) -> None:
        """Run again, with what it kept, on the same listen port; returns when it answers."""

    def kill(self) -> None:
        """End at once, as by loss of power."""

    def freeze(self) -> None:
        """Halt all its processes; connections stay open and nobody answers."""

    def thaw(self) -> None:
        """Go on."""


class Source(Protocol):
    """A way to get at servers."""

    def find(self, name: str) -> Mapping[str, str]:
        """The variables of the server that all tests of the run share. Raises `Missing`."""

    def private(self, name: str) -> PrivateServer:
        """A fresh server of this kind, running, which nobody else knows. Raises `Missing`."""

    def close_private(self) -> None:
        """Remove the private servers."""

    def close(self) -> None:
        """Remove all that belong to this process."""


class Environment:
    """Servers that are already named by variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def find(self, name: str) -> Mapping[str, str]:
        values = {variable: self._environ.get(variable, "") for variable in VARIABLES[name]}
        if absent := [variable for variable, value in values.items() if not value]:
            raise Missing(f"{' and '.join(absent)} not set")
        return values

    def private(self, name: str) -> PrivateServer:
        raise Missing("variables name no private servers")

    def close_private(self) -> None:
        """There are none."""

    def close(self) -> None:
        """Somebody else's servers stay."""


class Servers:
    """All sources in their order."""

    def __init__(self, sources: Sequence[Source], *, required: bool) -> None:
        self._sources = sources
        self._required = required
        self._found: dict[str, Mapping[str, str]] = {}

    def need(self, name: str) -> Mapping[str, str]:
        """The variables of this server; without it the calling test is skipped, or fails if required."""
        if name not in self._found:
            self._found[name] = self._first(name, lambda source: source.find(name))
        return self._found[name]

    def private(self, name: str) -> PrivateServer:
        """A server for the calling module alone; without it the test is skipped or fails likewise."""
        return self._first(name, lambda source: source.private(name))

    def close_private(self) -> None:
        """Remove the private servers of the module that ends."""
        for source in self._sources:
            source.close_private()

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def _first(self, name: str, ask: Callable[[Source], T]) -> T:
        reasons = []
        for source in self._sources:
            try:
                return ask(source)
            except Missing as why:
                reasons.append(str(why))
        return not_tested(f"{name} ({'; '.join(reasons)})", required=self._required and name not in OPTIONAL)


def are_required(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a test without its server fails."""
    return any(environ.get(name, "").lower() not in {"", "0", "false"} for name in REQUIRED_BY)


def not_tested(missing: str, *, required: bool) -> NoReturn:
    """End the calling test, which lacks something: it fails where that is required, else the run lists it."""
    reason = f"{NOT_TESTED}: {missing}"
    if required:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
