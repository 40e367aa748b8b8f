"""`make bench [PROFILE=server] [ONLY=ranges]`: run every measurement of a profile, one after the other."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Each file is a program of its own that prints its figures; a failing one does not stop the rest."""
    only = os.environ.get("ONLY", "")
    package = "bench.server" if os.environ.get("PROFILE") == "server" else "bench"
    failed = []
    for file in sorted(HERE.parent.joinpath(*package.split(".")).glob("*.py")):
        if file.name.startswith("_") or only not in file.stem:
            continue
        print(f"== {file.stem} (load {os.getloadavg()[0]:.1f})", flush=True)
        program = [sys.executable, "-m", f"{package}.{file.stem}"]
        if subprocess.run(program, cwd=HERE.parent, check=False).returncode:
            failed.append(file.stem)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
