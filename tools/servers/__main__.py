"""Lets `python3 tools/servers` run the directory; its modules are known as `servers.*`."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    sys.exit(import_module("servers.cli").main())
