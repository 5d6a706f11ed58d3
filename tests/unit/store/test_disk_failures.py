"""A disk that refuses: nothing is acknowledged afterwards, nothing acknowledged is lost."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from argyll.store import Append, FlowQuery, IndexUpdate, NewEvent, Store, StoreFailed, StoreOptions
from argyll.store import wal as wal_module

FLOW = ("flow", "f")


def append(expected: int) -> Append:
    return Append(FLOW, expected, expected, [NewEvent("e", b"{}")], IndexUpdate("active"))


def no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_fails(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def half_then_no_space() -> Callable[[int, bytes, int], int]:
    pwrite, calls = os.pwrite, iter([True])

    def write(descriptor: int, data: bytes, offset: int) -> int:
        return pwrite(descriptor, data[:20], offset) if next(calls, False) else no_space()

    return write


FAILURES = {
    "full": lambda patch: patch.setattr(os, "pwrite", no_space),
    "full half way": lambda patch: patch.setattr(os, "pwrite", half_then_no_space()),
    "sync": lambda patch: patch.setattr(wal_module, "sync_data", sync_fails),
}


@pytest.mark.parametrize("fsync", ["inline", "thread"])
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_write_fails_every_waiter_and_all_that_come_later(
    tmp_path: Path, failure: str, fsync: str
) -> None:
    options = StoreOptions(fsync=fsync, segment_bytes=64 << 10)
    store = await Store.open(tmp_path, options=options)
    assert await store.append(append(0)) == 1
    with pytest.MonkeyPatch.context() as patch:
        FAILURES[failure](patch)
        results = await asyncio.gather(*[store.append(append(n)) for n in range(1, 4)], return_exceptions=True)
        assert [type(result) for result in results] == [StoreFailed] * 3
        assert "restart this node" in str(results[0])
    for _ in range(2):
        with pytest.raises(StoreFailed, match=r"No space left|Input/output error"):
            await store.append(append(1))
    assert store.status().role == "failed"
    assert store.next_sequence(FLOW) == 1, "reads go on"
    assert store.query_flows(FlowQuery()).total == 1
    await store.close()

    store = await Store.open(tmp_path, options=options)
    # The three unacknowledged may be there or not, whole and in order; the acknowledged one is.
    found = store.next_sequence(FLOW)
    assert found in {1, 4}
    assert await store.append(append(found)) == found + 1
    await store.close()


async def test_a_sync_is_never_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await Store.open(tmp_path, options=StoreOptions(fsync="inline", segment_bytes=64 << 10))
    syncs: list[int] = []

    def fail(descriptor: int) -> None:
        syncs.append(descriptor)
        sync_fails()

    monkeypatch.setattr(wal_module, "sync_data", fail)
    for _ in range(5):
        with pytest.raises(StoreFailed):
            await store.append(append(0))
    assert len(syncs) == 1
    await store.close()


async def test_no_room_for_another_segment_stops_at_the_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(tmp_path, options=StoreOptions(fsync="inline", segment_bytes=2048))
    monkeypatch.setattr(wal_module.Wal, "_prepare_spare", no_space)
    accepted = 0
    with pytest.raises(StoreFailed, match="No space left"):
        while True:
            accepted = await store.append(append(accepted))
    await store.close()
    monkeypatch.undo()

    store = await Store.open(tmp_path, options=StoreOptions(fsync="inline", segment_bytes=2048))
    assert accepted > 1
    assert store.next_sequence(FLOW) == accepted
    await store.close()


async def test_a_state_that_cannot_be_written_stops_the_store_and_loses_nothing(tmp_path: Path) -> None:
    options = StoreOptions(fsync="inline", segment_bytes=64 << 10)
    store = await Store.open(tmp_path, options=options)
    await store.append(append(0))
    store.active_flows()
    store._state._db.execute("PRAGMA query_only = 1")
    assert await store.append(append(1)) == 2, "the log has it: it counts"
    with pytest.raises(StoreFailed, match=r"state\.db"):
        store.read_events(FLOW)
    with pytest.raises(StoreFailed):
        await store.append(append(2))
    await store.close()

    store = await Store.open(tmp_path, options=options)
    assert store.next_sequence(FLOW) >= 2
    await store.close()


async def test_a_failed_checkpoint_is_reported_and_keeps_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = StoreOptions(fsync="inline", segment_bytes=2048, checkpoint_bytes=1, flush_appends=1)
    store = await Store.open(tmp_path, options=options)
    reported = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.set())
    monkeypatch.setattr(store._state, "checkpoint", sync_fails)
    for n in range(60):
        await store.append(append(n))
    await reported.wait()
    assert store.status().first_index == 1
    assert store.status().segments > 2
    await store.close()
