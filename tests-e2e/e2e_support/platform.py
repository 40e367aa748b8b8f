"""A real platform in a process of its own, started as a user would start it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ANTIPHON = [sys.executable, "-m", "antiphon_cli"]
# Journeys make many accounts and requests from one address, which the limits are there to stop.
GENEROUS = json.dumps(
    dict.fromkeys(("auth", "session", "read", "write", "upload", "stream", "search", "failed"), "100000/60")
)
# The limit of 0.28 s for a search is the platform's promise on a machine of its own; tests of their own hold it.
PATIENT = {"SEARCH_INDEX_TIMEOUT_S": "5"}


class PlatformProcess:
    """`antiphon run` on a free listen port. `url` is where its gateway answers."""

    def __init__(self, data: Path, *, environment: dict[str, str] | None = None, port: int = 0) -> None:
        self.data = data
        self.url = ""
        self._environment = {
            **os.environ, "GATEWAY_RATES": GENEROUS, "NO_COLOR": "1", **PATIENT, **(environment or {}),
        }  # fmt: skip
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self._output: list[str] = []

    def start(self, *, seconds: float = 60) -> None:
        """Start and wait until it says where it is."""
        command = [*ANTIPHON, "run", "--port", str(self._port), "--data", str(self.data)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment,
            start_new_session=True,
        )  # fmt: skip
        found = threading.Event()
        threading.Thread(target=self._read, args=(found,), daemon=True).start()
        if not found.wait(seconds):
            self.kill()
            raise AssertionError("the platform did not start:\n" + "".join(self._output))

    def _read(self, found: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output.append(line)
            match = re.search(r"Antiphon is at (http://\S+)", line)
            if match:
                self.url = match[1]
                self._port = int(self.url.rpartition(":")[2])
                found.set()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        return "".join(self._output)

    def kill(self) -> None:
        """`kill -9`, children included."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self, *, seconds: float = 15) -> int:
        """Ctrl-C; its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGINT)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the platform did not stop:\n" + self.output) from None


def antiphon(
    *arguments: str, stdin: str = "", home: Path, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the command line as one person; `home` is where the login is kept."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*ANTIPHON, *arguments], input=stdin, capture_output=True, text=True, env=environment,
        timeout=seconds, check=False,
    )  # fmt: skip
