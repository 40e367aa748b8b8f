"""Open blobs, kept for the next range of the same track; a bounded number, and none that nobody asks for."""

import time
from collections import OrderedDict

from antiphon_stream.ports import Handle, Store

_MOST = 64
_IDLE_SECONDS = 30.0


class Handles:
    """Opens blobs and keeps them open for a while. A blob that is in use is never closed."""

    def __init__(self, blobs: Store, *, most: int = _MOST, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._blobs = blobs
        self._most = most
        self._idle = idle_seconds
        self._open: OrderedDict[str, Handle] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        """Nothing is open yet."""

    async def stop(self) -> None:
        for key in list(self._open):
            self.forget(key)

    async def acquire(self, key: str) -> Handle:
        """The blob under a key, until it is released. Raises what the store raises."""
        handle = self._open.get(key)
        if handle is None:
            blob = await self._blobs.open(key)
            # Somebody else may have opened it while we waited.
            handle = self._open.get(key)
            if handle is None:
                handle = self._open[key] = Handle(blob)
            else:
                blob.close()
        handle.users += 1
        handle.used_at = time.monotonic()
        self._open.move_to_end(key)
        self._close_idle(handle.used_at)
        return handle

    def release(self, handle: Handle) -> None:
        """Let go of what was acquired."""
        handle.users -= 1
        if not handle.kept and handle.users == 0:
            handle.blob.close()

    def forget(self, key: str) -> None:
        """Keep a blob no longer; it is closed when its last reader has finished."""
        handle = self._open.pop(key, None)
        if handle is None:
            return
        handle.kept = False
        if handle.users == 0:
            handle.blob.close()

    def _close_idle(self, now: float) -> None:
        while self._open:
            oldest = next(iter(self._open))
            if len(self._open) <= self._most and now - self._open[oldest].used_at < self._idle:
                return
            self.forget(oldest)
