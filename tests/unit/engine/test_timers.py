"""Wake-ups: at most one a key, never before its moment. Time is virtual: the loop's own timer only asks."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.engine import timers as module
from argyll.engine.timers import Timers


class VirtualTimers:
    """Timers on a clock that a test moves. `move` stands for the loop's timer firing, early or late."""

    def __init__(self) -> None:
        self.now_us = 1_000
        self.fired: list[tuple[int, str]] = []
        self.timers = Timers(lambda: self.now_us, lambda key: self.fired.append((self.now_us, key)))

    def move(self, to_us: int) -> list[str]:
        self.now_us = to_us
        before = len(self.fired)
        handle = self.timers._handle
        if handle is not None:
            handle.cancel()
            self.timers._run()
        return [key for _, key in self.fired[before:]]


@pytest.fixture
async def virtual() -> AsyncIterator[VirtualTimers]:
    made = VirtualTimers()
    yield made
    made.timers.close()


async def test_keys_fire_once_each_in_order_of_their_moments(virtual: VirtualTimers):
    """execution.md 13.22/203"""
    for key, at_us in (("c", 3_000), ("a", 2_000), ("b", 2_000)):
        virtual.timers.set(key, at_us)
    assert virtual.move(5_000) == ["a", "b", "c"]
    assert virtual.move(9_000) == []
    assert len(virtual.timers) == 0


async def test_a_loop_timer_that_comes_early_fires_nothing(virtual: VirtualTimers):
    """execution.md 13.22/203, 13.9/98"""
    virtual.timers.set("a", 2_000)
    assert virtual.move(1_999) == []
    assert virtual.move(2_000) == ["a"]


async def test_a_key_is_replaced_both_ways(virtual: VirtualTimers):
    """execution.md 13.22/203-204"""
    virtual.timers.set("later", 2_000)
    virtual.timers.set("later", 4_000)
    virtual.timers.set("sooner", 9_000)
    virtual.timers.set("sooner", 3_000)
    assert len(virtual.timers) == 2
    assert virtual.move(2_000) == []
    assert virtual.move(3_000) == ["sooner"]
    assert virtual.move(9_000) == ["later"]


async def test_a_cancelled_key_does_not_fire_and_may_come_again(virtual: VirtualTimers):
    """execution.md 13.22/203-204"""
    virtual.timers.set("a", 2_000)
    virtual.timers.cancel("a")
    virtual.timers.cancel("unknown")
    virtual.timers.set("b", 2_500)
    assert virtual.move(2_500) == ["b"]
    virtual.timers.set("a", 2_600)
    assert virtual.move(2_600) == ["a"]


async def test_what_fires_may_set_itself_again(virtual: VirtualTimers):
    rounds: list[int] = []

    def fire(key: str) -> None:
        rounds.append(virtual.now_us)
        if len(rounds) < 3:
            virtual.timers.set(key, virtual.now_us + 10)

    virtual.timers._fire = fire
    virtual.timers.set("a", 2_000)
    for now in (2_000, 2_010, 2_020, 2_030):
        virtual.move(now)
    assert rounds == [2_000, 2_010, 2_020]


async def test_the_heap_does_not_grow_with_replaced_wake_ups(virtual: VirtualTimers, monkeypatch: pytest.MonkeyPatch):
    """execution.md 13.22/204"""
    monkeypatch.setattr(module, "_REBUILD_STALE", 8)
    for n in range(1_000):
        virtual.timers.set("a", 10_000 + n)
        virtual.timers.set("b", 20_000 + n)
    assert len(virtual.timers._heap) <= 2 * 2 + 8 + 1
    assert virtual.move(10_998) == []
    assert virtual.move(10_999) == ["a"]
    assert virtual.move(20_999) == ["b"]


KEYS = st.sampled_from("abcd")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.integers(0, 60)),
        st.tuples(st.just("cancel"), KEYS, st.just(0)),
        st.tuples(st.just("move"), st.just(""), st.integers(0, 20)),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_what_fires_is_what_a_plain_table_says(actions: list[tuple[str, str, int]]):
    async def run() -> None:
        virtual, due, now = VirtualTimers(), dict[str, int](), 1_000
        for action, key, amount in actions:
            match action:
                case "set":
                    due[key] = now + amount
                    virtual.timers.set(key, due[key])
                case "cancel":
                    due.pop(key, None)
                    virtual.timers.cancel(key)
                case _:
                    now += amount
                    expected = sorted((at_us, name) for name, at_us in due.items() if at_us <= now)
                    assert virtual.move(now) == [name for _, name in expected]
                    due = {name: at_us for name, at_us in due.items() if at_us > now}
            assert len(virtual.timers) == len(due)
        virtual.timers.close()

    asyncio.run(run())


async def test_nothing_fires_after_the_close(virtual: VirtualTimers):
    virtual.timers.set("a", 2_000)
    virtual.timers.close()
    virtual.timers.set("b", 2_000)
    assert virtual.move(5_000) == []
    assert len(virtual.timers) == 0


async def test_the_loop_wakes_a_key_by_itself():
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    timers = Timers(lambda: int(loop.time() * 1e6), lambda key: woken.set())
    timers.set("far", int((loop.time() + 3_600) * 1e6))
    timers.set("near", int((loop.time() + 0.001) * 1e6))
    async with asyncio.timeout(10):
        await woken.wait()
    assert len(timers) == 1
    timers.close()
