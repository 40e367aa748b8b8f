"""A whole platform on real servers of its own: nine processes under a supervisor, five servers, all breakable.

Everything goes through `tools/servers` and `tools/stack`, as an operator would do it.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil
from supervisor.xmlrpc import SupervisorTransport

from antiphon_common.testing.servers import VARIABLES
from antiphon_gateway.settings import SERVICES
from e2e_support.platform import GENEROUS

ROOT = Path(__file__).parent.parent.parent
PROCESSES = ("gateway", *SERVICES)
SERVERS = ("postgres", "redis", "rabbitmq", "elasticsearch", "s3")
_NAMED = {name for server in SERVERS for name in VARIABLES[server]}


class ServerPlatform:
    """`start`, then break it. Use as a context manager: at the end nothing of it is left."""

    def __init__(
        self, *, port: int, overrides: Mapping[str, str] | None = None, data: Path | None = None
    ) -> None:
        # Other accounts run the servers, so not below a private directory, as pytest's are.
        self.data = data or Path(tempfile.mkdtemp(prefix="antiphon-", dir="/var/tmp"))
        self.data.chmod(0o711)
        self.port = port
        self.url = f"http://localhost:{port}"
        # The servers are the stack's own, as with `make up`, whatever others the run was given.
        others = {name: value for name, value in os.environ.items() if name not in _NAMED}
        self._environment = {
            **others, "SERVERS_DIR": str(self.data / "servers"), "SERVERS_PORT": str(port + 150),
            "GATEWAY_RATES": GENEROUS, **(overrides or {}),
        }  # fmt: skip

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def start(self) -> None:
        """Servers, then the processes. Raises `AssertionError` with what was printed."""
        self.servers("up")  # by itself, because the stack would install what is missing
        self.stack("up", "--port", str(self.port))

    def remove(self) -> None:
        """Stop everything and delete all of it."""
        with contextlib.suppress(AssertionError):
            self.stack("down")
        with contextlib.suppress(AssertionError):
            self.servers("wipe")
        shutil.rmtree(self.data, ignore_errors=True)

    def servers(self, *arguments: str) -> str:
        """`tools/servers`: up, down, kill, freeze, thaw ..."""
        return self._run("tools/servers", *arguments)

    def stack(self, command: str, *arguments: str) -> str:
        """`tools/stack`: up, down, restart, scale, exec ..."""
        return self._run("tools/stack", "--data", str(self.data / "stack"), command, *arguments)

    def _run(self, tool: str, *arguments: str) -> str:
        # Into a file: what it leaves running would hold a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [sys.executable, str(ROOT / tool), *arguments], env=self._environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, timeout=600, check=False,
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        assert done.returncode == 0, (
            f"{tool} {' '.join(arguments)}: {done.returncode}\n{text}\n{self.log_tail()}"
        )
        return text

    def variables(self, *servers: str) -> dict[str, str]:
        """The administrators' URLs of these servers (of all), by name: POSTGRES_URL ..."""
        said = self.servers("env", *servers)
        return dict(re.findall(r"^export ([A-Z0-9_]+)='?([^'\n]*)'?$", said, re.MULTILINE))

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of every process's log."""
        files = sorted((self.data / "stack" / "logs").glob("*.log"))
        return "\n".join(
            f"{file.name}: {line}"
            for file in files
            for line in file.read_text("utf-8", "replace").splitlines()[-lines:]
        )

    def environment(self, process: str) -> dict[str, str]:
        """What a process is told."""
        path = self.data / "stack" / "run" / "environment" / f"{process}.json"
        told: dict[str, str] = json.loads(path.read_text("utf-8"))
        return told

    def address(self, process: str) -> str:
        """The base URL of a process."""
        return f"http://127.0.0.1:{self.environment(process)[process.upper() + '_PORT']}"

    def logs(self) -> str:
        """All that the processes have said."""
        files = sorted((self.data / "stack" / "logs").glob("*.log*"))
        return "".join(file.read_text("utf-8", "replace") for file in files)

    def pid(self, process: str) -> int:
        """Its process id, 0 while there is none."""
        return int(self.state(process)["pid"])

    def state(self, process: str) -> dict[str, Any]:
        """What the supervisor knows of a process."""
        found: dict[str, Any] = self.supervise("getProcessInfo", process)
        return found

    def supervise(self, method: str, *arguments: str) -> Any:
        """Ask the supervisor: stopProcess, startProcess ..."""
        transport = SupervisorTransport(None, None, f"unix://{self.data}/stack/run/supervisor.sock")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()

    def signal(self, process: str, number: signal.Signals) -> None:
        """Send a signal to a process and the children it has; one that is just gone is no matter."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.pid(process))
            for one in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(number)

    def kill(self, process: str) -> None:
        """`kill -9`; the supervisor starts it again."""
        self.signal(process, signal.SIGKILL)

    def wait_for_pid(self, process: str, other_than: int, *, seconds: float = 5) -> float:
        """Seconds until the supervisor has started it again."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            pid = self.pid(process)
            if pid and pid != other_than:
                return time.monotonic() - began
            time.sleep(0.02)
        raise AssertionError(f"{process} was not started again within {seconds} s")
