"""Blocks of audio in memory, for stores that are a network away: the same bytes are asked for once.

A player asks for a file in pieces of its own liking, and many listen to the same track: each piece is cut
from blocks of 256 KiB. Those asked for longest ago make room. What is held is bounded by `capacity`, and
besides by one block for each listener who waits or is being sent one.
"""

import asyncio
from collections import OrderedDict

from antiphon_stream.ports import Readable, Store

BLOCK = 256 * 1024

_Name = tuple[str, int]


class Blocks:
    """A store, read by whole blocks that are kept. Many who wait for a block wait for one reading of it."""

    def __init__(self, store: Store, *, capacity: int) -> None:
        self._store = store
        self._capacity = capacity
        self._kept: OrderedDict[_Name, bytes] = OrderedDict()
        self._reading: dict[_Name, asyncio.Task[bytes]] = {}
        self.held = 0
        """Bytes kept now."""

    async def open(self, key: str) -> "Cut":
        """The audio under a key. Raises what the store raises."""
        return Cut(self, key, await self._store.open(key))

    async def block(self, key: str, index: int, source: Readable) -> bytes:
        """One block of a file. Raises what the source raises."""
        name = (key, index)
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            return kept
        reading = self._reading.get(name)
        if reading is None:
            reading = self._reading[name] = asyncio.create_task(self._read(name, source))
            # Everybody who waited may have left: then nobody is there to hear of the failure.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Somebody who leaves must not take the reading from the others.
        return await asyncio.shield(reading)

    async def _read(self, name: _Name, source: Readable) -> bytes:
        try:
            block = await source.read(name[1] * BLOCK, BLOCK)
        finally:
            del self._reading[name]
        self._keep(name, block)
        return block

    def _keep(self, name: _Name, block: bytes) -> None:
        self._kept[name] = block
        self.held += len(block)
        while self.held > self._capacity:
            self.held -= len(self._kept.popitem(last=False)[1])


class Cut:
    """A file, cut from blocks."""

    def __init__(self, blocks: Blocks, key: str, source: Readable) -> None:
        self._blocks = blocks
        self._key = key
        self._source = source
        self.size = source.size

    async def read(self, offset: int, length: int) -> bytes:
        """These bytes up to the end of their block; a whole block is handed on without copying it."""
        if offset >= self.size or length <= 0:
            return b""
        index, start = divmod(offset, BLOCK)
        block = await self._blocks.block(self._key, index, self._source)
        return block if start == 0 and length >= len(block) else block[start : start + length]

    def close(self) -> None:
        self._source.close()
