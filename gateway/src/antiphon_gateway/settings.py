"""What the gateway can be told, from the environment (`GATEWAY_...`). There are no defaults for addresses."""

import ipaddress
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from antiphon_common.settings import ProcessSettings
from antiphon_gateway.ratelimit import limits_with

SERVICES = ("auth", "user", "file", "catalog", "playlist", "library", "stream", "search")

_MIB = 1024 * 1024


class Settings(ProcessSettings):
    """Times are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    bus_url: str
    queue: Annotated[str, Field(pattern=r"^gateway(-[a-z0-9-]{1,40})?$")] = Field(
        default="gateway",
        description="Its events purge: gateways of one cache share a queue, others need one each (gateway-2)",
    )
    cache_url: str = Field(
        default="memory:",
        description="memory:, or redis://[[user]:password@]host[:port][/number] to share it",
    )
    limits_url: str | None = Field(
        default=None, description="Where token buckets are kept, like cache_url (which is the default)"
    )
    instances: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1,
        description="How many gateways serve together: without Redis each allows its share of a limit",
    )
    auth_url: str = Field(description="The addresses of a service's instances, separated by commas")
    user_url: str
    file_url: str
    catalog_url: str
    playlist_url: str
    library_url: str
    stream_url: str
    search_url: str
    jwks_url: str | None = Field(default=None, description="Default: what auth_url publishes")
    token_issuer: str = "antiphon"
    token_audience: str = "antiphon"
    revocation_poll_seconds: Annotated[float, Field(gt=0, le=2)] = 0.5

    allowed_hosts: tuple[str, ...] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        description="Host header values; a name without a listen port means any",
    )
    trusted_proxies: Annotated[int, Field(ge=0, le=8)] = Field(
        default=0, description="How many proxies stand before the gateway and append to X-Forwarded-For"
    )
    proxy_networks: tuple[str, ...] = Field(
        default=("127.0.0.0/8", "::1/128"), description="From where such a proxy connects"
    )
    edge_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{32,128}$")] | None = Field(
        default=None,
        repr=False,
        description="What such a proxy sends as X-Antiphon-Edge (32 characters or more); none: its network",
    )
    cors_origins: tuple[str, ...] = Field(default=(), description="Exact origins; none switches CORS off")
    hsts: bool = Field(default=False, description="The gateway is reached by https only")

    max_upload_bytes: Annotated[int, Field(gt=0)] = 201 * _MIB
    max_image_bytes: Annotated[int, Field(gt=0)] = 9 * _MIB
    rates: dict[str, str] = Field(
        default_factory=dict, description='Replaces limits of rate classes: {"auth": "30/60"} is 30 a minute'
    )
    connections: Annotated[int, Field(gt=0)] = 2000
    connections_per_address: Annotated[int, Field(gt=0)] = 50
    head_seconds: Annotated[float, Field(gt=0)] = 10.0
    slow_body_seconds: Annotated[float, Field(gt=0)] = 10.0
    stalled_write_seconds: Annotated[float, Field(gt=0)] = 30.0
    silent_stream_seconds: Annotated[float, Field(gt=0)] = 30.0
    deadline_seconds: Annotated[float, Field(gt=0)] = 10.0
    calls_per_upstream: Annotated[int, Field(gt=0)] = 256
    streams_per_upstream: Annotated[int, Field(gt=0)] = 512

    access_log: bool = True

    @field_validator("proxy_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("rates")
    @classmethod
    def _limits(cls, value: dict[str, str]) -> dict[str, str]:
        limits_with(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not origin.startswith(("http://", "https://")) or origin.endswith("/") for origin in value):
            raise ValueError("an origin is scheme://host[:port] without a path; there is no wildcard")
        return value

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for service in SERVICES:
            for base in self.upstream(service):
                parts = urlsplit(base)
                if parts.scheme != "http" or not parts.hostname or parts.path or _port(parts) is None:
                    raise ValueError(
                        f"GATEWAY_{service.upper()}_URL must be http://host:port, or several by commas"
                    )
        return self

    @model_validator(mode="after")
    def _purged(self) -> Self:
        if self.instances > 1 and self.cache_url.startswith("memory:") and self.queue == "gateway":
            raise ValueError(
                "several GATEWAY_INSTANCES share a Redis by GATEWAY_CACHE_URL, or have a GATEWAY_QUEUE each"
            )
        return self

    def upstream(self, service: str) -> tuple[str, ...]:
        """The base URLs of a service's instances, without a trailing slash."""
        named = str(getattr(self, f"{service}_url"))
        return tuple(base.strip().rstrip("/") for base in named.split(","))


def _port(parts: SplitResult) -> int | None:
    """The listen port of a URL, none when it makes no sense."""
    try:
        return parts.port or 80
    except ValueError:
        return None
