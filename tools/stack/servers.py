"""The servers a stack stands on, as their administrator knows them, and the URLs that its processes get.

Named by variables (POSTGRES_URL, REDIS_URL, AMQP_URL with RABBITMQ_API, ELASTICSEARCH_URL, S3_URL), else
servers of its own (own_servers.py).
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from stack.house import House, StackError, write_private

VARIABLES = ("POSTGRES_URL", "REDIS_URL", "AMQP_URL", "RABBITMQ_API", "ELASTICSEARCH_URL", "S3_URL")


@dataclass(frozen=True, slots=True)
class Servers:
    """The administrator's URL of each server."""

    postgres_url: str
    redis_url: str
    amqp_url: str
    rabbitmq_api: str
    elasticsearch_url: str
    s3_url: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Servers":
        """From the variables. Raises `StackError` naming those that are missing."""
        missing = [name for name in VARIABLES if not variables.get(name)]
        if missing:
            raise StackError(f"{', '.join(missing)} not set: name all servers, or none of them")
        return cls(*(variables[name] for name in VARIABLES))

    @classmethod
    def load(cls, house: House) -> "Servers":
        """Those that the stack was started with."""
        return cls(**json.loads(house.secrets("servers.json").read_text("utf-8")))

    def save(self, house: House) -> None:
        """Remember them; they hold passwords."""
        house.secrets("").mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(house.secrets("servers.json"), json.dumps(asdict(self), indent=2) + "\n")

    def postgres(self, user: str, password: str, database: str) -> str:
        return _with(self.postgres_url, user, password, f"/{database}", scheme="postgresql+asyncpg")

    def amqp(self, user: str, password: str, vhost: str) -> str:
        return _with(self.amqp_url, user, password, f"/{vhost}")

    @property
    def redis(self) -> str:
        return self.redis_url

    def elasticsearch(self, alias: str) -> str:
        parts = urlsplit(self.elasticsearch_url)
        tls = parts.scheme in ("https", "elasticsearch+https")
        scheme = f"elasticsearch{'+https' if tls else ''}"
        return urlunsplit((scheme, parts.netloc, f"/{alias}", parts.query, ""))

    def s3(self, bucket: str) -> str:
        parts = urlsplit(self.s3_url)
        account, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(("s3", f"{account}{at}{bucket}", "", parts.query, ""))

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Host and listen port of each, by the name that people know."""
        store = options(self.s3_url)
        found = {
            "Postgres": (self.postgres_url, 5432),
            "Redis": (self.redis_url, 6379),
            "RabbitMQ": (self.amqp_url, 5672),
            "Elasticsearch": (self.elasticsearch_url, 9200),
            "object store": (store.get("endpoint", "https://s3.amazonaws.com"), 443),
        }
        parsed = {name: (urlsplit(url), usual) for name, (url, usual) in found.items()}
        return {name: (parts.hostname or "", parts.port or usual) for name, (parts, usual) in parsed.items()}

    def check(self) -> None:
        """Raises `StackError` naming the first server that does not take a connection."""
        for name, (host, port) in self.addresses().items():
            try:
                socket.create_connection((host, port), timeout=3).close()
            except OSError as error:
                text = f"{name} does not answer at {host}:{port} ({error}); start it, or name another"
                raise StackError(text) from error


def options(url: str) -> dict[str, str]:
    """What stands behind the question mark: `ca`, the file of the authority to trust, and others."""
    return dict(parse_qsl(urlsplit(url).query))


def _with(url: str, user: str, password: str, path: str, *, scheme: str = "") -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    account = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit((scheme or parts.scheme, f"{account}@{place}", path, parts.query, ""))
