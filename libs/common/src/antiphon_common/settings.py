"""What every service can be told, from the environment. Each service subclasses this with its own prefix."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ServiceSettings(BaseSettings):
    """Settings common to all services; a service adds its own and sets `env_prefix`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    database_url: str
    bus_url: str
    jwks_url: str = Field(description="Where auth publishes its keys: http(s)://... or file:///...")
    token_issuer: str = "antiphon"
    token_audience: str = "antiphon"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: Path | None = Field(default=None, description="JSON lines go here instead of standard error")
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
