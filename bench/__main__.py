"""`make bench [ONLY=ranges]`: run every measurement of this folder, one after the other, and print its figures."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Each file is a program of its own that prints its figures; a failing one does not stop the rest."""
    only = os.environ.get("ONLY", "")
    failed = []
    for file in sorted(HERE.glob("*.py")):
        if file.name.startswith("_") or only not in file.stem:
            continue
        print(f"== {file.stem}", flush=True)
        if subprocess.run([sys.executable, str(file)], check=False).returncode:
            failed.append(file.stem)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
