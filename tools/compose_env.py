"""Make what docker-compose.yml needs and no repository may hold: `python tools/compose_env.py`.

Writes `.env` (mode 0600) with a random password for everybody who needs one, and the broker's definitions
with the hashes of its users' passwords (0644: the broker's image reads them as a user of its own). What
`.env` says already stays, so running this twice changes nothing.
"""

import json
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from broker_accounts import load, with_accounts

ROOT = Path(__file__).parent.parent
_WANTED = re.compile(r"\$\{([A-Z0-9_]+):\?make env\}")
_BUS_PASSWORD = "_BUS_PASSWORD"
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def wanted(compose: str) -> list[str]:
    """The variables that the compose file demands, sorted."""
    return sorted(set(_WANTED.findall(compose)))


def completed(present: str, names: list[str]) -> str:
    """The text of `.env` with a line for each missing variable added at its end."""
    known = dict(_LINE.findall(present))
    # Hexadecimal, because these travel inside URLs and shell words.
    added = [f"{name}={secrets.token_hex(24)}\n" for name in names if not known.get(name)]
    kept = "".join(f"{line}\n" for line in present.splitlines() if not _is_empty(line, names))
    return kept + "".join(added)


def _is_empty(line: str, names: list[str]) -> bool:
    name, _, value = line.partition("=")
    return name in names and not value


def write(path: Path, text: str, *, mode: int) -> None:
    """Replace a file at once, never readable by more than `mode` allows."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, "utf-8")
    new.chmod(mode)
    new.replace(path)


def accounts(variables: Mapping[str, str]) -> str:
    """What the broker loads: a user for each process, and the operator."""
    passwords = {
        name.removesuffix(_BUS_PASSWORD).lower(): value
        for name, value in variables.items()
        if name.endswith(_BUS_PASSWORD)
    }
    document = with_accounts(load(), passwords, operator=("antiphon", variables["RABBITMQ_PASSWORD"]))
    return json.dumps(document, indent=1) + "\n"


def main(root: Path = ROOT) -> int:
    """Write both files."""
    path = root / ".env"
    present = path.read_text("utf-8") if path.exists() else ""
    names = wanted((root / "docker-compose.yml").read_text("utf-8"))
    text = completed(present, [*names, "RABBITMQ_PASSWORD"])
    variables = dict(_LINE.findall(text))
    directory = root / "deploy" / "secrets"
    directory.mkdir(exist_ok=True)
    # The broker reads the file as a user of its container; nobody else of this machine gets to it.
    directory.chmod(0o700)
    write(directory / "rabbitmq.json", accounts(variables), mode=0o644)
    if text != present or path.stat().st_mode & 0o077:
        write(path, text, mode=0o600)
        print(f"wrote {path.name} (keep it; it holds the passwords)")
    else:
        print(f"{path.name} has everything already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
