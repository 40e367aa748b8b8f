"""Becomes a process of a stack: reads its environment from a file that only its owner may read.

`python launch.py FILE KIND ARGUMENT...`; so no setting stands on a command line, nor in
supervisord's configuration.
"""

import json
import os
import sys
from pathlib import Path


def launch(file: Path, kind: str, arguments: list[str]) -> None:
    """Replace this process by `python -m antiphon_<kind>` with exactly that environment."""
    environment = json.loads(file.read_text("utf-8"))
    os.execve(sys.executable, [sys.executable, "-m", f"antiphon_{kind}", *arguments], environment)


if __name__ == "__main__":
    launch(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
