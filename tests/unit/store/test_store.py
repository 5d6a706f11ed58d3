"""The store as the engine sees it: appends, conflicts, histories, listeners, snapshots, limits, reopening."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from argyll.store import (
    Aggregate,
    Append,
    Committed,
    Conflict,
    EntryTooLarge,
    IndexUpdate,
    NewEvent,
    Overloaded,
    Record,
    Store,
    StoreClosed,
    StoreOptions,
)

OPTIONS = StoreOptions(segment_bytes=64 << 10, fsync="inline")
FLOW = ("flow", "f")
OpenStore = Callable[..., Awaitable[Store]]


def events(*names: str) -> list[NewEvent]:
    return [NewEvent(name, b'{"name":"%s"}' % name.encode()) for name in names]


def append(aggregate: Aggregate, expected: int, *names: str, **fields: object) -> Append:
    return Append(aggregate, expected, 1_000 + expected, events(*(names or ("e",))), **fields)


async def append_as_engine(store: Store, name: str) -> int:
    """Reload and decide again, a few times at most."""
    for _ in range(3):
        try:
            return await store.append(append(FLOW, store.next_sequence(FLOW), name))
        except Conflict:
            await asyncio.sleep(0)
    raise AssertionError("still in conflict")


@pytest.fixture(params=["directory", "memory"])
def open_any(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    def open_(options: StoreOptions = OPTIONS) -> Awaitable[Store]:
        return Store.in_memory(options=options) if request.param == "memory" else Store.open(tmp_path, options=options)

    return open_


async def test_an_append_gives_the_next_sequence_and_is_read_back(open_any: OpenStore) -> None:
    store = await open_any()
    assert await store.append(append(FLOW, 0, "a", "b")) == 2
    assert await store.append(append(FLOW, 2, "c")) == 3
    expected = [
        Record(0, 1000, "a", b'{"name":"a"}'),
        Record(1, 1000, "b", b'{"name":"b"}'),
        Record(2, 1002, "c", b'{"name":"c"}'),
    ]
    assert store.read_events(FLOW) == expected
    assert await store.events(FLOW) == expected
    assert store.next_sequence(FLOW) == 3
    await store.close()


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        (0, None, "abcde"),
        (1, None, "bcde"),
        (3, None, "de"),
        (5, None, ""),
        (9, None, ""),
        (0, 2, "ab"),
        (2, 2, "cd"),
        (4, 9, "e"),
        (0, 0, ""),
    ],
)
async def test_a_history_is_read_from_anywhere(
    open_any: OpenStore, start: int, limit: int | None, expected: str
) -> None:
    store = await open_any()
    await store.append(append(FLOW, 0, "a", "b", "c"))
    await store.append(append(FLOW, 3, "d", "e"))
    found = store.read_events(FLOW, start, limit)
    assert "".join(record.type for record in found) == expected
    assert [record.sequence for record in found] == list(range(start, start + len(expected)))
    assert await store.events(FLOW, start, limit) == found
    await store.close()


async def test_a_long_history_is_read_whole(open_any: OpenStore) -> None:
    store = await open_any()
    for first in range(0, 5000, 500):
        await store.append(append(FLOW, first, *["e"] * 500))
    found = await store.events(FLOW)
    assert [record.sequence for record in found] == list(range(5000))
    await store.close()


async def test_histories_do_not_mix(open_any: OpenStore) -> None:
    store = await open_any()
    await asyncio.gather(*[store.append(append(("flow", f"f{n}"), 0, f"e{n}")) for n in range(20)])
    await asyncio.gather(*[store.append(append(("flow", f"f{n}"), 1, f"x{n}")) for n in range(20)])
    for n in range(20):
        assert [record.type for record in store.read_events(("flow", f"f{n}"))] == [f"e{n}", f"x{n}"]
    assert store.read_events(("flow", "f")) == []
    assert store.next_sequence(("flow", "f")) == 0
    await store.close()


async def test_an_outdated_append_is_refused_with_the_actual_sequence(open_any: OpenStore) -> None:
    store = await open_any()
    await store.append(append(FLOW, 0, "a", "b"))
    for expected in (0, 1, 3):
        with pytest.raises(Conflict, match="next is 2") as caught:
            await store.append(append(FLOW, expected, "x"))
        assert caught.value.actual == 2
    assert await store.append(append(FLOW, 2, "c")) == 3
    await store.close()


async def test_appends_in_one_turn_build_on_each_other(open_any: OpenStore) -> None:
    store = await open_any()
    futures = [store.append(append(FLOW, 2 * n, "a", "b")) for n in range(100)]
    assert store.next_sequence(FLOW) == 0, "nothing shows before it is committed"
    assert await asyncio.gather(*futures) == list(range(2, 202, 2))
    await store.close()


async def test_what_was_built_on_a_refused_append_is_refused(open_any: OpenStore) -> None:
    """The stranger's append gives the second of ours the sequence it expects; it must not pass for that."""
    store = await open_any()
    stranger = store.append(append(FLOW, 0, "stranger"))
    ours = [store.append(append(FLOW, 0, "ours-1")), store.append(append(FLOW, 1, "ours-2"))]
    assert await stranger == 1
    for future in ours:
        with pytest.raises(Conflict):
            await future
    assert [record.type for record in store.read_events(FLOW)] == ["stranger"]
    assert await append_as_engine(store, "again") == 2
    await store.close()


async def test_a_conflict_is_told_when_the_winner_can_be_read(open_any: OpenStore) -> None:
    store = await open_any()
    store.append(append(FLOW, 0, "winner"))
    with pytest.raises(Conflict) as caught:
        await store.append(append(FLOW, 0, "loser"))
    assert caught.value.actual == store.next_sequence(FLOW) == 1
    await store.close()


async def test_listeners_hear_every_commit_once_in_order_before_its_future(open_any: OpenStore) -> None:
    store = await open_any()
    heard: list[Committed] = []
    futures: list[asyncio.Future[int]] = []

    def listener(committed: Committed) -> None:
        assert not futures[len(heard)].done()
        heard.append(committed)

    store.listen(listener)
    index = IndexUpdate("active")
    futures += [store.append(append(("flow", f"f{n % 3}"), n // 3, f"e{n}", context=n, index=index)) for n in range(30)]
    refused = store.append(append(FLOW, 7))
    await asyncio.gather(*futures)
    with pytest.raises(Conflict):
        await refused
    assert heard == [
        Committed(("flow", f"f{n % 3}"), n // 3, 1_000 + n // 3, events(f"e{n}"), n, index) for n in range(30)
    ]
    await store.close()


async def test_a_listener_may_append(open_any: OpenStore) -> None:
    store = await open_any()
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def listener(committed: Committed) -> None:
        if committed.first_sequence < 5:
            store.append(append(FLOW, committed.first_sequence + 1))
        else:
            done.set_result(committed.first_sequence)

    store.listen(listener)
    store.append(append(FLOW, 0))
    assert await done == 5
    await store.close()


async def test_a_failing_listener_is_reported_and_undoes_nothing(open_any: OpenStore) -> None:
    store = await open_any()
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
    heard: list[int] = []
    store.listen(lambda _: 1 // 0)
    store.listen(lambda committed: heard.append(committed.first_sequence))
    assert await store.append(append(FLOW, 0)) == 1
    assert heard == [0]
    assert reported == ["a commit listener failed on ('flow', 'f')"]
    await store.close()


async def test_snapshots_keep_the_newest(open_any: OpenStore) -> None:
    store = await open_any()
    assert store.snapshot(FLOW) is None
    await store.append(append(FLOW, 0, "a", "b", "c"))
    store.save_snapshot(FLOW, 2, b"two")
    assert store.snapshot(FLOW) == (2, b"two")
    store.active_flows()
    store.save_snapshot(FLOW, 1, b"one")
    assert store.snapshot(FLOW) == (2, b"two")
    store.save_snapshot(FLOW, 3, b"three")
    assert store.snapshot(FLOW) == (3, b"three")
    with pytest.raises(ValueError, match="history ends at 3"):
        store.save_snapshot(FLOW, 4, b"future")
    await store.close()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Append(FLOW, 0, 0, []), "at least one event"),
        (Append((), 0, 0, events("e")), "needs an aggregate"),
        (Append(FLOW, -1, 0, events("e")), "sequence"),
        (Append(FLOW, 1 << 32, 0, events("e")), "sequence"),
        (Append(("catalog",), 0, 0, events("e"), IndexUpdate("active")), "only"),
        (Append(FLOW, 0, 0, events("e"), IndexUpdate("odd")), "status 'odd'"),
        (Append(FLOW, 0, 0, [NewEvent("e" * 65_536, b"{}")]), "type of 65536 bytes"),
    ],
)
async def test_a_wrong_append_is_the_callers_fault(open_any: OpenStore, wrong: Append, text: str) -> None:
    store = await open_any()
    with pytest.raises(ValueError, match=text):
        store.append(wrong)
    assert not store._lanes
    assert await store.append(append(FLOW, 0)) == 1
    assert not store._lanes
    await store.close()


async def test_max_append_bytes(open_any: OpenStore) -> None:
    store = await open_any(StoreOptions(max_append_bytes=200, fsync="inline", segment_bytes=64 << 10))
    with pytest.raises(EntryTooLarge, match="max_append_bytes allows 200"):
        await store.append(Append(FLOW, 0, 0, [NewEvent("e", b"x" * 200)]))
    assert await store.append(append(FLOW, 0)) == 1
    await store.close()


async def test_what_was_built_on_a_too_large_append_is_refused(open_any: OpenStore) -> None:
    store = await open_any(StoreOptions(max_append_bytes=200, fsync="inline", segment_bytes=64 << 10))
    large = store.append(Append(FLOW, 0, 0, [NewEvent("e", b"x" * 200)]))
    built_on = store.append(append(FLOW, 0, "other view of the flow"))
    for future, error in ((large, EntryTooLarge), (built_on, Conflict)):
        with pytest.raises(error):
            await future
    assert await store.append(append(FLOW, 0)) == 1
    await store.close()


@pytest.mark.parametrize(
    ("limit", "options"),
    [
        ("max_in_flight_appends", StoreOptions(max_in_flight_appends=3, fsync="inline", segment_bytes=64 << 10)),
        ("max_in_flight_bytes", StoreOptions(max_in_flight_bytes=250, fsync="inline", segment_bytes=64 << 10)),
    ],
)
async def test_too_much_in_flight_is_refused_and_passes(tmp_path: Path, limit: str, options: StoreOptions) -> None:
    store = await Store.open(tmp_path, options=options)
    futures = [store.append(append(("flow", f"f{n}"), 0)) for n in range(10)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    accepted = results.count(1)
    assert 0 < accepted < 10
    assert all(isinstance(result, Overloaded) and limit in str(result) for result in results[accepted:])
    assert await store.append(append(("flow", "f9"), 0)) == 1
    await store.close()


@pytest.mark.parametrize("name", ["segment_bytes", "flush_appends", "max_in_flight_bytes", "cached_aggregates"])
def test_options_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        StoreOptions(**{name: 0})


async def test_a_closed_store_refuses(open_any: OpenStore) -> None:
    """execution.md 13.2/34"""
    store = await open_any()
    pending = store.append(append(FLOW, 0))
    await store.close()
    assert pending.result() == 1
    with pytest.raises(StoreClosed):
        store.append(append(("flow", "other"), 0)).result()
    with pytest.raises(StoreClosed):
        store.read_events(FLOW)
    await store.close()


async def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=OPTIONS)
    await store.append(append(FLOW, 0, "a", index=IndexUpdate("active", {"k": "v"})))
    await store.append(append(("catalog",), 0, "step_registered"))
    store.save_snapshot(FLOW, 1, b"snap")
    await store.close()

    store = await Store.open(tmp_path, options=OPTIONS)
    heard: list[Committed] = []
    store.listen(heard.append)
    assert [record.type for record in store.read_events(FLOW)] == ["a"]
    assert store.next_sequence(("catalog",)) == 1
    assert store.snapshot(FLOW) == (1, b"snap")
    assert store.flow_status("f") == "active"
    assert store.active_flows() == ["f"]
    assert await store.append(append(FLOW, 1, "b", index=IndexUpdate("completed"))) == 2
    assert [committed.first_sequence for committed in heard] == [1], "the replay is not told"
    await store.close()


async def test_the_log_alone_brings_everything_back(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=OPTIONS)
    for n in range(300):
        index = IndexUpdate("active" if n % 2 else "completed", {"k": str(n % 7)})
        await store.append(append(("flow", f"f{n}"), 0, "a", index=index))
        await store.append(append(("flow", f"f{n}"), 1, "b"))
    active = store.active_flows()
    await store.close()
    for file in tmp_path.glob("state.db*"):
        file.unlink()

    store = await Store.open(tmp_path, options=OPTIONS)
    assert store.active_flows() == active
    assert store.next_sequence(("flow", "f7")) == 2
    await store.close()


async def test_forgotten_aggregates_are_found_again(tmp_path: Path) -> None:
    store = await Store.open(
        tmp_path, options=StoreOptions(cached_aggregates=2, flush_appends=3, fsync="inline", segment_bytes=64 << 10)
    )
    for round_ in range(5):
        for n in range(10):
            await store.append(append(("flow", f"f{n}"), round_, f"{n}-{round_}"))
        store.active_flows()
    for n in range(10):
        assert [record.type for record in store.read_events(("flow", f"f{n}"))] == [f"{n}-{r}" for r in range(5)]
    await store.close()


async def test_the_log_is_trimmed_while_running(tmp_path: Path) -> None:
    options = StoreOptions(
        segment_bytes=32 << 10, checkpoint_bytes=64 << 10, flush_appends=16, flush_delay_ms=1, fsync="inline"
    )
    store = await Store.open(tmp_path, options=options)
    release = store._log.release

    forgotten: list[bool] = []

    def watch(index: int) -> None:
        forgotten.append(index > store._state.applied_index)
        release(index)

    store._log.release = watch
    written = 0
    while store.status().first_index == 1:
        futures = [store.append(Append(("flow", f"f{n}"), written, 0, [NewEvent("e", b"x" * 500)])) for n in range(20)]
        await asyncio.gather(*futures)
        written += 1
    assert store.status().segments >= 2
    assert not any(forgotten), "the log forgets what state.db does not have"
    await store.close()
    store = await Store.open(tmp_path, options=options)
    assert all(store.next_sequence(("flow", f"f{n}")) == written for n in range(20))
    await store.close()


async def test_a_reader_of_the_database_file_only_delays_the_trimming(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=OPTIONS)
    await store.append(append(FLOW, 0))
    store.active_flows()
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM appends").fetchall()
    await store.append(append(FLOW, 1))
    store.active_flows()
    assert not store._state.checkpoint()
    other.execute("COMMIT")
    assert store._state.checkpoint()
    other.close()
    await store.close()


async def test_rows_are_written_without_being_asked_for(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=StoreOptions(flush_delay_ms=1, fsync="inline", segment_bytes=64 << 10))
    await store.append(append(FLOW, 0))
    written = asyncio.Event()
    flush = store._state.flush
    store._state.flush = lambda *args: (flush(*args), written.set())
    await written.wait()
    assert store._state.applied_index == 1
    await store.close()


async def test_a_cancelled_append_is_recorded_and_harms_nothing(open_any: OpenStore) -> None:
    store = await open_any()
    store.append(append(FLOW, 0, "left")).cancel()
    await store.append(append(("flow", "other"), 0))
    await append_as_engine(store, "next")
    assert [record.type for record in store.read_events(FLOW)] == ["left", "next"]
    await store.close()
