"""A service that ends itself at the worst moment: `python -m faults.exits relay|consumer SERVICE COUNT`.

It is the service, started from its own environment, with one adapter around its bus: the process exits without
a word when the broker has confirmed the COUNT-th batch and its rows are still in the outbox (relay), or when the
effects of the COUNT-th batch are committed and it is not acknowledged yet (consumer). No code of the product
knows of it.
"""

import os
import runpy
import sys
from collections.abc import Sequence
from typing import Any, cast

import antiphon_common.bus
from antiphon_common.bus import Bus, Envelope, open_bus

EXIT_CODE = 66


class ExitingBus:
    """The real bus, and an end."""

    def __init__(self, bus: Bus, when: str, count: int) -> None:
        self._bus = bus
        self._when = when
        self._left = count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        await self._bus.publish(envelopes)
        if envelopes:
            self._count("relay")

    async def consume(self, consumer: str, types: Sequence[str], handler: Any) -> None:
        async def handle(*arguments: Any) -> Any:
            result = await handler(*arguments)
            self._count("consumer")
            return result

        await self._bus.consume(consumer, types, handle)

    def _count(self, moment: str) -> None:
        self._left -= moment == self._when
        if self._left <= 0:
            os._exit(EXIT_CODE)


def main() -> None:
    when, service, count = sys.argv[1:]
    # Whoever imports it from now on, which is the service, gets this one.
    antiphon_common.bus.open_bus = lambda url: cast(Bus, ExitingBus(open_bus(url), when, int(count)))
    sys.argv = [f"antiphon_{service}", "serve"]
    runpy.run_module(f"antiphon_{service}", run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
