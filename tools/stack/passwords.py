"""One password for each service, made once: for its database role and its broker user."""

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
