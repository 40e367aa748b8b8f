"""`python tools/stack <command>`: finds its modules beside this directory, then hands over."""

import sys
from pathlib import Path

# Python has put this directory first; its modules are found as `stack.<name>`, from the one above.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stack.cli import main  # noqa: E402

sys.exit(main())
