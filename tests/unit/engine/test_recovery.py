"""A node that opens takes up what was running; `drain_s` 0 leaves the data directory as a crash would."""

import asyncio
from typing import Any

from argyll.engine.caller import Failure, Retryable
from argyll.model.events import CompStarted, WorkStarted
from argyll.store import Append, NewEvent, Store

from .conftest import Node, Open, Services, step

SLOW = {"init_backoff": 3_600_000, "max_backoff": 3_600_000}


async def reopened(open_node: Open, node: Node, services: Services | None = None) -> Node:
    await node.engine.close()
    return await open_node(services)


async def ready(node: Node) -> None:
    async with asyncio.timeout(10):
        while not node.engine.ready:
            await asyncio.wait(node.engine._background, return_when=asyncio.FIRST_COMPLETED)


async def test_a_call_that_was_being_made_is_made_again_with_its_token(open_node: Open):
    node = await open_node()
    await node.register(step("pay", gives=("y",)))
    await node.start("f", "pay")
    (before,) = await node.services.called("pay")
    again = await reopened(open_node, node)
    (after,) = await again.services.called("pay")
    assert after.identity == before.identity
    again.services.answer("pay", {"y": 1})
    assert (await again.ended("f"))["status"] == "completed"
    assert [e.attempt for e in await again.history("f") if isinstance(e, WorkStarted)] == [1, 2]


async def test_async_work_is_asked_for_again_and_takes_one_result(open_node: Open):
    node = await open_node()
    await node.register(step("pay", "async", gives=("y",)))
    node.services.answers("pay", {})
    await node.start("f", "pay")
    (before,) = await node.services.called("pay")
    again = await reopened(open_node, node, node.services)
    calls = await again.services.called("pay", 2)
    assert calls[1].identity.token == before.identity.token
    for value in ("first", "second"):
        await again.engine.complete_work("f", "pay", before.identity.token, {"y": value})
    assert (await again.ended("f"))["attributes"]["y"][0]["value"] == "first"


async def test_a_retry_that_came_due_meanwhile_is_made(open_node: Open):
    node = await open_node()
    await node.register(step("pay", gives=("y",), work_config={"init_backoff": 5, "max_backoff": 5}))
    node.services.answers("pay", Retryable("busy"))
    await node.start("f", "pay")
    await node.until("f", "work_retry_scheduled")
    services = Services()
    services.answers("pay", {"y": 1})
    again = await reopened(open_node, node, services)
    assert (await again.ended("f"))["status"] == "completed"


async def test_a_retry_in_the_future_waits_and_keeps_its_count(open_node: Open):
    node = await open_node()
    await node.register(step("pay", gives=("y",), work_config={"max_retries": 1, **SLOW}))
    node.services.answers("pay", Retryable("busy"))
    await node.start("f", "pay")
    await node.until("f", "work_retry_scheduled")
    again = await reopened(open_node, node)
    await ready(again)
    assert again.services.calls == []
    assert list(again.engine._timers._due) == ["f"]
    (work,) = (await again.view("f"))["executions"]["pay"]["work_items"].values()
    assert (work["status"], work["retry_count"]) == ("pending", 1)


def waiting(deadline_ms: int) -> list[Any]:
    optional = {"role": "optional", "deadline": deadline_ms, "default": '"none"'}
    return [
        step("maker", "async", gives=("x",)),
        step("goal", gives=("y",), attributes={"x": optional}),
    ]


async def test_a_deadline_that_passed_while_the_node_was_down_counts(open_node: Open):
    node = await open_node()
    await node.register(*waiting(50))
    node.services.answers("maker", {})
    await node.start("f", "goal")
    await node.services.called("maker")
    await node.engine.close()
    await asyncio.sleep(0.06)  # the node is down past the deadline
    services = Services()
    services.answers("maker", {})
    again = await open_node(services)
    assert len(await services.called("goal")) == 1
    services.answer("goal", {"y": 1})
    await again.until("f", "flow_completed")


async def test_a_deadline_in_the_future_is_set_again(open_node: Open):
    node = await open_node()
    await node.register(*waiting(3_600_000))
    node.services.answers("maker", {})
    await node.start("f", "goal")
    await node.services.called("maker")
    due = node.engine._timers._due["f"]
    again = await reopened(open_node, node, node.services)
    await ready(again)
    assert again.engine._timers._due == {"f": due}
    assert again.services.of("goal") == []


async def test_compensation_goes_on(open_node: Open):
    node = await open_node()
    http = {"endpoint": "http://steps/each", "compensate": "http://steps/undo"}
    each = step("each", http=http, attributes={"x": {"role": "required", "for_each": True}, "y": {"role": "output"}})
    await node.register(each)
    await node.engine.start_flow("f", ["each"], {"x": [[1, 2]]})
    await node.services.called("each")
    node.services.answer("each", {"y": 1})
    await node.services.called("each", 2)
    node.services.answer("each", Failure("bad"))
    await node.services.called("each", 3)
    again = await reopened(open_node, node)
    (undo,) = await again.services.called("each")
    assert undo.url == "http://steps/undo"
    assert undo.identity == node.services.calls[2].identity
    again.services.answer("each", {})
    assert (await again.ended("f"))["status"] == "failed"
    assert len([e for e in await again.history("f") if isinstance(e, CompStarted)]) == 2


async def test_a_child_whose_word_was_lost_is_heard(open_node: Open, monkeypatch: Any):
    node = await open_node()
    await node.register(step("check", gives=("y",)), step("gate", "flow", goals=["check"], gives=("y",)))
    monkeypatch.setattr(node.engine._dispatcher, "_tell_parent", lambda child: asyncio.sleep(0))
    await node.start("f", "gate")
    (call,) = await node.services.called("check")
    node.services.answer("check", {"y": 7})
    await node.ended(call.identity.flow_id)
    again = await reopened(open_node, node)
    assert (await again.ended("f"))["attributes"]["y"][0]["value"] == 7
    assert again.services.calls == []
    assert (await again.types("f")).count("work_succeeded") == 1


async def test_a_child_that_runs_is_not_started_twice(open_node: Open):
    node = await open_node()
    await node.register(step("check", gives=("y",)), step("gate", "flow", goals=["check"], gives=("y",)))
    await node.start("f", "gate")
    (call,) = await node.services.called("check")
    again = await reopened(open_node, node)
    await again.services.called("check")
    again.services.answer("check", {"y": 7})
    assert (await again.ended("f"))["status"] == "completed"
    assert (await again.types(call.identity.flow_id)).count("flow_started") == 1
    assert len(again.services.calls) == 1


async def test_flows_that_ended_are_left_alone(open_node: Open):
    """execution.md 13.9/94, 13.9/100"""
    node = await open_node()
    await node.register(step("pay", gives=("y",)))
    node.services.answers("pay", Failure("no"))
    await node.start("f", "pay")
    await node.ended("f")
    before = await node.history("f")
    again = await reopened(open_node, node)
    await ready(again)
    assert await again.history("f") == before
    assert again.services.calls == []


async def test_a_cancelled_flow_with_running_work_ends_at_a_restart_without_another_call(open_node: Open):
    node = await open_node()
    await node.register(step("pay", gives=("y",)))
    await node.start("f", "pay")
    await node.services.called("pay")
    await node.engine.cancel_flow("f")
    again = await reopened(open_node, node)
    assert (await again.ended("f"))["status"] == "failed"
    assert again.services.of("pay") == []


async def test_a_flow_that_cannot_be_read_does_not_keep_the_others_from_running(open_node: Open):
    """execution.md 13.9/94"""
    node = await open_node()
    await node.register(step("pay", gives=("y",)))
    for flow_id in ("a", "b"):
        await node.start(flow_id, "pay")
    await node.services.called("pay", 2)
    await node.engine.close()
    store = await Store.open(node.engine.config.data_dir)
    sequence = store.next_sequence(("flow", "a"))
    await store.append(Append(("flow", "a"), sequence, 1, [NewEvent("step_started", b'{"flow_id":7}')]))
    await store.close()
    again = await open_node()
    await again.services.called("pay")
    again.services.answer("pay", {"y": 1})
    assert (await again.ended("b"))["status"] == "completed"
    await ready(again)
