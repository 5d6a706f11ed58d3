"""The node's clock: wall time in microseconds that never runs backwards, so histories are ordered in time too."""

import time


class Clock:
    """Microseconds since the epoch, non-decreasing for the life of the process."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def now_us(self) -> int:
        now = time.time_ns() // 1_000
        if now > self._last:
            self._last = now
        return self._last
