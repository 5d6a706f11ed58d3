"""What committed events cause: calls with all they carry, results recorded however long that takes, an orderly end."""

import asyncio

import pytest

from argyll.engine import dispatch
from argyll.engine.caller import Failure, Outcome, Request, Retryable, Success
from argyll.model import json
from argyll.model.events import CompFailed, CompStarted, WorkRetryScheduled, WorkStarted
from argyll.store import FlowQuery
from argyll.store import Overloaded as StoreOverloaded

from .conftest import Node, Open, step

QUICK = {"init_backoff": 1, "max_backoff": 2, "backoff_type": "fixed"}


async def test_a_call_carries_inputs_meta_values_and_identity(node: Node):
    """execution.md 13.19/168, 13.22/205"""
    node.engine.webhook_base = "http://engine:1"
    attributes = {
        "id": {"role": "required", "mapping": {"name": "customer"}},
        "flow": {"role": "meta", "key": "flow_id"},
        "hook": {"role": "meta", "key": "webhook_url"},
        "fee": {"role": "const", "value": "7"},
        "note": {"role": "optional", "default": '"none"'},
        "y": {"role": "output"},
    }
    http = {"endpoint": "http://steps/{customer}", "method": "PUT", "timeout": 1_234}
    await node.register(step("pay", "async", attributes=attributes, http=http))
    await node.start("f", "pay", id="c 1")
    (call,) = await node.services.called("pay")
    hook = f"http://engine:1/webhook/f/pay/{call.identity.token}"
    assert (call.method, call.url, call.timeout_ms) == ("PUT", "http://steps/c%201", 1_234)
    assert call.body is not None
    assert json.decode(call.body) == {"customer": "c 1", "flow": "f", "hook": hook, "fee": 7, "note": "none"}
    assert call.identity.headers()["Argyll-Webhook-URL"] == hook


async def test_a_get_has_no_body_and_a_sync_call_no_webhook(node: Node):
    """execution.md 13.19/168, 13.25/239"""
    http = {"endpoint": "http://steps/{id}", "method": "GET"}
    await node.register(step("look", needs=("id",), gives=("y",), http=http))
    node.services.answers("look", {"y": 1})
    await node.start("f", "look", id=5)
    await node.ended("f")
    (call,) = node.services.calls
    assert (call.body, call.identity.webhook_url, call.url) == (None, "", "http://steps/5")
    assert call.timeout_ms == node.engine.config.step_timeout_ms


async def test_an_argument_that_is_not_there_fails_without_a_call(node: Node):
    """execution.md 13.25/240"""
    http = {"endpoint": "http://steps/each", "compensate": "http://steps/undo/{y}"}
    each = step("each", http=http, attributes={"x": {"role": "required", "for_each": True}, "y": {"role": "output"}})
    await node.register(each)
    node.services.answers("each", {"not_y": 1}, Failure("bad"))
    await node.engine.start_flow("f", ["each"], {"x": [[1, 2]]})
    await node.ended("f")
    assert len(node.services.calls) == 2
    (failed,) = [e for e in await node.history("f") if isinstance(e, CompFailed)]
    assert failed.error == "no argument for {y} in http://steps/undo/{y}"


async def test_an_async_step_waits_for_its_webhook_after_it_was_accepted(node: Node):
    """execution.md 13.22/205"""
    await node.register(step("pay", "async", gives=("receipt",)))
    node.services.answers("pay", {"ignored": 1})
    await node.start("f", "pay")
    (call,) = await node.services.called("pay")
    await asyncio.sleep(0)
    assert (await node.view("f"))["status"] == "active"
    await node.engine.complete_work("f", "pay", call.identity.token, {"receipt": "r"})
    await node.engine.fail_work("f", "pay", call.identity.token, "too late")
    assert (await node.ended("f"))["attributes"]["receipt"][0]["value"] == "r"


async def test_retries_keep_the_token_and_count_the_attempts(node: Node):
    await node.register(step("pay", gives=("y",), work_config={"max_retries": 3, **QUICK}))
    node.services.answers("pay", Retryable("busy"), Retryable("busy"), {"y": 1})
    await node.start("f", "pay")
    assert (await node.ended("f"))["status"] == "completed"
    assert len(node.services.calls) == 3
    assert len({call.identity.token for call in node.services.calls}) == 1
    history = await node.history("f")
    assert [e.attempt for e in history if isinstance(e, WorkStarted)] == [1, 2, 3]
    assert [e.retry_count for e in history if isinstance(e, WorkRetryScheduled)] == [1, 2]


async def test_retries_end(node: Node):
    await node.register(step("pay", gives=("y",), work_config={"max_retries": 3, **QUICK}))
    node.services.answers("pay", Retryable("work not completed\nbusy"))
    await node.start("f", "pay")
    state = await node.ended("f")
    assert (state["status"], len(node.services.calls)) == ("failed", 4)
    assert "busy" in state["error"]


async def test_a_step_client_that_breaks_counts_as_no_answer(node: Node):
    async def broken(request: Request) -> Outcome:
        raise RuntimeError("defect")

    await node.register(step("pay", gives=("y",), work_config={"max_retries": 1, **QUICK}))
    node.services.handlers["pay"] = broken
    await node.start("f", "pay")
    state = await node.ended("f")
    assert "RuntimeError: defect" in state["error"]
    assert len(node.services.calls) == 2


async def test_a_result_is_recorded_however_long_the_engine_needs(node: Node, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatch, "RECORD_RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(dispatch, "RECORD_RETRY_MAX_S", 0.002)
    refusals = 6
    append = node.engine._store.append

    def refuse_some(wanted):
        nonlocal refusals
        if wanted.aggregate[0] == "flow" and wanted.expected_sequence and refusals:
            refusals -= 1
            future = asyncio.get_running_loop().create_future()
            future.set_exception(StoreOverloaded("max_in_flight_bytes", 1, 2))
            return future
        return append(wanted)

    monkeypatch.setattr(node.engine._store, "append", refuse_some)
    await node.register(step("pay", gives=("y",)))
    node.services.answers("pay", {"y": 1})
    await node.start("f", "pay")
    assert (await node.ended("f"))["status"] == "completed"
    assert refusals == 0
    assert len(node.services.calls) == 1


async def test_calls_in_flight_are_limited(open_node: Open):
    node = await open_node(max_concurrent_calls=2)
    each = step("each", attributes={"items": {"role": "required", "for_each": True}, "y": {"role": "output"}})
    await node.register(each | {"work_config": {"parallelism": 8}})
    await node.engine.start_flow("f", ["each"], {"items": [[1, 2, 3, 4, 5]]})
    for answered in range(1, 6):
        await node.services.called("each", min(answered + 1, 5))
        assert len(node.services.calls) <= answered + 1
        node.services.answer("each", {"y": 1})
    assert (await node.ended("f"))["status"] == "completed"


async def test_compensation_calls_say_what_went_in_and_out_and_are_retried(node: Node):
    http = {"endpoint": "http://steps/each", "compensate": "http://steps/undo/{y}/{x}"}
    each = step(
        "each", http=http, attributes={"x": {"role": "required", "for_each": True}, "y": {"role": "output"}},
        work_config={"parallelism": 2, "max_retries": 2, **QUICK},
    )  # fmt: skip
    undo = [Retryable("busy"), Success({})]

    async def answer(request: Request) -> Outcome:
        if "undo" in request.url:
            return undo.pop(0)
        assert request.body is not None
        return Success({"y": "a"}) if json.decode(request.body)["x"] == 1 else await failing

    await node.register(each)
    failing = asyncio.get_running_loop().create_future()
    node.services.handlers["each"] = answer
    await node.engine.start_flow("f", ["each"], {"x": [[1, 2]]})
    await node.until("f", "work_succeeded")
    failing.set_result(Failure("bad"))
    assert (await node.ended("f"))["status"] == "failed"
    first, second = [call for call in node.services.calls if "undo" in call.url]
    assert (first.method, first.url, first.body) == (
        "POST",
        "http://steps/undo/a/1",
        b'{"input":{"x":1},"output":{"y":"a"}}',
    )
    assert (second.url, second.identity) == (first.url, first.identity)
    assert first.identity.token in {call.identity.token for call in node.services.calls if "undo" not in call.url}
    assert len([e for e in await node.history("f") if isinstance(e, CompStarted)]) == 2


async def test_a_child_flow_gives_its_outputs_to_its_parent(node: Node):
    """execution.md 13.22/205"""
    await node.register(
        step("check", needs=("user",), gives=("allowed",)),
        step("gate", "flow", goals=["check"], attributes={
            "customer": {"role": "required", "mapping": {"name": "user"}},
            "authorized": {"role": "output", "mapping": {"name": "allowed"}},
        }),
    )  # fmt: skip
    node.services.answers("check", {"allowed": True})
    await node.start("f", "gate", customer="c-1")
    state = await node.ended("f")
    assert state["attributes"]["authorized"][0]["value"] is True
    (child,) = [c.aggregate[1] for c in node.commits if c.events[0].type == "flow_started" and c.aggregate[1] != "f"]
    assert child.startswith("f:gate:")
    assert (await node.view(child))["metadata"]["parent_flow_id"] == "f"
    assert [flow.id for flow in node.engine.query_flows(FlowQuery()).flows] == ["f"]


@pytest.mark.parametrize("answer", [Failure("denied"), Success({"other": 1})])
async def test_a_child_that_fails_or_lacks_an_output_fails_the_item(node: Node, answer: Outcome):
    await node.register(
        step("check", gives=("allowed", "other")),
        step("gate", "flow", goals=["check"], attributes={
            "authorized": {"role": "output", "mapping": {"name": "allowed"}},
        }),
    )  # fmt: skip
    node.services.answers("check", answer)
    await node.start("f", "gate")
    state = await node.ended("f")
    assert state["status"] == "failed"
    assert "denied" in state["error"] or "flow output missing: allowed" in state["error"]


async def test_a_closing_node_lets_calls_end_and_records_them(open_node: Open):
    node = await open_node(drain_s=10.0)
    await node.register(step("pay", gives=("y",)))
    await node.start("f", "pay")
    await node.services.called("pay")
    closing = asyncio.ensure_future(node.engine.close())
    await asyncio.sleep(0)
    node.services.answer("pay", {"y": 1})
    await closing
    again = await open_node()
    assert (await again.view("f"))["status"] == "completed"
    assert (await again.types("f")).count("work_started") == 1


async def test_a_closing_node_gives_up_on_calls_that_do_not_end(open_node: Open):
    node = await open_node(drain_s=0.01)
    await node.register(step("pay", gives=("y",)))
    await node.start("f", "pay")
    await node.services.called("pay")
    await node.engine.close()
    assert not node.engine.ready
    await node.engine.close()


async def test_memoizable_steps_are_called_once_for_the_same_inputs(node: Node):
    await node.register(step("price", needs=("sku",), gives=("price",), memoizable=True))
    node.services.answers("price", {"price": 5})
    for flow_id, sku in (("a", "kilt"), ("b", "kilt"), ("c", "sock")):
        await node.start(flow_id, "price", sku=sku)
        assert (await node.ended(flow_id))["attributes"]["price"][0]["value"] == 5
    assert len(node.services.calls) == 2
    assert "work_started" not in await node.types("b")


async def test_failures_are_not_remembered(node: Node):
    await node.register(step("price", gives=("price",), memoizable=True))
    node.services.answers("price", Failure("down"), {"price": 5})
    await node.start("a", "price")
    assert (await node.ended("a"))["status"] == "failed"
    await node.start("b", "price")
    assert (await node.ended("b"))["status"] == "completed"


async def test_a_cancelled_flow_takes_the_result_that_was_on_its_way(node: Node):
    await node.register(step("pay", gives=("y",)))
    await node.start("f", "pay")
    await node.services.called("pay")
    await node.engine.cancel_flow("f")
    node.services.answer("pay", {"y": 1})
    state = await node.ended("f")
    assert (state["status"], state["error"]) == ("failed", "cancelled")
    assert "work_succeeded" in await node.types("f")
