"""Several engines over one log: who works, who takes over, and who tells whom."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import Engine, EngineConfig, claims, membership
from argyll.engine.caller import Retryable
from argyll.engine.ownership import first_choice
from argyll.model.catalog import Health
from argyll.model.events import CompStarted, DispatchDeferred, NodeLeft, WorkStarted, decode_payload

from .conftest import Node, Services, step
from .shared_log import SharedLog, SharedLogNode

NODES = ("n1", "n2", "n3")
QUICK = {"init_backoff": 1, "max_backoff": 1, "backoff_type": "fixed"}


class Member(Node):
    """One of several nodes."""

    def __init__(self, engine: Engine, services: Services, log: SharedLogNode) -> None:
        super().__init__(engine, services)
        self.log = log


class Several:
    """Nodes over one log; each has services of its own, so that a call says which node made it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.log = SharedLog()
        self.nodes: dict[str, Member] = {}

    async def open(self, *node_ids: str, services: Services | None = None, **settings: Any) -> list[Member]:
        for node_id in node_ids:
            store = self.log.open(node_id)
            config = EngineConfig(data_dir=self._directory, node_id=node_id, **{"drain_s": 0.0, **settings})
            mine = services or Services()
            self.nodes[node_id] = Member(Engine(config, store, mine), mine, self.log.nodes[node_id])
        for node_id in node_ids:
            self.nodes[node_id].engine._spawn(self.nodes[node_id].engine._recover())
        for node_id in node_ids:
            await self.seen(node_id, "joined")
        return [self.nodes[node_id] for node_id in node_ids]

    async def seen(self, node_id: str, presence: str) -> None:
        """Every node that is there knows this of a node."""
        for node in self.nodes.values():
            if node.log.is_connected and not node.log.is_held:
                await node.until_true(partial(knows, node, node_id, presence))

    def kill(self, node_id: str) -> Member:
        """The node is gone, without a word."""
        node = self.nodes.pop(node_id)
        node.log.connect(False)
        for task in [*node.engine._background, *node.engine._dispatcher._tasks]:
            task.cancel()
        node.engine._timers.close()
        return node

    def owned_by(self, node_id: str, stem: str = "f") -> str:
        """The id of a flow that this node owns while all three are there."""
        return next(f"{stem}{n}" for n in range(1_000) if first_choice(NODES, f"{stem}{n}") == node_id)

    async def close(self) -> None:
        for node in list(self.nodes.values()):
            node.log.connect(False)
            await node.engine.close()


def knows(node: Node, node_id: str, presence: str) -> bool:
    return presence_of(node, node_id) == presence


def presence_of(node: Node, node_id: str) -> str:
    known = node.engine.cluster.nodes.get(node_id)
    return known.presence if known is not None else ""


@pytest.fixture
async def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Several]:
    monkeypatch.setattr(membership, "POLL_S", 0.005)
    monkeypatch.setattr(membership, "LOST_AFTER_S", 0.03)
    monkeypatch.setattr("argyll.engine.cooperation.FAREWELL_S", 0.2)
    cluster = Several(tmp_path)
    yield cluster
    await cluster.close()


async def same_histories(several: Several, *flow_ids: str) -> None:
    for flow_id in flow_ids:
        histories = [await node.engine.events(("flow", flow_id)) for node in several.nodes.values()]
        assert all(history == histories[0] for history in histories)


@pytest.mark.parametrize("started_at", NODES)
async def test_the_owner_works_wherever_a_flow_is_started(several: Several, started_at: str):
    nodes = await several.open(*NODES)
    await nodes[0].register(step("pay", gives=("y",)))
    flow_id = several.owned_by("n2")
    await several.nodes[started_at].until_step("pay")
    await several.nodes[started_at].start(flow_id, "pay")
    await several.nodes["n2"].services.called("pay")
    several.nodes["n2"].services.answer("pay", {"y": 1})
    for node in nodes:
        assert (await node.ended(flow_id))["status"] == "completed"
    assert [len(node.services.calls) for node in nodes] == [0, 1, 0]
    await same_histories(several, flow_id)


async def test_a_result_may_come_to_any_node(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("ask", "async", gives=("y",)), step("pay", needs=("y",), gives=("z",)))
    await n3.until_step("pay")
    flow_id = several.owned_by("n2")
    n2.services.answers("ask", {})
    await n3.start(flow_id, "pay")
    (call,) = await n2.services.called("ask")
    await n1.engine.complete_work(flow_id, "ask", call.identity.token, {"y": 1})
    await n2.services.called("pay")
    n2.services.answer("pay", {"z": 2})
    assert (await n3.ended(flow_id))["attributes"]["z"][0]["value"] == 2


async def test_a_script_flow_is_one_append_on_any_node(several: Several):
    n1, _, n3 = await several.open(*NODES)
    await n1.register(step("greet", "script", script='{:greeting "hi"}', gives=("greeting",)))
    await n3.until_step("greet")
    flow_id = several.owned_by("n2")
    await n3.start(flow_id, "greet")
    assert (await n3.types(flow_id))[-1] == "flow_deactivated"
    assert len([c for c in n3.commits if c.aggregate == ("flow", flow_id)]) == 1


async def test_a_retry_is_made_once_by_the_owner(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("pay", gives=("y",), work_config=QUICK))
    await n3.until_step("pay")
    flow_id = several.owned_by("n2")
    n2.services.answers("pay", Retryable("busy"), Retryable("busy"), {"y": 1})
    await n1.start(flow_id, "pay")
    assert (await n3.ended(flow_id))["status"] == "completed"
    assert [len(node.services.calls) for node in (n1, n2, n3)] == [0, 3, 0]


async def test_what_a_dead_node_was_calling_another_calls(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("pay", gives=("y",)))
    await n3.until_step("pay")
    flow_id = several.owned_by("n2")
    await n1.start(flow_id, "pay")
    (before,) = await n2.services.called("pay")
    several.kill("n2")
    heir = several.nodes[first_choice(("n1", "n3"), flow_id)]
    (after,) = await heir.services.called("pay")
    assert after.identity.token == before.identity.token
    heir.services.answer("pay", {"y": 1})
    assert (await n1.ended(flow_id))["status"] == "completed"
    started = [e for e in await n1.history(flow_id) if isinstance(e, WorkStarted)]
    assert [(e.node_id, e.attempt) for e in started] == [("n2", 1), (heir.engine.node_id, 2)]
    assert len(n1.services.calls) + len(n3.services.calls) == 1
    left = [decode_payload(r.type, r.data) for r in await n1.engine.events(("cluster",))]
    assert NodeLeft("n2", "not heard by n1") in left


async def test_work_that_waits_for_its_webhook_survives_its_node(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("ask", "async", gives=("y",)))
    await n3.until_step("ask")
    flow_id = several.owned_by("n2")
    for node in (n1, n2, n3):
        node.services.answers("ask", {})
    await n1.start(flow_id, "ask")
    (call,) = await n2.services.called("ask")
    several.kill("n2")
    await n3.engine.complete_work(flow_id, "ask", call.identity.token, {"y": 1})
    assert (await n1.ended(flow_id))["attributes"]["y"][0]["value"] == 1


async def test_a_retry_of_a_dead_node_is_made_when_it_is_due(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("pay", gives=("y",), work_config={**QUICK, "init_backoff": 200, "max_backoff": 200}))
    await n3.until_step("pay")
    flow_id = several.owned_by("n2")
    for node in (n1, n3):
        node.services.answers("pay", {"y": 1})
    n2.services.answers("pay", Retryable("busy"))
    await n1.start(flow_id, "pay")
    await n1.until(flow_id, "work_retry_scheduled")
    several.kill("n2")
    assert (await n3.ended(flow_id))["status"] == "completed"
    assert len(n1.services.calls) + len(n3.services.calls) == 1


async def test_a_node_that_comes_takes_its_share_and_leaves_what_runs(several: Several):
    n1, n2 = await several.open("n1", "n2")
    await n1.register(step("pay", gives=("y",)), step("ship", needs=("y",), gives=("z",)))
    await n2.until_step("ship")
    flow_id = several.owned_by("n3")
    await n1.start(flow_id, "ship")
    worker = several.nodes[first_choice(("n1", "n2"), flow_id)]
    await worker.services.called("pay")
    (n3,) = await several.open("n3")
    worker.services.answer("pay", {"y": 1})
    await n3.services.called("ship")
    n3.services.answer("ship", {"z": 1})
    assert (await n1.ended(flow_id))["status"] == "completed"
    assert len(n1.services.of("pay") + n2.services.of("pay") + n3.services.of("pay")) == 1


async def test_a_node_that_restarts_calls_again_what_it_was_calling(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("pay", gives=("y",)))
    await n3.until_step("pay")
    flow_id = several.owned_by("n2")
    await n1.start(flow_id, "pay")
    (before,) = await n2.services.called("pay")
    several.kill("n2")
    (again,) = await several.open("n2")  # before anybody missed it
    nodes = (n1, again, n3)
    await n1.until(flow_id, "work_started", 2)
    claimed = [e for e in await n1.history(flow_id) if isinstance(e, WorkStarted)]
    caller = several.nodes[claimed[1].node_id]
    await caller.services.called("pay")
    assert caller.services.calls[0].identity.token == before.identity.token
    caller.services.answer("pay", {"y": 1})
    assert (await n1.ended(flow_id))["status"] == "completed"
    assert sum(len(node.services.calls) for node in nodes) == 1


async def test_a_stopping_node_lets_its_call_end_and_hands_over_the_rest(several: Several):
    n1, n2, n3 = await several.open("n1", "n2", "n3", drain_s=10.0)
    await n1.register(step("pay", gives=("y",)), step("ship", needs=("y",), gives=("z",)))
    await n3.until_step("ship")
    flow_id = several.owned_by("n2")
    for node in (n1, n3):
        node.services.answers("ship", {"z": 1})
    await n1.start(flow_id, "ship")
    await n2.services.called("pay")
    closing = asyncio.ensure_future(n2.engine.close())
    await several.seen("n2", "leaving")
    n2.services.answer("pay", {"y": 1})
    await closing
    del several.nodes["n2"]
    assert (await n1.ended(flow_id))["status"] == "completed"
    assert [len(node.services.of("pay")) for node in (n1, n2, n3)] == [0, 1, 0]
    assert n2.services.of("ship") == []
    assert presence_of(n1, "n2") == "left"


async def test_a_node_that_was_only_cut_off_comes_back(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("ask", "async", gives=("y",)))
    await n3.until_step("ask")
    for node in (n1, n2, n3):
        node.services.answers("ask", {})
    flow_id = several.owned_by("n2")
    await n1.start(flow_id, "ask")
    await n2.services.called("ask")
    n2.log.connect(False)
    await several.seen("n2", "left")
    n2.log.connect(True)
    await several.seen("n2", "joined")
    other = several.owned_by("n2", stem="g")
    await n1.start(other, "ask")
    await n2.services.called("ask", 2)
    # It calls nothing again that another node has taken over.
    assert [call.identity.flow_id for call in n2.services.calls] == [flow_id, other]


PARENT = [
    step("inner", gives=("y",)),
    step("gate", "flow", goals=["inner"], gives=("y",)),
]


async def test_a_parent_hears_once_from_its_child(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(*PARENT)
    await n3.until_step("gate")
    flow_id = several.owned_by("n2")
    await n3.start(flow_id, "gate")
    await n2.services.called("inner")
    n2.services.answer("inner", {"y": 7})
    assert (await n1.ended(flow_id))["attributes"]["y"][0]["value"] == 7
    assert (await n1.types(flow_id)).count("work_succeeded") == 1


async def test_a_parent_hears_of_a_child_that_ended_as_the_owner_died(
    several: Several, monkeypatch: pytest.MonkeyPatch
):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(*PARENT)
    await n3.until_step("gate")
    flow_id = several.owned_by("n2")
    await n3.start(flow_id, "gate")
    (call,) = await n2.services.called("inner")
    monkeypatch.setattr(n2.engine._dispatcher, "_tell_parent", lambda child: asyncio.sleep(0))
    await n3.engine.complete_work(call.identity.flow_id, "inner", call.identity.token, {"y": 7})
    await n1.ended(call.identity.flow_id)
    several.kill("n2")
    assert (await n1.ended(flow_id))["attributes"]["y"][0]["value"] == 7
    assert (await n1.types(flow_id)).count("work_succeeded") == 1


async def test_the_owner_tells_the_parent_whichever_node_ended_the_child(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(*PARENT)
    await n3.until_step("gate")
    flow_id = several.owned_by("n2")
    await n3.start(flow_id, "gate")
    (call,) = await n2.services.called("inner")
    await n3.engine.complete_work(call.identity.flow_id, "inner", call.identity.token, {"y": 7})
    assert (await n1.ended(flow_id))["status"] == "completed"


async def test_compensation_goes_on_elsewhere(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    http = {"endpoint": "http://steps/each", "compensate": "http://steps/undo"}
    each = step("each", http=http, attributes={"x": {"role": "required", "for_each": True}, "y": {"role": "output"}})
    await n1.register(each)
    await n3.until_step("each")
    flow_id = several.owned_by("n2")
    await n1.engine.start_flow(flow_id, ["each"], {"x": [[1, 2]]})
    (first,) = await n2.services.called("each")
    n2.services.answer("each", {"y": 1})
    (_, second) = await n2.services.called("each", 2)
    assert first.identity.token != second.identity.token
    await n2.engine.fail_work(flow_id, "each", second.identity.token, "bad")
    await n2.services.called("each", 3)
    several.kill("n2")
    heir = several.nodes[first_choice(("n1", "n3"), flow_id)]
    (undo,) = await heir.services.called("each")
    assert undo.url == "http://steps/undo"
    heir.services.answer("each", {})
    assert (await n1.ended(flow_id))["status"] == "failed"
    assert [e.node_id for e in await n1.history(flow_id) if isinstance(e, CompStarted)] == ["n2", heir.engine.node_id]


async def sick(node: Node, step_id: str) -> None:
    await node.engine._health.record({step_id: Health("unhealthy", "down")})


async def test_work_of_a_step_that_is_sick_here_runs_where_it_is_well(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("pay", gives=("y",)))
    await n3.until_step("pay")
    await sick(n2, "pay")
    flow_id = several.owned_by("n2")
    deputy = several.nodes[first_choice(("n1", "n3"), flow_id)]
    (other,) = {n1, n3} - {deputy}
    await other.start(flow_id, "pay")
    await deputy.services.called("pay")
    deputy.services.answer("pay", {"y": 1})
    assert (await n1.ended(flow_id))["status"] == "completed"
    assert n2.services.calls == []
    assert len([e for e in await n1.history(flow_id) if isinstance(e, DispatchDeferred)]) == 1


async def test_the_owner_calls_itself_when_who_was_asked_does_not_come(
    several: Several, monkeypatch: pytest.MonkeyPatch
):
    n1, n2, n3 = await several.open(*NODES, unhealthy_wait_s=0.05)
    await n1.register(step("pay", gives=("y",)))
    await n3.until_step("pay")
    await sick(n2, "pay")
    flow_id = several.owned_by("n2")
    for node in (n1, n3):
        monkeypatch.setattr(node.engine._flows, "_look_if_asked", lambda *_: None)
    other = next(node for node in (n1, n3) if node.engine.node_id != first_choice(("n1", "n3"), flow_id))
    await other.start(flow_id, "pay")
    await n2.services.called("pay")
    assert len([e for e in await n1.history(flow_id) if isinstance(e, DispatchDeferred)]) == 1


async def test_a_claim_whose_answer_was_lost_is_carried_out_once(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    await n1.register(step("pay", gives=("y",)))
    await n3.until_step("pay")
    flow_id = several.owned_by("n2")
    n2.log.loses_answers = True
    await n1.start(flow_id, "pay")
    await n1.until(flow_id, "step_started")
    async with asyncio.timeout(10):
        await n2.log.lost.wait()
    n2.log.commit_lost()
    await n2.services.called("pay")
    n2.services.answer("pay", {"y": 1})
    assert (await n1.ended(flow_id))["status"] == "completed"
    assert sum(len(node.services.calls) for node in (n1, n2, n3)) == 1
    assert n2.engine._flows.pending_appends == 0


async def test_commands_of_two_nodes_on_one_flow_are_decided_one_after_the_other(several: Several):
    n1, n2, n3 = await several.open(*NODES)
    each = step(
        "each",
        "async",
        attributes={"x": {"role": "required", "for_each": True}, "y": {"role": "output"}},
        work_config={"parallelism": 32},
    )
    await n1.register(each)
    await n3.until_step("each")
    flow_id = several.owned_by("n2")
    for node in (n1, n2, n3):
        node.services.answers("each", {})
    await n1.engine.start_flow(flow_id, ["each"], {"x": [list(range(32))]})
    calls = await n2.services.called("each", 32)
    nodes = (n1, n2, n3)
    await asyncio.gather(
        *(
            nodes[n % 3].engine.complete_work(flow_id, "each", call.identity.token, {"y": n})
            for n, call in enumerate(calls)
        )
    )
    view = await n3.ended(flow_id)
    assert view["status"] == "completed"
    assert len(view["attributes"]["y"][0]["value"]) == 32
    await n1.ended(flow_id)
    await n2.ended(flow_id)
    await same_histories(several, flow_id)


def test_the_limits_of_waiting_have_names():
    assert claims.ASKED_LIMIT > 0
    assert membership.LOST_AFTER_S + membership.QUIET_MS / 1000 + membership.POLL_S < 1.5
