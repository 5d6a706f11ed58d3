"""What only the embedded log promises: shared syncs, and where it waits for the disk."""

import asyncio
import threading
from pathlib import Path

import pytest

from argyll.store import Append, NewEvent, Store, StoreOptions
from argyll.store import pace as pace_module
from argyll.store import wal as wal_module

SMALL = 64 << 10


def append(number: int, sequence: int = 0) -> Append:
    return Append(("flow", f"f{number}"), sequence, 0, [NewEvent("e", b"{}")])


async def test_appends_of_one_turn_share_one_sync(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=StoreOptions(fsync="inline", segment_bytes=SMALL))
    await asyncio.gather(*[store.append(append(number)) for number in range(500)])
    assert store.status().fsyncs == 1
    await store.close()


async def test_what_arrives_during_a_sync_shares_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await Store.open(tmp_path, options=StoreOptions(fsync="thread", segment_bytes=SMALL))
    started, released = threading.Event(), threading.Event()
    sync_data = wal_module.sync_data

    def slow(descriptor: int) -> None:
        started.set()
        released.wait()
        sync_data(descriptor)

    monkeypatch.setattr(wal_module, "sync_data", slow)
    first = store.append(append(0))
    await asyncio.to_thread(started.wait)
    later = [store.append(append(number)) for number in range(1, 100)]
    assert not first.done(), "nothing is acknowledged before its sync"
    released.set()
    await asyncio.gather(first, *later)
    assert store.status().fsyncs == 2
    await store.close()


@pytest.mark.parametrize(("quick_us", "mode"), [(10**9, "inline"), (0, "thread")])
async def test_the_disk_is_measured_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_us: int, mode: str
) -> None:
    monkeypatch.setattr(pace_module, "QUICK_SYNC_US", quick_us)
    store = await Store.open(tmp_path, options=StoreOptions(segment_bytes=SMALL))
    assert store.status().fsync == mode
    await store.close()
    assert not list(tmp_path.rglob("probe*"))


async def test_a_disk_that_turns_slow_is_left_to_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "QUICK_SYNC_US", 10**9)
    store = await Store.open(tmp_path, options=StoreOptions(segment_bytes=SMALL))
    monkeypatch.setattr(pace_module, "SLOW_SYNC_US", -1)
    modes = []
    for sequence in range(pace_module.SLOW_SYNCS_TOLERATED + 2):
        await store.append(append(0, sequence))
        modes.append(store.status().fsync)
    assert modes == ["inline"] * 7 + ["thread"] * 3
    await store.close()


async def test_status_names_the_disk_figures(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=StoreOptions(fsync="inline", segment_bytes=SMALL))
    for sequence in range(3):
        await store.append(append(0, sequence))
    status = store.status()
    assert (status.last_index, status.fsyncs, status.segments, status.bytes) == (3, 3, 1, SMALL)
    assert 0 < status.fsync_last_us <= status.fsync_worst_us
    await store.close()
