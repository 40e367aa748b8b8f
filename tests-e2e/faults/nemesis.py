"""Who breaks things: a list of faults drawn from a seed, each of them healed, and a log of what was done."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break one thing; `strike` returns when it is healed as far as somebody must act."""

    name: str
    strike: Callable[[], Awaitable[None]]


@dataclass
class Nemesis:
    """Strikes each fault `times` times, in an order and at moments drawn from the seed."""

    faults: Sequence[Fault]
    seed: int
    times: int = 2
    log: list[tuple[float, str]] = field(default_factory=list)

    def schedule(self, seconds: float) -> list[tuple[float, Fault]]:
        """When to strike what: every fault in each round, the rounds one after the other."""
        dice = random.Random(self.seed)
        order = [
            fault for _ in range(self.times) for fault in dice.sample(list(self.faults), len(self.faults))
        ]
        moments = sorted(dice.uniform(0, seconds) for _ in order)
        return list(zip(moments, order, strict=True))

    async def run(self, seconds: float) -> None:
        """Strike at all the moments. Who takes long to heal holds up no other, only its own next strike."""
        began = time.monotonic()
        alone = {fault.name: asyncio.Lock() for fault in self.faults}

        async def strike(fault: Fault) -> None:
            async with alone[fault.name]:
                self.log.append((round(time.monotonic() - began, 2), fault.name))
                await fault.strike()

        async with asyncio.TaskGroup() as strikes:
            for moment, fault in self.schedule(seconds):
                await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
                strikes.create_task(strike(fault))

    def table(self) -> Mapping[str, int]:
        """How often each fault was struck."""
        return {fault.name: sum(name == fault.name for _, name in self.log) for fault in self.faults}
