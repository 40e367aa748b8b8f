"""What every process can be told, from the environment. Each service subclasses this with its own prefix.

A setting that can never work ends the process with a line that names it; a server that is away does not.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from antiphon_common.errors import ServiceError
from antiphon_common.schemes import WrongUrl

_DATABASES = ("postgresql+asyncpg://", "sqlite+aiosqlite://")
_ListenPort = Annotated[int, Field(ge=0, le=65535)]


class ProcessSettings(BaseSettings):
    """Settings of whatever listens, the gateway included."""

    # Compose and supervisors hand over what nobody set as an empty variable.
    model_config = SettingsConfigDict(env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: _ListenPort = 8000
    stop_delay_seconds: Annotated[float, Field(ge=0, le=3)] = Field(
        default=1.0, description="How long it still answers, not ready, when told to stop: others notice"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: Path | None = Field(default=None, description="JSON lines go here instead of standard error")
    metrics_host: str = "127.0.0.1"
    metrics_port: _ListenPort | None = Field(
        default=None, description="Where Prometheus finds /metrics; none switches them off"
    )
    otlp_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="The collector's address, like http://localhost:4318; none keeps traces to the logs",
    )
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="The part of those requests that nobody decided about before"
    )


class ServiceSettings(ProcessSettings):
    """Settings common to all services; a service adds its own and sets `env_prefix`."""

    database_url: str
    bus_url: str
    jwks_url: str = Field(description="Where auth publishes its keys: http(s)://... or file:///...")
    token_issuer: str = "antiphon"
    token_audience: str = "antiphon"

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        # A URL of another kind would be refused much later, by a library, with a stack.
        if not value.startswith(_DATABASES):
            raise ValueError(f"must start with {' or '.join(_DATABASES)}")
        return value


P = TypeVar("P", bound=ProcessSettings)


def read_settings(settings_class: type[P]) -> P:
    """The settings of the environment; exits with 2 and a line a setting when they are wrong."""
    try:
        return settings_class()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            _say(f"{_variable(settings_class, name)}: {problem['msg']}")
        sys.exit(2)


@contextmanager
def sentences(settings: ProcessSettings) -> Iterator[None]:
    """Expected failures end the process with one line, not with a stack."""
    try:
        yield
    except ServiceError as error:
        _say(f"{error.code}: {error.detail}")
        sys.exit(1)
    except WrongUrl as error:
        # Found by its value, because what opens a URL does not know which setting it was given.
        name = next((name for name, value in settings if value == error.url), "url")
        _say(f"{_variable(type(settings), name)}: {error}")
        sys.exit(2)


def _variable(settings_class: type[ProcessSettings], name: str) -> str:
    return f"{settings_class.model_config.get('env_prefix', '')}{name.upper()}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201
