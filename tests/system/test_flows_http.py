"""Scenarios of running flows over HTTP, in one node: retries, tokens, headers, memory, webhooks, compensation, scripts."""

from typing import Any

import pytest
from aiohttp import web

from .process import Argyll, Heard, Stub, response, value

pytestmark = pytest.mark.system

QUICK = {"init_backoff": 5, "max_backoff": 10}


def step(stub: Stub, step_id: str, of: str = "sync", **fields: Any) -> dict[str, Any]:
    attributes = {name: {"role": "required"} for name in fields.pop("needs", ())}
    attributes |= {name: {"role": "output"} for name in fields.pop("gives", ())}
    made: dict[str, Any] = {"id": step_id, "name": step_id, "type": of, "work_config": QUICK}
    if of in ("sync", "async"):
        made["http"] = {"endpoint": f"{stub.url}/{step_id}", "timeout": 5_000, **fields.pop("http", {})}
    if "script" in fields:
        made["script"] = {"language": fields.pop("language", "ale"), "script": fields.pop("script")}
    return made | {"attributes": attributes | fields.pop("attributes", {})} | fields


async def test_a_service_that_is_busy_twice_is_called_three_times_with_one_token(argyll: Argyll, stub: Stub):
    """execution.md 13.1/27-29, 13.11/117, 13.25/234, 13.26/257"""
    await argyll.register(step(stub, "a", gives=("y",)))
    stub.answers("/a", "busy", "busy", {"y": 1})
    await argyll.start_flow("f", "a")
    state = await argyll.ended("f")
    calls = stub.of("/a")
    assert (state["status"], len(calls), len({call.token for call in calls})) == ("completed", 3, 1)
    (work,) = state["executions"]["a"]["work_items"].values()
    assert work["retry_count"] == 2
    assert {call.headers["Argyll-Flow-ID"] for call in calls} == {"f"}
    assert {call.headers["Argyll-Step-ID"] for call in calls} == {"a"}


async def test_retries_are_used_up_and_then_the_flow_fails(argyll: Argyll, stub: Stub):
    """execution.md 13.1/24, 13.20/176"""
    await argyll.register(step(stub, "a", gives=("y",), work_config={"max_retries": 3, **QUICK}))
    stub.answers("/a", "busy")
    await argyll.start_flow("f", "a")
    state = await argyll.ended("f")
    assert (state["status"], len(stub.of("/a"))) == ("failed", 4)
    assert "work not completed" in state["error"]
    assert "busy" in state["error"]


async def test_a_diamond_runs_each_step_once(argyll: Argyll, stub: Stub):
    """execution.md 13.1/3, 13.1/16"""
    await argyll.register(
        step(stub, "a", gives=("x",)),
        step(stub, "b", needs=("x",), gives=("l",)),
        step(stub, "c", needs=("x",), gives=("r",)),
        step(stub, "d", needs=("l", "r"), gives=("y",)),
        step(stub, "unrelated", gives=("z",)),
    )
    for path, answer in (("/a", {"x": 1}), ("/b", {"l": 2}), ("/c", {"r": 3}), ("/d", {"y": 4})):
        stub.answers(path, answer)
    await argyll.start_flow("f", "d")
    state = await argyll.ended("f")
    assert [value(state, name) for name in "xlry"] == [1, 2, 3, 4]
    assert sorted(heard.path for heard in stub.heard) == ["/a", "/b", "/c", "/d"]


async def test_a_broken_branch_fails_the_flow_and_calls_nothing_behind_it(argyll: Argyll, stub: Stub):
    """execution.md 13.1/4"""
    await argyll.register(
        step(stub, "a", gives=("x",)),
        step(stub, "b", needs=("x",), gives=("l",), work_config={"max_retries": 1, **QUICK}),
        step(stub, "c", needs=("x",), gives=("r",)),
        step(stub, "d", needs=("l", "r"), gives=("y",)),
    )
    stub.answers("/a", {"x": 1})
    stub.answers("/b", 503)
    stub.answers("/c", {"r": 3})
    await argyll.start_flow("f", "d")
    state = await argyll.ended("f")
    statuses = {name: execution["status"] for name, execution in state["executions"].items()}
    assert statuses == {"a": "completed", "b": "failed", "c": "completed", "d": "failed"}
    assert (len(stub.of("/b")), stub.of("/d")) == (2, [])
    assert {"l", "y"}.isdisjoint(state["attributes"])


async def test_each_element_is_called_for_and_what_worked_is_undone_when_one_fails(argyll: Argyll, stub: Stub):
    """execution.md 13.1/23, 13.16/152, 13.16/154, 13.18/163, 13.26/257"""
    each = step(
        stub, "each", http={"compensate": f"{stub.url}/undo"}, gives=("y",),
        attributes={"x": {"role": "required", "type": "array", "for_each": True}},
    )  # fmt: skip
    await argyll.register(each)

    async def answer(heard: Heard) -> web.Response:
        return response(422 if heard.body["x"] == 3 else {"y": heard.body["x"] * 10})

    stub.on("/each", answer)
    stub.answers("/undo", 503, {})
    await argyll.start_flow("good", "each", x=[[1, 2]])
    assert value(await argyll.ended("good"), "y") == [{"x": 1, "y": 10}, {"x": 2, "y": 20}]
    await argyll.start_flow("bad", "each", x=[[1, 3, 2]])
    assert (await argyll.ended("bad"))["status"] == "failed"
    first, second = stub.of("/undo")
    assert first.body == second.body == {"input": {"x": 1}, "output": {"y": 10}}
    (undone,) = [call for call in stub.of("/each") if call.headers["Argyll-Flow-ID"] == "bad" and call.body == {"x": 1}]
    for name in ("Argyll-Flow-ID", "Argyll-Step-ID", "Argyll-Receipt-Token"):
        assert first.headers[name] == second.headers[name] == undone.headers[name]
    assert [call.body for call in stub.of("/each")][2:] == [{"x": 1}, {"x": 3}]


async def test_memory_saves_calls_for_the_same_inputs_only(argyll: Argyll, stub: Stub):
    """execution.md 13.1/13-14, 13.1/27, 13.19/167"""
    await argyll.register(step(stub, "price", needs=("sku",), gives=("p",), memoizable=True))
    stub.answers("/price", 503, {"p": 5})
    for flow_id, sku in (("a", "kilt"), ("b", "kilt"), ("c", "sock")):
        await argyll.start_flow(flow_id, "price", sku=sku)
        assert value(await argyll.ended(flow_id), "p") == 5
    assert [call.body["sku"] for call in stub.of("/price")] == ["kilt", "kilt", "sock"]


async def test_webhooks_late_twice_and_for_nothing(argyll: Argyll, stub: Stub):
    """execution.md 13.20/178, 13.26/249"""
    await argyll.register(
        step(stub, "slow", "async", gives=("y",), work_config={"init_backoff": 60_000, "max_backoff": 60_000}),
        step(stub, "bad", gives=("z",)),
    )
    stub.answers("/slow", 503, 202)
    stub.answers("/bad", 422)
    # While it waits for a retry, its result comes all the same.
    await argyll.start_flow("f", "slow")
    await argyll.until("f", "work_retry_scheduled")
    webhook = stub.of("/slow")[0].headers["Argyll-Webhook-URL"]
    assert (await argyll.call("POST", webhook, {"y": "first"}))[0] == 200
    assert (await argyll.call("POST", webhook, {"y": "second"}))[0] == 200
    state = await argyll.ended("f")
    assert (state["status"], value(state, "y"), len(stub.of("/slow"))) == ("completed", "first", 1)
    assert (await argyll.call("POST", webhook, {"y": "third"}))[0] == 200
    assert value(await argyll.flow("f"), "y") == "first"
    # The flow has failed already: the result is recorded and ends it for good.
    await argyll.start_flow("g", "slow", "bad")
    await argyll.until("g", "flow_failed")
    late = (await stub.called("/slow", 2))[1].headers["Argyll-Webhook-URL"]
    assert (await argyll.call("GET", "/engine/flow/g/status"))[1]["status"] == "active"
    assert (await argyll.call("POST", late, {"y": "late"}))[0] == 200
    assert (await argyll.ended("g"))["status"] == "failed"
    assert "work_succeeded" in [event["type"] for event in await argyll.events("g")]


async def test_scripts_between_services(argyll: Argyll, stub: Stub):
    """execution.md 13.1/15, 13.1/25-26, 13.19/175"""
    await argyll.register(
        step(stub, "a", gives=("x",)),
        step(stub, "s", "script", script="{:m (* x 2)}", needs=("x",), gives=("m",)),
        step(stub, "b", needs=("m",), gives=("y",)),
        step(stub, "zero", "script", script="{:m0 (/ x 0)}", needs=("x",), gives=("m0",)),
        step(stub, "c", needs=("m0",), gives=("z",)),
        step(stub, "thrown", "script", language="lua", script='error("out of kilts")', gives=("t",)),
    )
    stub.answers("/a", {"x": 21})
    stub.answers("/b", {"y": "ok"})
    await argyll.start_flow("f", "b")
    assert value(await argyll.ended("f"), "m") == 42
    await argyll.start_flow("g", "c")
    state = await argyll.ended("g")
    assert state["executions"]["zero"]["status"] == state["executions"]["c"]["status"] == "failed"
    assert stub.of("/c") == []
    await argyll.start_flow("h", "thrown")
    assert "out of kilts" in (await argyll.ended("h"))["error"]


async def test_a_script_that_is_too_much_for_a_command_runs_in_a_worker(argyll: Argyll, stub: Stub):
    dear = "local s = 0 for i = 1, 400000 do s = s + 1 end return {s = s}"
    await argyll.register(step(stub, "dear", "script", language="lua", script=dear, gives=("s",)))
    await argyll.start_flow("f", "dear")
    assert value(await argyll.ended("f"), "s") == 400_000


async def test_what_does_not_fit_one_append_is_done_in_pieces(argyll: Argyll, stub: Stub):
    """Each of many steps that read a large value takes a copy of it, more together than one append may hold."""
    readers = [step(stub, f"reader-{n}", needs=("y",), gives=(f"z{n}",)) for n in range(12)]
    await argyll.register(step(stub, "big", gives=("y",)), *readers)
    stub.answers("/big", {"y": "x" * 1_000_000})
    for n in range(12):
        stub.answers(f"/reader-{n}", {f"z{n}": n})
    await argyll.start_flow("f", *(reader["id"] for reader in readers))
    assert (await argyll.ended("f"))["status"] == "completed"
    assert sorted(heard.path for heard in stub.heard) == sorted(["/big", *(f"/reader-{n}" for n in range(12))])


async def test_skips_predicates_and_init(argyll: Argyll, stub: Stub):
    never = {"predicate": {"language": "ale", "script": "false"}}
    await argyll.register(
        step(stub, "p", gives=("x",)),
        step(stub, "skipped", needs=("x",), gives=("y",), **never),
        step(stub, "behind", needs=("y",), gives=("z",)),
        step(stub, "fixed", "script", script="{:c c}", gives=("o",),
             attributes={"c": {"role": "const", "value": '"const"'}}),
        step(stub, "sum", needs=("l", "r"), gives=("s",)),
    )  # fmt: skip
    stub.answers("/p", {"x": 1})
    stub.answers("/sum", {"s": 3})
    await argyll.start_flow("f", "skipped")
    state = await argyll.ended("f")
    assert (state["status"], state["executions"]["skipped"]["status"]) == ("completed", "skipped")
    await argyll.start_flow("g", "behind")
    assert (await argyll.ended("g"))["status"] == "failed"
    assert stub.of("/behind") == stub.of("/skipped") == []
    await argyll.start_flow("h", "sum", l=1, r=2)
    state = await argyll.ended("h")
    assert (value(state, "s"), state["attributes"]["s"][0]["step"]) == (3, "sum")
    assert "step" not in state["attributes"]["l"][0]
