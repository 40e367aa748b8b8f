"""What every process can be told, from the environment. Each service subclasses this with its own prefix."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

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
