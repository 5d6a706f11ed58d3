"""The parts of several nodes, each alone: who owns, who is lost, who follows what it was not told."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.engine import Engine, EngineConfig, membership
from argyll.engine.errors import OutcomeUncertain, Unavailable
from argyll.engine.membership import LOST_AFTER_S, NAP_S, QUIET_MS, Watch
from argyll.engine.ownership import Ownership, first_choice
from argyll.model.ids import child_flow_id
from argyll.store import PeerStatus

from .conftest import Node, Services, step
from .shared_log import SharedLog

NAMES = st.lists(st.text("abc123", min_size=1, max_size=4), min_size=1, max_size=7, unique=True)


@given(NAMES, st.text("f-0123456789", min_size=1))
def test_every_node_agrees_on_the_owner_whatever_the_order(nodes: list[str], flow_id: str):
    owners: set[str | None] = set()
    for node in nodes:
        ownership = Ownership(node, alone=False)
        ownership.change(reversed(nodes), nodes)
        owners.add(ownership.owner(flow_id))
        assert ownership.owns(flow_id) == (ownership.owner(flow_id) == node)
    assert len(owners) == 1


@given(NAMES, st.data(), st.text("f-0123456789", min_size=1))
def test_a_node_that_goes_moves_only_what_it_had(nodes: list[str], data: st.DataObject, flow_id: str):
    gone = data.draw(st.sampled_from(nodes))
    rest = [node for node in nodes if node != gone]
    if rest and first_choice(nodes, flow_id) != gone:
        assert first_choice(rest, flow_id) == first_choice(nodes, flow_id)


def test_flows_are_shared_evenly():
    shares = Counter(first_choice(("n1", "n2", "n3"), f"order-{n}") for n in range(3_000))
    assert all(900 < share < 1_100 for share in shares.values())


def test_a_family_of_flows_has_one_owner():
    ownership = Ownership("n1", alone=False)
    ownership.change(("n1", "n2", "n3"), ())
    for n in range(50):
        child = child_flow_id(child_flow_id(f"f{n}", "gate", "t"), "gate", "u")
        assert ownership.owner(child) == ownership.owner(f"f{n}")


def test_a_node_alone_owns_everything_and_one_that_has_not_joined_nothing():
    assert Ownership("n1", alone=True).owns("f")
    assert not Ownership("n1", alone=False).owns("f")


def peer(connected: bool = True, contact_ms: int | None = 10, leads: bool = True) -> PeerStatus:
    return PeerStatus("n2", connected, 1 if leads else None, None, contact_ms, receives_state=False)


STEP_S = NAP_S / 2


def looks(watch: Watch, seen: PeerStatus | None, from_s: float, for_s: float) -> set[str]:
    """What is lost after seeing the same for a while."""
    lost: set[str] = set()
    for n in range(int(for_s / STEP_S) + 1):
        lost = watch.look(["n2"], {} if seen is None else {"n2": seen}, from_s + n * STEP_S)
    return lost


@pytest.mark.parametrize(
    ("seen", "is_lost"),
    [
        (peer(), False),
        (peer(connected=False), True),
        (None, True),
        (peer(contact_ms=QUIET_MS + 1), True),
        (peer(contact_ms=QUIET_MS + 1, leads=False), False),
        (peer(contact_ms=None), False),
    ],
)
def test_silence_that_lasts_is_a_loss(seen: PeerStatus | None, is_lost: bool):
    watch = Watch()
    assert looks(watch, seen, 0, LOST_AFTER_S - STEP_S) == set()
    assert (looks(watch, seen, LOST_AFTER_S, STEP_S) == {"n2"}) == is_lost


def test_one_that_is_heard_again_starts_anew():
    watch = Watch()
    looks(watch, peer(connected=False), 0, LOST_AFTER_S - STEP_S)
    looks(watch, peer(), LOST_AFTER_S, 0)
    assert looks(watch, peer(connected=False), LOST_AFTER_S + STEP_S, LOST_AFTER_S - STEP_S) == set()


def test_a_node_that_slept_itself_accuses_nobody():
    watch = Watch()
    looks(watch, peer(connected=False), 0, STEP_S)
    assert watch.look(["n2"], {"n2": peer(connected=False)}, 60.0) == set()


async def member(log: SharedLog, node_id: str, directory: Path) -> Node:
    store, services = log.open(node_id), Services()
    node = Node(Engine(EngineConfig(data_dir=directory, node_id=node_id, drain_s=0), store, services), services)
    node.engine._spawn(node.engine._recover())
    return node


async def test_a_write_without_quorum_is_refused_at_once_and_says_that_nothing_was_recorded(tmp_path: Path):
    log = SharedLog()
    node = await member(log, "n1", tmp_path)
    for write in (
        lambda: node.engine.register_step(step("a")),
        lambda: node.engine.unregister_step("a"),
        lambda: node.engine.start_flow("f", ["a"], {}),
        lambda: node.engine.cancel_flow("f"),
        lambda: node.engine.complete_work("f", "a", "t", {}),
        lambda: node.engine.fail_work("f", "a", "t", ""),
    ):
        with pytest.raises(Unavailable, match="nothing was recorded") as refused:
            await write()
        assert not isinstance(refused.value, OutcomeUncertain)
        assert refused.value.retry_after_s
    with pytest.raises(Unavailable):
        await node.engine.read_barrier()
    assert not node.engine.ready
    await node.engine.close()


async def test_a_write_whose_answer_is_lost_with_the_quorum_says_that_it_may_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(membership, "POLL_S", 0.005)
    log = SharedLog()
    nodes = [await member(log, node_id, tmp_path) for node_id in ("n1", "n2")]
    await nodes[0].register(step("a", "async"))
    await nodes[1].until_step("a")
    await nodes[0].until_true(lambda: len(nodes[0].engine._ownership.owners) == 2)
    log.nodes["n1"].loses_answers = True
    starting = asyncio.ensure_future(nodes[0].engine.start_flow("f", ["a"], {}))
    await log.nodes["n1"].lost.wait()
    log.nodes["n2"].connect(False)
    with pytest.raises(OutcomeUncertain):
        await starting
    log.nodes["n2"].connect(True)
    log.nodes["n1"].commit_lost()
    await nodes[1].until("f", "flow_started")
    assert await nodes[0].engine.start_flow("f", ["a"], {}) == "f"
    assert (await nodes[1].types("f")).count("flow_started") == 1
    for node in nodes:
        log.nodes[node.engine.node_id].connect(False)
        await node.engine.close()


async def test_steps_that_two_nodes_register_at_once_are_both_there(tmp_path: Path):
    log = SharedLog()
    nodes = [await member(log, node_id, tmp_path) for node_id in ("n1", "n2", "n3")]
    await asyncio.gather(*(node.register(step(f"s{n}", "script", script="1")) for n, node in enumerate(nodes)))
    for node in nodes:
        await node.engine.read_barrier()
        assert set(node.engine.catalog.steps) == {"s0", "s1", "s2"}
    for node in nodes:
        log.nodes[node.engine.node_id].connect(False)
        await node.engine.close()


async def test_a_follower_shows_its_own_write_when_it_has_answered(tmp_path: Path):
    log = SharedLog()
    nodes = [await member(log, node_id, tmp_path) for node_id in ("n1", "n2", "n3")]
    log.nodes["n1"].hold(True)
    await nodes[2].register(step("a"))
    assert "a" in nodes[2].engine.catalog.steps
    assert "a" not in nodes[0].engine.catalog.steps
    reading = asyncio.ensure_future(nodes[0].engine.read_barrier())
    await asyncio.sleep(0)
    log.nodes["n1"].hold(False)
    await reading
    assert "a" in nodes[0].engine.catalog.steps
    for node in nodes:
        log.nodes[node.engine.node_id].connect(False)
        await node.engine.close()


async def test_a_state_taken_over_whole_is_read_anew(tmp_path: Path):
    log = SharedLog()
    nodes = [await member(log, node_id, tmp_path) for node_id in ("n1", "n2", "n3")]
    told: list[Any] = []
    stop = nodes[2].engine.listen_reset(lambda: told.append(set(nodes[2].engine.catalog.steps)))
    await nodes[0].register(step("a", "async"))
    await nodes[2].until_step("a")
    await nodes[2].start("f", "a")
    nodes[2].engine.catalog.steps.clear()  # as if it had missed everything
    nodes[2].engine._store._on_reset()
    assert told == [{"a"}]
    assert nodes[2].engine._flows.projections.cached("f") is None
    assert (await nodes[2].view("f"))["status"] == "active"
    stop()
    for node in nodes:
        log.nodes[node.engine.node_id].connect(False)
        await node.engine.close()
