"""Blocks of a far store in memory: read once, bounded, and never a failure that is kept."""

import asyncio

import pytest

from antiphon_common.errors import Unavailable
from antiphon_stream.adapters.blocks import BLOCK, Blocks

pytestmark = pytest.mark.once("embedded")

SIZE = 5 * BLOCK + 100
FILE = b"".join(bytes([number]) * BLOCK for number in range(5)) + b"e" * 100


class Far:
    """A store that counts what is read, waits until it may answer, and fails when told to."""

    def __init__(self) -> None:
        self.read_at: list[int] = []
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.is_down = False

    async def open(self, key: str) -> "FarFile":
        return FarFile(self)


class FarFile:
    size = SIZE

    def __init__(self, far: Far) -> None:
        self._far = far

    async def read(self, offset: int, length: int) -> bytes:
        self._far.read_at.append(offset)
        await self._far.open_gate.wait()
        if self._far.is_down:
            raise Unavailable("blob_unavailable")
        return FILE[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""


async def whole(blocks: Blocks, key: str = "a", start: int = 0) -> bytes:
    file = await blocks.open(key)
    found = bytearray()
    while piece := await file.read(start + len(found), BLOCK):
        found += piece
    return bytes(found)


@pytest.mark.parametrize("start", [0, 1, BLOCK - 1, BLOCK, SIZE - 1, SIZE, SIZE + 1])
async def test_pieces_cut_from_blocks_are_the_file(start: int) -> None:
    assert await whole(Blocks(Far(), capacity=SIZE * 2), start=start) == FILE[start:]


async def test_many_who_want_a_block_wait_for_one_reading_of_it() -> None:
    far = Far()
    blocks = Blocks(far, capacity=SIZE * 2)
    far.open_gate.clear()
    listeners = [asyncio.create_task(whole(blocks)) for _ in range(20)]
    await asyncio.sleep(0)
    listeners.pop().cancel()  # somebody leaves
    await asyncio.sleep(0)
    far.open_gate.set()
    assert set(await asyncio.gather(*listeners)) == {FILE}
    assert sorted(far.read_at) == [number * BLOCK for number in range(6)]
    await whole(blocks)
    assert len(far.read_at) == 6


async def test_a_whole_block_is_handed_on_without_a_copy() -> None:
    blocks = Blocks(Far(), capacity=SIZE * 2)
    one, other = await blocks.open("a"), await blocks.open("a")
    assert await one.read(BLOCK, BLOCK) is await other.read(BLOCK, BLOCK)


async def test_memory_stays_within_its_bound_and_the_block_asked_for_longest_ago_makes_room() -> None:
    far = Far()
    blocks = Blocks(far, capacity=3 * BLOCK)
    for number in range(25):
        await whole(blocks, f"t{number}")
        assert blocks.held <= 3 * BLOCK
    file = await blocks.open("x")
    for number in (0, 1, 2, 0, 3):  # 1 is now the one asked for longest ago
        await file.read(number * BLOCK, 1)
    far.read_at.clear()
    for number in (0, 2, 3, 1):
        await file.read(number * BLOCK, 1)
    assert far.read_at == [BLOCK]


async def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    far = Far()
    blocks = Blocks(far, capacity=SIZE)
    file = await blocks.open("a")
    far.is_down = True
    told = await asyncio.gather(*(file.read(0, 1) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in told] == [Unavailable] * 5
    far.is_down = False
    assert await file.read(0, 1) == FILE[:1]
    assert far.read_at == [0, 0]
