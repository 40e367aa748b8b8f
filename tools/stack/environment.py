"""What each process is told, and nothing else: its settings as environment variables.

Nothing secret stands on a command line. Variables of a process that the operator has set himself win.
"""

import json
import os
import socket
from collections.abc import Mapping

from stack.house import SERVICES, House, Process
from stack.passwords import edge_secret, passwords
from stack.servers import Servers

DATABASE = VHOST = BUCKET = INDEX = "antiphon"
# What only tells where somebody has started the stack, and what changes what a process does.
_SURROUNDINGS = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_PASSED_ON = (*_SURROUNDINGS, "SSL_CERT_FILE", "PYTHONPATH")
_OF_A_PERSON = ("HOME", "TMPDIR")


def environment(house: House, servers: Servers, process: Process) -> dict[str, str]:
    """The whole environment of one process."""
    own = (
        _gateway(house, servers, process) if process.kind == "gateway" else _service(house, servers, process)
    )
    prefix = process.kind.upper() + "_"
    told = {prefix + name: value for name, value in own.items()}
    told |= {name: value for name, value in house.overrides.items() if name.startswith(prefix)}
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if house.account:
        passed_on = {name: value for name, value in passed_on.items() if name not in _OF_A_PERSON}
    # Fewer arenas: a third less memory, and nothing lost, because each process is one thread that matters.
    return {**passed_on, "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2", **told}


def settings(told: Mapping[str, str]) -> dict[str, str]:
    """What of it makes a process another one: it is started anew when this has changed."""
    return {name: value for name, value in told.items() if name not in _SURROUNDINGS}


def as_file(told: Mapping[str, str]) -> str:
    """How it is kept for whoever starts the process."""
    return json.dumps(told, indent=2, sort_keys=True) + "\n"


def overrides(environ: Mapping[str, str]) -> dict[str, str]:
    """What of somebody's environment is meant for a process of ours."""
    prefixes = tuple(f"{kind.upper()}_" for kind in ("gateway", *SERVICES))
    return {name: value for name, value in environ.items() if name.startswith(prefixes)}


def _everybody(house: House, servers: Servers, process: Process) -> dict[str, str]:
    password = passwords(house)[process.kind]
    return {
        "HOST": "127.0.0.1",
        "PORT": str(process.port),
        "METRICS_PORT": str(process.metrics_port),
        "BUS_URL": servers.amqp(process.kind, password, VHOST),
    }


def _gateway(house: House, servers: Servers, process: Process) -> dict[str, str]:
    return {
        **_everybody(house, servers, process),
        "CACHE_URL": servers.redis,
        "INSTANCES": str(len(house.addresses("gateway"))),
        **{
            f"{service.upper()}_URL": ",".join(f"http://{address}" for address in house.addresses(service))
            for service in SERVICES
        },
        "TRUSTED_PROXIES": "1",
        "EDGE_SECRET": edge_secret(house),
        "ALLOWED_HOSTS": json.dumps(_names(house.host)),
    }


def _service(house: House, servers: Servers, process: Process) -> dict[str, str]:
    kind = process.kind
    auth = next(house.processes("auth"))
    told = {
        **_everybody(house, servers, process),
        "DATABASE_URL": servers.postgres(kind, passwords(house)[kind], DATABASE),
        "JWKS_URL": f"http://{auth.address}/api/auth/jwks.json",
    }
    if kind in ("file", "stream"):
        told["BLOB_URL"] = servers.s3(BUCKET)
    if kind in ("auth", "stream"):
        told["SECRETS_DIR"] = str(house.secrets(kind))
        # Made once, by the first of them; two that make keys at the same moment would make different ones.
        told["CREATE_SECRETS"] = "true" if process.number == 1 else "false"
    if kind == "auth":
        told |= {"PUBLIC_URL": house.url, "REQUIRE_VERIFIED_EMAIL": "false"}
    if kind == "search":
        told["INDEX_URL"] = servers.elasticsearch(INDEX)
    return told


def _names(host: str) -> list[str]:
    """The Host values under which people may reach the edge."""
    names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
    if host in ("0.0.0.0", "::"):
        names |= {socket.gethostname(), socket.getfqdn()}
    return sorted(names)
