"""The node's clock: wall time in microseconds that never runs backwards, so histories are ordered in time too."""

import time
from collections.abc import Callable


class Clock:
    """Microseconds since the epoch, non-decreasing for the life of the process.

    It follows the wall clock while that runs ahead, and the monotonic clock when the wall clock is set back: a
    correction of the machine's time must not hold up retries and deadlines.
    """

    __slots__ = ("_last_us", "_monotonic_us", "_steady_ns", "_wall_ns")

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._last_us = wall_ns() // 1_000
        self._monotonic_us = steady_ns() // 1_000

    def now_us(self) -> int:
        steady_us = self._steady_ns() // 1_000
        carried = self._last_us + steady_us - self._monotonic_us
        self._last_us = max(self._wall_ns() // 1_000, carried)
        self._monotonic_us = steady_us
        return self._last_us
