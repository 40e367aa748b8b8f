"""Secrets made once: a password for each service (its database role, its broker user), and the edge's."""

import json
import secrets

from stack.house import PROCESSES, House, write_private


def passwords(house: House) -> dict[str, str]:
    """By process kind. Letters and digits only, because they travel inside URLs."""
    file = house.secrets("passwords.json")
    known: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    missing = [kind for kind in PROCESSES if kind not in known]
    if missing:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        known |= {kind: secrets.token_hex(24) for kind in missing}
        write_private(file, json.dumps(known, indent=2) + "\n")
    return known


def edge_secret(house: House) -> str:
    """What the edge proves itself with to the gateways; the operator's own wins, on both sides."""
    if own := house.overrides.get("GATEWAY_EDGE_SECRET"):
        return own
    file = house.secrets("edge")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(file, secrets.token_hex(24))
    return file.read_text("utf-8")
