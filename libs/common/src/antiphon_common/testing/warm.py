"""Programs of ours that end by themselves, started without the second or more that their imports take.

One interpreter has imported what they need and does nothing else. For each program it forks, and the copy
runs the module as `python -m` would, with an environment, output, exit code and end of its own. What serves
for long, or is about a start itself, starts for real.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PROGRAM = """
import gc, importlib, json, os, runpy, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
gc.freeze()
for line in sys.stdin:
    told = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.environ.clear()
os.environ.update(told["environment"])
for number, path in enumerate(told["places"]):
    os.dup2(os.open(path, os.O_RDWR), number)
sys.stdin = open(0)
sys.argv = [told["module"], *told["arguments"]]
runpy.run_module(told["module"], run_name="__main__", alter_sys=True)
"""


class Warm:
    """Runs `python -m module`; use as what `warm` gives."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running

    def run(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], *, folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Wait for its end; what it printed goes through files in `folder`."""
        assert self._running.stdin
        assert self._running.stdout
        out, err = folder / "warm.out", folder / "warm.err"
        for file in (out, err):
            file.write_bytes(b"")
        places = ["/dev/null", str(out), str(err)]
        told = {
            "module": module,
            "arguments": [*arguments],
            "environment": {**environment},
            "places": places,
        }
        self._running.stdin.write(json.dumps(told) + "\n")
        self._running.stdin.flush()
        code = int(self._running.stdout.readline())
        return subprocess.CompletedProcess(
            [module, *arguments], code, out.read_text("utf-8"), err.read_text("utf-8")
        )


@contextlib.contextmanager
def warm(*modules: str) -> Iterator[Warm]:
    """An interpreter that has imported these modules."""
    command = [sys.executable, "-c", _PROGRAM, *modules]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield Warm(running)
