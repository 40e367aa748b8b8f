"""Where the real servers of a test run are: named by variables, or started for it, or missing.

A test asks for a server by name and gets its variables. Whoever starts servers for a run implements `Source`;
the first source that has it gives it. A missing server is a skip, or a failure where all are required.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import pytest

# What a test needs to know of each server, as `tools/servers env` prints it.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "postgres": ("POSTGRES_URL",),
    "redis": ("REDIS_URL",),
    "rabbitmq": ("AMQP_URL", "RABBITMQ_API"),
    "elasticsearch": ("ELASTICSEARCH_URL",),
    "s3": ("S3_URL",),
}
NOT_TESTED = "no server for this test"
REQUIRED_BY = ("CI", "ANTIPHON_REQUIRE_SERVERS")


class Missing(Exception):
    """There is no such server here; the text says why and what to do."""


class Source(Protocol):
    """A way to get at servers."""

    def find(self, name: str) -> Mapping[str, str]:
        """The variables of this server, started when need be. Raises `Missing`."""


class Environment:
    """Servers that are already named by variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def find(self, name: str) -> Mapping[str, str]:
        values = {variable: self._environ.get(variable, "") for variable in VARIABLES[name]}
        if absent := [variable for variable, value in values.items() if not value]:
            raise Missing(f"{' and '.join(absent)} not set")
        return values


class Servers:
    """All sources in their order."""

    def __init__(self, sources: Sequence[Source], *, required: bool) -> None:
        self._sources = sources
        self._required = required
        self._found: dict[str, Mapping[str, str]] = {}

    def need(self, name: str) -> Mapping[str, str]:
        """The variables of this server; without it the calling test is skipped, or fails if required."""
        if name not in self._found:
            try:
                self._found[name] = self._find(name)
            except Missing as why:
                self.give_up(name, str(why))
        return self._found[name]

    def give_up(self, name: str, why: str) -> None:
        """End the calling test: there is no server for it."""
        reason = f"{NOT_TESTED}: {name} ({why})"
        if self._required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    def _find(self, name: str) -> Mapping[str, str]:
        reasons = []
        for source in self._sources:
            try:
                return source.find(name)
            except Missing as why:
                reasons.append(str(why))
        raise Missing("; ".join(reasons))


def are_required(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a test without its server fails."""
    return any(environ.get(name, "").lower() not in {"", "0", "false"} for name in REQUIRED_BY)
