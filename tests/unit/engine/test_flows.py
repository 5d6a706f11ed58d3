"""Commands on flows over a log whose commits the test decides on: nobody sees what is not committed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from argyll.engine import Engine, EngineConfig
from argyll.engine import flows as flows_module
from argyll.engine import projections as projections_module
from argyll.engine.errors import FlowNotFound, Overloaded, StepNotInFlow, TooLarge, UnknownToken
from argyll.engine.projections import FlowProjections, Projection
from argyll.flow import Succeed
from argyll.model.flow import FlowState
from argyll.model.views import flow_view
from argyll.store import Append, Committed, Conflict, EntryTooLarge, Store, StoreFailed
from argyll.store import Overloaded as StoreOverloaded

from .conftest import Node, Open, Services, step


class HeldStore:
    """The real store, with commits of flows that can be held back or refused."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.holding = False
        self.held: list[tuple[Append, asyncio.Future[int]]] = []
        self.refusals: list[Exception] = []

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def append(self, append: Append) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if append.aggregate[0] == "flow" and self.refusals:
            future.set_exception(self.refusals.pop(0))
            return future
        if append.aggregate[0] != "flow" or not (self.holding or self.held):
            return self._store.append(append)
        self.held.append((append, future))
        return future

    async def release(self, count: int | None = None) -> None:
        """Commit what is held, oldest first."""
        count = len(self.held) if count is None else count
        for append, future in [self.held.pop(0) for _ in range(count)]:
            future.set_result(await self._store.append(append))
        await turns()

    async def refuse(self, error: Exception) -> None:
        """Refuse the oldest append held, and those built on it, as the store does."""
        held, self.held = self.held, []
        for position, (append, future) in enumerate(held):
            future.set_exception(error if not position else Conflict(append.aggregate, append.expected_sequence, 0))
        await turns()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class HeldNode(Node):
    store: HeldStore


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[HeldNode]:
    services, store = Services(), HeldStore(await Store.in_memory())
    node = HeldNode(Engine(EngineConfig(data_dir=tmp_path, drain_s=0), store, services), services)  # pyright: ignore
    node.store = store
    await node.register(
        step("pay", gives=("receipt",)),
        step("hello", "script", script="{:greeting name}", needs=("name",), gives=("greeting",)),
        step("late", gives=("y",), attributes={"x": {"role": "optional", "deadline": 1}}),
    )
    yield node
    store.holding = False
    await store.release()
    await node.engine.close()


async def paying(node: HeldNode, flow_id: str = "f") -> str:
    """Start a flow that waits for one call; gives its token."""
    await node.start(flow_id, "pay")
    return (await node.services.called("pay"))[-1].identity.token


async def test_a_start_is_answered_and_acted_on_only_when_committed(held: HeldNode):
    held.store.holding = True
    starting = asyncio.ensure_future(held.start("f", "pay"))
    await turns()
    assert not starting.done()
    assert held.services.calls == []
    assert held.engine.flow_status("f") is None
    await held.store.release()
    await starting
    assert len(await held.services.called("pay")) == 1


async def test_a_read_waits_until_what_it_shows_is_committed(held: HeldNode):
    token = await paying(held)
    held.store.holding = True
    paid = asyncio.ensure_future(held.engine.complete_work("f", "pay", token, {"receipt": "r"}))
    await turns()
    reading = asyncio.ensure_future(held.view("f"))
    await turns()
    assert not reading.done()
    await held.store.release()
    assert (await reading)["status"] == "completed"
    await paid


async def test_a_read_never_shows_what_was_refused(held: HeldNode):
    token = await paying(held)
    held.store.holding = True
    paid = asyncio.ensure_future(held.engine.complete_work("f", "pay", token, {"receipt": "r"}))
    await turns()
    reading = asyncio.ensure_future(held.view("f"))
    await turns()
    held.store.holding = False
    await held.store.refuse(StoreFailed("syncing", OSError("disk full")))
    assert (await reading)["status"] == "active"
    with pytest.raises(StoreFailed):
        await paid


async def test_commands_of_one_flow_are_pipelined_in_order(held: HeldNode):
    each = step("each", attributes={"items": {"role": "required", "for_each": True}, "y": {"role": "output"}})
    await held.register(each | {"work_config": {"parallelism": 3}})
    await held.engine.start_flow("f", ["each"], {"items": [[1, 2, 3]]})
    calls = await held.services.called("each", 3)
    held.store.holding = True
    for n, call in enumerate(calls):
        asyncio.ensure_future(held.engine.complete_work("f", "each", call.identity.token, {"y": n}))  # noqa: RUF006
    await turns()
    assert [append.expected_sequence for append, _ in held.store.held] == sorted(
        append.expected_sequence for append, _ in held.store.held
    )
    assert len(held.store.held) == 3
    await held.store.release()
    state = await held.ended("f")
    assert [entry["y"] for entry in state["attributes"]["y"][0]["value"]] == [0, 1, 2]


async def test_a_lost_race_is_decided_again_on_what_is_there(held: HeldNode):
    token = await paying(held)
    held.store.refusals = [Conflict(("flow", "f"), 3, 4)] * 3
    await held.engine.complete_work("f", "pay", token, {"receipt": "r"})
    assert (await held.view("f"))["attributes"]["receipt"][0]["value"] == "r"
    assert (await held.types("f")).count("work_succeeded") == 1


async def test_a_repeat_is_not_acknowledged_on_a_result_that_is_refused(held: HeldNode):
    token = await paying(held)
    held.store.holding = True
    first = asyncio.ensure_future(held.engine.complete_work("f", "pay", token, {"receipt": "first"}))
    await turns()
    repeat = asyncio.ensure_future(held.engine.complete_work("f", "pay", token, {"receipt": "repeat"}))
    await turns()
    held.store.holding = False
    await held.store.refuse(StoreOverloaded("max_in_flight_appends", 1, 2))
    with pytest.raises(Overloaded):
        await first
    await repeat
    assert (await held.view("f"))["attributes"]["receipt"][0]["value"] == "repeat"


async def test_starting_twice_is_not_acknowledged_on_a_start_that_is_refused(held: HeldNode):
    held.store.holding = True
    first = asyncio.ensure_future(held.start("f", "pay"))
    await turns()
    second = asyncio.ensure_future(held.start("f", "pay"))
    await turns()
    held.store.holding = False
    await held.store.refuse(StoreOverloaded("max_in_flight_appends", 1, 2))
    with pytest.raises(Overloaded):
        await first
    await second
    assert (await held.types("f"))[0] == "flow_started"


async def test_a_caller_that_gives_up_does_not_take_its_command_with_it(held: HeldNode):
    token = await paying(held)
    held.store.holding = True
    paid = asyncio.ensure_future(held.engine.complete_work("f", "pay", token, {"receipt": "r"}))
    await turns()
    paid.cancel()
    await held.store.release()
    assert (await held.view("f"))["status"] == "completed"
    assert held.engine._flows.pending_appends == 0


async def test_an_append_that_fails_after_its_caller_gave_up_is_forgotten(held: HeldNode):
    token = await paying(held)
    held.store.holding = True
    paid = asyncio.ensure_future(held.engine.complete_work("f", "pay", token, {"receipt": "lost"}))
    await turns()
    paid.cancel()
    await turns()
    held.store.holding = False
    await held.store.refuse(StoreOverloaded("max_in_flight_appends", 1, 2))
    assert held.engine._flows.pending_appends == 0
    assert (await held.view("f"))["status"] == "active"
    await held.engine.complete_work("f", "pay", token, {"receipt": "kept"})
    assert (await held.view("f"))["attributes"]["receipt"][0]["value"] == "kept"


async def test_a_wake_up_that_was_refused_comes_again(held: HeldNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flows_module, "RECHECK_US", 1_000)
    await held.register(step("maker", gives=("x",)))
    await held.start("f", "late")
    await held.services.called("maker")
    held.store.refusals = [StoreOverloaded("max_in_flight_appends", 1, 2)]
    assert len(await held.services.called("late")) == 1  # its deadline's own append was the one refused
    assert held.store.refusals == []


async def test_too_many_pending_appends_refuse_new_flows(held: HeldNode):
    held.engine._flows._max_pending_appends = 1
    held.store.holding = True
    starting = asyncio.ensure_future(held.start("f", "pay"))
    await turns()
    with pytest.raises(Overloaded, match="max_pending_appends 1") as raised:
        await held.start("g", "pay")
    assert raised.value.retry_after_s == 1
    await held.store.release()
    await starting


async def test_what_does_not_fit_an_append_is_refused_for_good(held: HeldNode):
    held.store.refusals = [EntryTooLarge(("flow", "f"), 2, 1)] * 2  # whole, then with a small budget
    with pytest.raises(TooLarge, match="max_append_bytes"):
        await held.start("f", "pay")
    assert await held.view("f") is None
    assert len(held.engine._timers) == 0


async def test_a_result_that_does_not_fit_fails_its_item(held: HeldNode):
    await paying(held)
    held.store.refusals = [EntryTooLarge(("flow", "f"), 2, 1)] * 3  # at once, whole, and with a small budget
    held.services.answer("pay", {"receipt": "x"})
    state = await held.ended("f")
    assert state["status"] == "failed"
    assert "max_append_bytes" in state["error"]


async def test_unknown_flows_steps_and_tokens_are_refused_and_harm_nothing(held: HeldNode):
    """execution.md 13.9/95"""
    token = await paying(held)
    for flow_id, step_id, wrong, error in (
        ("g", "pay", token, FlowNotFound),
        ("f", "other", token, StepNotInFlow),
        ("f", "pay", "nobody", UnknownToken),
    ):
        with pytest.raises(error):
            await held.engine.complete_work(flow_id, step_id, wrong, {})
    await held.engine.complete_work("f", "pay", token, {"receipt": "r"})
    assert (await held.view("f"))["status"] == "completed"


async def test_flows_that_ended_leave_memory(held: HeldNode):
    await held.start("f", "hello", name="Argyll")
    assert held.engine._flows.projections.cached("f") is None
    assert (await held.view("f"))["attributes"]["greeting"][0]["value"] == "Argyll"


# Projections in memory


def folded(store: Store, flow_id: str) -> FlowState:
    state = FlowProjections(store, 8).load(flow_id)
    assert state is not None
    return state


async def test_a_state_from_a_snapshot_equals_one_from_all_events(open_node: Open, monkeypatch: pytest.MonkeyPatch):
    node = await open_node()
    each = step("each", attributes={"items": {"role": "required", "for_each": True}, "y": {"role": "output"}})
    await node.register(each | {"work_config": {"parallelism": 2}}, step("pay", "async", needs=("y",), gives=("z",)))
    node.services.answers("each", {"y": 1})
    await node.engine.start_flow("f", ["pay"], {"items": [[1, 2, 3, 4]]}, {"team": "a"})
    await node.services.called("pay")
    await node.view("f")
    from_events = folded(node.engine._store, "f")
    monkeypatch.setattr(projections_module, "SNAPSHOT_AFTER_EVENTS", 1)
    folded(node.engine._store, "f")
    snapshot = node.engine._store.snapshot(("flow", "f"))
    assert snapshot is not None
    assert snapshot[0] == from_events.sequence
    from_snapshot = folded(node.engine._store, "f")
    assert flow_view(from_snapshot) == flow_view(from_events)
    # Both go on alike: the snapshot holds everything the machine needs.
    await node.engine.close()
    node = await open_node()
    (again,) = await node.services.called("pay")
    await node.engine.complete_work("f", "pay", again.identity.token, {"z": 1})
    assert (await node.ended("f"))["status"] == "completed"


async def test_only_idle_projections_leave_and_the_oldest_first(held: HeldNode):
    for flow_id in ("a", "b", "c"):
        await paying(held, flow_id)
    kept = FlowProjections(held.store, 2)  # pyright: ignore
    a, b, c = (Projection(folded(held.engine._store, flow_id)) for flow_id in ("a", "b", "c"))
    a.in_flight = 1
    for projection in (a, b, c):
        kept.put(projection)
    assert [flow_id for flow_id in ("a", "b", "c") if kept.cached(flow_id)] == ["a", "c"]
    assert kept.get("b") is not b
    assert kept.get("nobody") is None


async def test_evicted_flows_go_on_from_the_log(tmp_path: Path):
    services = Services()
    engine = Engine(EngineConfig(data_dir=tmp_path, drain_s=0, flow_cache_entries=1), await Store.in_memory(), services)
    node = Node(engine, services)
    await node.register(step("pay", gives=("receipt",)))
    for n in range(5):
        await node.start(f"f{n}", "pay")
    await services.called("pay", 5)
    assert len(engine._flows.projections) == 1
    for _ in range(5):
        services.answer("pay", {"receipt": "r"})
    for n in range(5):
        assert (await node.ended(f"f{n}"))["status"] == "completed"
    await engine.close()


async def test_an_onlooker_that_fails_does_not_stop_a_flow(node: Node):
    def fail(committed: Committed) -> None:
        raise RuntimeError("onlooker")

    node.engine.listen(fail)
    await node.register(step("pay", gives=("receipt",)))
    await node.start("f", "pay")
    await node.services.called("pay")
    node.services.answer("pay", {"receipt": "r"})
    assert (await node.ended("f"))["status"] == "completed"


async def test_submitting_a_repeat_waits_for_what_it_repeats(held: HeldNode):
    token = await paying(held)
    held.store.holding = True
    again: list[str] = []
    flows = held.engine._flows
    assert flows.submit("f", Succeed("pay", token, {"receipt": "a"}), lambda: again.append("a"))
    assert not flows.submit("f", Succeed("pay", token, {"receipt": "b"}), lambda: again.append("b"))
    held.store.holding = False
    await held.store.refuse(StoreOverloaded("max_in_flight_appends", 1, 2))
    assert again == ["a"]
