"""Adds passwords to the broker's definitions; the standard library is enough.

`with_accounts(load(), {"catalog": "...", ...}, operator=("antiphon", "..."))` is what RabbitMQ loads at
its start (`load_definitions`), and what its management API takes (`POST /api/definitions`) while it runs.
Importing changes nothing that is there already but the passwords and permissions.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent.parent / "deploy/rabbitmq/definitions.json"
HASHING = "rabbit_password_hashing_sha256"


def load() -> dict[str, Any]:
    """The committed definitions, in which nobody has a password."""
    definitions: dict[str, Any] = json.loads(PATH.read_text("utf-8"))
    return definitions


def with_accounts(
    definitions: Mapping[str, Any],
    passwords: Mapping[str, str],
    *,
    operator: tuple[str, str] | None = None,
    vhost: str = "antiphon",
) -> dict[str, Any]:
    """The definitions with a password for every user, and with an operator who may do everything.

    Raises `KeyError` when a user has none. The same passwords give the same document.
    """
    users = [
        {**user, "password_hash": hashed(user["name"], passwords[user["name"]])}
        for user in definitions["users"]
    ]
    permissions = list(definitions["permissions"])
    if operator:
        name, password = operator
        users.append(
            {
                "name": name,
                "password_hash": hashed(name, password),
                "hashing_algorithm": HASHING,
                "tags": "administrator",
            }
        )
        permissions.append({"user": name, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"})
    return {**definitions, "users": users, "permissions": permissions}


def hashed(user: str, password: str) -> str:
    """RabbitMQ's salted SHA-256: base64 of the salt and the digest of both.

    The salt follows from the rest, so that writing a file twice changes nothing. That is enough for passwords
    which are long and random; it is not for ones that people think of.
    """
    salt = sha256(f"{user}\0{password}".encode()).digest()[:4]
    return b64encode(salt + sha256(salt + password.encode()).digest()).decode()
