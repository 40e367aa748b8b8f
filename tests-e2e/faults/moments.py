"""The worst moments: a second instance of a service that ends between confirm and mark, or between commit and
acknowledgement. Which service and at which batch is drawn from the seed."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter

import httpx
from e2e_support.people import Person
from e2e_support.server_platform import ROOT, ServerPlatform

from faults import workload
from faults.exits import EXIT_CODE
from faults.history import Caller, History
from faults.nemesis import Fault

# Each announces what it is asked to (`workload.announce`), and each hears of what people do all the time.
SERVICES = {
    "relay": ("library", "playlist", "user"),
    "consumer": ("catalog", "file", "library", "playlist", "search", "user"),
}
BATCHES = 3
_SECONDS = 15.0
_TRIES = 6


class Moments:
    """Ends instances; `hits` counts those that ended where they should: (moment, service, batch)."""

    def __init__(
        self, platform: ServerPlatform, person: Person, *, history: History, music: workload.Music, seed: int
    ) -> None:
        self._platform = platform
        self._person = person
        self._history = history
        self._music = music
        self._dice = {moment: random.Random(f"{seed}-{moment}") for moment in SERVICES}
        self.hits: Counter[tuple[str, str, int]] = Counter()

    def faults(self) -> list[Fault]:
        return [self._fault(moment) for moment in SERVICES]

    def missed(self) -> list[str]:
        """The moments that were not met twice."""
        met = Counter(moment for moment, _, _ in self.hits.elements())
        return [
            f"the {moment}'s worst moment was met {met[moment]} times"
            for moment in SERVICES
            if met[moment] < 2
        ]

    def _fault(self, moment: str) -> Fault:
        async def strike() -> None:
            # Others may do all there is to do for a while, so it is tried again, elsewhere.
            for _ in range(_TRIES):
                service, batch = self.draw(moment)
                if await self._ended(moment, service, batch):
                    self.hits[moment, service, batch] += 1
                    return

        return Fault(f"end a {moment} at the worst moment", strike)

    def draw(self, moment: str) -> tuple[str, int]:
        """The next service to end, and at which of its batches."""
        dice = self._dice[moment]
        return dice.choice(SERVICES[moment]), dice.randint(1, BATCHES)

    async def _ended(self, moment: str, service: str, batch: int) -> bool:
        port = _free_port()
        environment = {
            **os.environ, **self._platform.environment(service), f"{service.upper()}_PORT": str(port),
            f"{service.upper()}_METRICS_PORT": "0", "PYTHONPATH": str(ROOT / "tests-e2e"),
        }  # fmt: skip
        command = [sys.executable, "-m", "faults.exits", moment, service, str(batch)]
        with (self._platform.data / f"exits-{moment}.log").open("a") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            async with Person(f"http://127.0.0.1:{port}", self._person.name) as person:
                caller = Caller(person, self._history, person.name)
                deadline = time.monotonic() + _SECONDS
                while process.poll() is None and time.monotonic() < deadline:
                    await asyncio.sleep(0.1)
                    if moment == "relay" and await _answers(person):
                        person.access = self._person.access
                        await workload.announce(caller, service, self._music)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        return process.returncode == EXIT_CODE


async def _answers(person: Person) -> bool:
    try:
        return (await person.http.get("/readyz")).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
