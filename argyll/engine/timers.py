"""Wake-ups: at most one a key, all in one heap, one event-loop timer for the earliest. Nothing is persisted; who needs a
wake-up after a restart computes it from state again."""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush

US_PER_S = 1_000_000
_REBUILD_STALE = 4_096
"""The heap is rebuilt when it holds this many more entries than there are wake-ups."""


class Timers:
    """Calls `fire(key)` on the loop once the clock has reached the key's moment; never before."""

    def __init__(self, now_us: Callable[[], int], fire: Callable[[str], None]) -> None:
        self._now_us, self._fire = now_us, fire
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for = 0
        self._closed = False

    def set(self, key: str, at_us: int) -> None:
        """Wake `key` at a moment; replaces its earlier wake-up."""
        if self._due.get(key) == at_us or self._closed:
            return
        self._due[key] = at_us
        heappush(self._heap, (at_us, key))
        if len(self._heap) > 2 * len(self._due) + _REBUILD_STALE:
            self._heap = [(at, k) for k, at in self._due.items()]
            heapify(self._heap)
        if self._handle is None or at_us < self._armed_for:
            self._arm()

    def soon(self, key: str) -> None:
        """Wake `key` in a coming turn of the loop."""
        self.set(key, self._now_us())

    def cancel(self, key: str) -> None:
        """Forget the wake-up of a key, if it has one."""
        self._due.pop(key, None)

    def close(self) -> None:
        """Fire nothing any more."""
        self._closed = True
        self._due.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def __len__(self) -> int:
        return len(self._due)

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        if self._heap:
            self._armed_for = self._heap[0][0]
            delay_s = max(self._armed_for - self._now_us(), 0) / US_PER_S
            self._handle = asyncio.get_running_loop().call_later(delay_s, self._run)

    def _run(self) -> None:
        self._handle = None
        now = self._now_us()
        while self._heap and self._heap[0][0] <= now:
            at_us, key = heappop(self._heap)
            if self._due.get(key) == at_us:
                del self._due[key]
                self._fire(key)
        if not self._closed and self._handle is None:
            self._arm()
