"""Where the disk is waited for: on the loop while it is quick, in a thread when it is not. Measures, writes nothing of worth."""

import os
import time
from pathlib import Path
from typing import Literal

from argyll.store.wal import sync_data

QUICK_SYNC_US = 1_000
"""A disk whose worst probe stays below this is waited for on the loop: a hand-over to a thread costs more."""
SLOW_SYNC_US = 5_000
SLOW_SYNCS_TOLERATED = 8
SLOW_SYNC_WINDOW = 1_000
"""With `auto`, a disk that is slow this often in so many syncs is waited for in the thread from then on."""
_PROBES = 8


class SyncPace:
    """How long syncs take, and what follows from it. Times in microseconds."""

    def __init__(self, directory: Path, mode: Literal["auto", "thread", "inline"]) -> None:
        """With `auto`, probes the directory's disk. Raises OSError."""
        self.is_inline = mode == "inline" or (mode == "auto" and _probe_worst_us(directory) < QUICK_SYNC_US)
        self._adapts = mode == "auto"
        self._slow = 0
        self.syncs = 0
        self.last_us = 0
        self.worst_us = 0

    def took(self, elapsed_us: int) -> None:
        """One more sync is done."""
        self.syncs += 1
        self.last_us = elapsed_us
        self.worst_us = max(self.worst_us, elapsed_us)
        if self._adapts and self.is_inline:
            self._watch_slowness(elapsed_us)

    def _watch_slowness(self, elapsed_us: int) -> None:
        if self.syncs % SLOW_SYNC_WINDOW == 0:
            self._slow = 0
        if elapsed_us > SLOW_SYNC_US:
            self._slow += 1
            self.is_inline = self._slow < SLOW_SYNCS_TOLERATED


def _probe_worst_us(directory: Path) -> int:
    """The slowest of a few syncs of an overwritten block, as appends do it."""
    path = directory / "probe.tmp"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    worst = 0
    try:
        os.pwrite(descriptor, bytes(4096), 0)
        os.fsync(descriptor)
        for round_ in range(_PROBES):
            started = time.perf_counter_ns()
            os.pwrite(descriptor, bytes([round_]) * 512, 512 * (round_ % 8))
            sync_data(descriptor)
            worst = max(worst, time.perf_counter_ns() - started)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
    return worst // 1000
