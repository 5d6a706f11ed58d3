"""Scenarios of the catalogue over HTTP: one real node, real services, one table. A case is named by its number.

The machine's own tests say the same with a virtual clock; here it is seen from outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.system.process import Argyll, Heard, Stub, response, stub_services
from tests.system.test_flows_http import step
from tests.unit.flow.harness import const, meta, optional, output, required, script

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

Values = dict[str, Any]
JPATH = "jpath"


@dataclass
class Case:
    """Steps as (id, attributes, fields), what their services answer, a start, and what comes of it."""

    key: str
    steps: list[tuple[str, Values, Values]]
    goals: str
    init: Values = field(default_factory=dict[str, Any])
    answers: Values = field(default_factory=dict[str, Any])
    status: str = "completed"
    values: Values = field(default_factory=dict[str, Any])
    """All values of some attributes; None where there must be none."""
    calls: dict[str, list[Any] | int] = field(default_factory=dict[str, "list[Any] | int"])
    """What some services were called with, in order, or how often."""
    ends: dict[str, str] = field(default_factory=dict[str, str])
    """Step to its status, or to a part of its error."""


def s(step_id: str, attributes: Values | None = None, **fields: Any) -> tuple[str, Values, Values]:
    return step_id, attributes or {}, fields


def lua(step_id: str, text: str, attributes: Values) -> tuple[str, Values, Values]:
    return s(step_id, attributes, of="script", language="lua", script=text)


def ale(step_id: str, text: str, attributes: Values) -> tuple[str, Values, Values]:
    return s(step_id, attributes, of="script", script=text)


def child(step_id: str, goal: str, attributes: Values) -> tuple[str, Values, Values]:
    return s(step_id, attributes, of="flow", flow={"goals": [goal]})


def predicate(text: str, language: str = "ale") -> Values:
    return {"predicate": {"language": language, "script": text}}


UNREACHABLE = "required input no longer available"
EACH = {"x": required(for_each=True), "y": output()}
TWO = [s("p", {"x": output()}), s("q", {"x": output()})]


def reader(collect: str, **settings: Any) -> tuple[str, Values, Values]:
    return s("g", {"x": required(collect=collect, **settings), "y": output()})


ROUTER = [
    s("route", {"kind": output()}),
    s("email", {"kind": required(match=script('(eq value "email")')), "sent": output()}),
    s("lookup", {"kind": required(match=script('(eq value "postal")')), "home": output()}),
    s("postal", {"kind": required(match=script('(eq value "postal")')), "home": required(), "sent": output()}),
]

CASES = [
    Case("13.1/1", [ale("a", "{:y k}", {"k": const('"fixed"'), "y": output()})], "a", {"k": "other"}, values={"y": ["fixed"]}),
    Case(
        "13.1/2",
        [s("a", {"x": output()}), s("b", {"x": required(), "y": output()}), s("c", {"y": required(), "z": output()})],
        "c", answers={"a": {"x": 1}, "b": {"y": 2}, "c": {"z": 3}},
        values={"x": [1], "y": [2], "z": [3]}, calls={"a": 1, "b": [{"x": 1}], "c": [{"y": 2}]},
    ),
    Case(
        "13.1/5", [s("p", {"x": output()}), s("each", EACH)], "each", answers={"p": {"x": [1, 2, 3]}, "each": 422},
        status="failed", calls={"each": 1},
    ),
    Case(
        "13.1/6", [s("p", {"x": output()}), s("g", {"x": required()})], "g", answers={"p": 422},
        status="failed", ends={"p": "422", "g": UNREACHABLE}, calls={"g": 0},
    ),
    Case(
        "13.1/7",
        [
            s("p", {"x": output()}, **predicate("false")), s("m", {"x": required(), "y": output()}),
            s("n", {"x": required(), "z": output()}), s("g", {"y": required(), "z": required()}),
        ],
        "g", status="failed", ends={"p": "skipped", "m": UNREACHABLE, "n": UNREACHABLE, "g": UNREACHABLE},
        calls={"p": 0, "m": 0, "n": 0, "g": 0},
    ),
    Case("13.1/10", [s("a", {"x": required(), "y": output()})], "a", {"x": 1}, {"a": {"y": 2}}, values={"x": [1], "y": [2]}),
    Case(
        "13.1/12",
        [s(f"s{n}", {f"x{n}": output(), **({f"x{n - 1}": required()} if n else {})}) for n in range(10)],
        "s2", answers={f"s{n}": {f"x{n}": n} for n in range(3)},
        values={"x0": [0], "x1": [1], "x2": [2], "x3": None}, calls={"s2": 1, "s3": 0},
    ),
    Case(
        "13.1/16",
        [s("p", {"x": output()}), s("a", {"x": required()}), s("b", {"x": required()}), s("u", {"x": required()})],
        "a b", answers={"p": {"x": 1}}, calls={"p": 1, "a": 1, "b": 1, "u": 0},
    ),
    Case("13.1/17", [s("a", {"o": optional(default={"k": [1]})})], "a", calls={"a": [{"o": {"k": [1]}}]}),
    Case(
        "13.1/18",
        [s("p", {"x": output()}), s("g", {"x": required(), "y": output()}, **predicate("false"))],
        "g", answers={"p": {"x": 1}}, ends={"p": "completed", "g": "predicate returned false"}, values={"y": None},
        calls={"p": 1, "g": 0},
    ),
    Case(
        "13.2/39",
        [s("p", {"x": output()}), s("q", {"late": required(), "x": output()}), s("w", {"late": output()}), reader("first")],
        "g", answers={"p": {"x": 1}, "w": "hold", "g": {"y": 1}}, ends={"q": "outputs not needed"}, calls={"q": 0},
    ),
    Case("13.4/55", [s("a", {"x": output(), "y": output()})], "a", answers={"a": {"x": 1, "y": 2, "z": 3}},
         values={"x": [1], "y": [2], "z": None}),
    Case("13.5/59", [ale("leaf", "{:y (* x 2)}", {"x": required(), "y": output()}),
                     child("outer", "leaf", {"x": required(), "y": output()})], "outer", {"x": 21}, values={"y": [42]}),
    Case("13.5/60", [ale("leaf", '(raise "no")', {"y": output()}), child("outer", "leaf", {"y": output()})], "outer",
         status="failed", ends={"outer": "no"}),
    Case(
        "13.5/62",
        [ale("leaf", "{:inner (+ in 1)}", {"in": required(), "inner": output()}),
         child("outer", "leaf", {"x": required(mapping="in"), "y": output(mapping="inner")})],
        "outer", {"x": 1}, values={"y": [2]},
    ),
    Case("13.5/63", [ale("leaf", "{:other 1}", {"other": output()}), child("outer", "leaf", {"y": output(mapping="inner")})],
         "outer", status="failed", ends={"outer": "inner"}),
    Case("13.14/131", [reader("first")], "g", {"x": [1, 2]}, calls={"g": [{"x": 1}]}),
    Case("13.14/132", [*TWO, reader("last")], "g", answers={"p": {"x": 1}, "q": 204}, calls={"g": [{"x": 1}]}),
    Case("13.14/133", [*TWO, reader("all")], "g", answers={"p": {"x": 1}, "q": {"x": 1}}, calls={"g": [{"x": [1, 1]}]}),
    Case("13.14/134", [s("p", {"x": output()}), s("g", {"x": optional(collect="none", default=7)})], "g",
         answers={"p": {}}, calls={"g": [{"x": 7}]}),
    Case("13.14/135", [reader("none")], "g", calls={"g": [{}]}),
    Case("13.14/136", [reader("some")], "g", {"x": 5}, calls={"g": [{"x": [5]}]}),
    Case("13.14/137", [s("g", {"o": const({"a": 1}), "n": const(None), "d": optional(default=None)})], "g",
         calls={"g": [{"o": {"a": 1}, "n": None, "d": None}]}),
    Case(
        "13.14/138",
        [s("g", {
            "a": required(mapping={"script": {"language": JPATH, "script": "$.k"}}), "b": required(mapping="inner"),
            "c": required(mapping={"script": script("(* c 2)")}),
        })],
        "g", {"a": {"k": 1}, "b": 2, "c": 3}, calls={"g": [{"a": 1, "inner": 2, "c": 6}]},
    ),
    Case("13.14/139", [s("g", {"x": required()}, **predicate("return x.y.z", "lua"))], "g", {"x": 1},
         status="failed", ends={"g": "predicate"}, calls={"g": 0}),
    Case("13.14/140", [s("g", {"x": required()}, **predicate("return x > 1", "lua")), s("h", {"x": required()}, **predicate("(> x 9)"))],
         "g h", {"x": 5}, calls={"g": 1, "h": 0}),
    Case("13.14/141", [s("g", {"x": const(None)}, **predicate("$[?@ == null]", JPATH))], "g", calls={"g": 1}),
    Case("13.14/142", ROUTER, "email postal", answers={"route": {"kind": "postal"}, "lookup": {"home": 1}},
         ends={"email": "required match did not match", "postal": "completed"}, calls={"email": 0, "postal": 1}),
    Case("13.14/143", [reader("some", match=script("(> value 1)"))], "g", {"x": [1, 2, 3]}, calls={"g": [{"x": [2, 3]}]}),
    Case("13.14/144", [reader("first", match=script("(> value 1)"))], "g", {"x": [1, 2, 3]}, calls={"g": [{"x": 2}]}),
    Case("13.14/145", [reader("all", match=script("(> value 1)"))], "g", {"x": [1, 2]}, status="failed",
         ends={"g": "required match did not match"}, calls={"g": 0}),
    Case("13.14/146", [s("g", {"x": required(match=script("value")), "other": required()}), s("h")], "g h",
         {"x": False, "other": 1}, ends={"g": "skipped"}),
    Case("13.15/148", [s("p", {"x": output()}), s("q", {"x": output()})], "p q", answers={"p": {"x": 1}, "q": {"x": 1}},
         values={"x": [1, 1]}),
    Case(
        "13.15/150",
        [s("a", {"x": output(mapping={"script": {"language": JPATH, "script": "$.deep.n"}}), "y": output(mapping="inner")})],
        "a", answers={"a": {"deep": {"n": 5}, "inner": 6}}, values={"x": [5], "y": [6]},
    ),
    Case("13.16/153", [s("each", EACH, http={"compensate": "http://127.0.0.1:1/"})], "each", {"x": [[1]]}, {"each": 422},
         status="failed", ends={"each": "422"}),
    Case("13.17/160", [s("each", EACH)], "each", {"x": [[1, 2]]}, {"each": ["busy", "busy", {"y": 1}]}, calls={"each": 4}),
    Case("13.18/165", [s("a", {"t": output(mapping={"script": {"language": JPATH, "script": "$..book"}})})], "a",
         answers={"a": {"s": [{"book": 1}, {"in": {"book": 2}}]}}, values={"t": [[1, 2]]}),
    Case("13.18/166", [s("each", {"x": required(for_each=True), "z": required(for_each=True)})], "each",
         {"x": [list(range(101))], "z": [list(range(101))]}, status="failed", ends={"each": "too many work items"}),
    Case("13.19/171", [lua("a", "return {y = inner .. '!'}", {"x": required(mapping="inner"), "y": output()})], "a",
         {"x": "hi"}, values={"y": ["hi!"]}),
    Case("13.19/173", [s("each", EACH, work_config={"parallelism": 2})], "each", {"x": [[1, 2, 3]]}, {"each": {"y": 0}},
         calls={"each": 3}),
    Case("13.20/177", [s("a")], "a", answers={"a": 422}, status="failed", ends={"a": "status 422"}),
    Case("13.26/241", [s("p", {"o": output()}), s("g", {"o": optional(deadline=60_000)})], "g", answers={"p": 422}, calls={"g": 1}),
    Case("13.26/242", [*TWO, reader("first")], "g", answers={"p": {"x": 1}, "q": 422}, ends={"g": "completed"}),
    Case("13.26/243", [s("p", {"x": output()}), reader("first")], "g", answers={"p": {}}, status="failed", ends={"g": UNREACHABLE}),
    Case("13.26/244", [*TWO, reader("all")], "g", answers={"p": {"x": 1}, "q": 422}, status="failed", ends={"g": UNREACHABLE}),
    Case("13.26/245", [s("p", {"x": output()}), reader("none")], "g", answers={"p": {"x": 1}}, status="failed", ends={"g": UNREACHABLE}),
    Case("13.26/246", [reader("first", match=script("(+ value 1 {})"))], "g", {"x": 1}, status="failed", ends={"g": "match"}),
    Case("13.26/247", [s("each", EACH)], "each", {"x": [[]]}, values={"y": [[]]}, calls={"each": 0}),
    Case("13.26/248", [s("a", {"x": output()}), s("b", {"y": output()})], "a b", {"x": 1}, {"b": {"y": 2}},
         values={"x": [1], "y": [2]}, calls={"a": 0, "b": 1}),
    Case("13.26/250", [s("again", work_config={"init_backoff": 60_000}), s("bad", {"x": required()}), s("p", {"x": output()})],
         "again bad", answers={"again": "busy", "p": {"x": 1}, "bad": 422}, status="failed", ends={"bad": "422"}),
    Case("13.26/251", [s("leaf", EACH), child("outer", "leaf", {"x": required(), "y": output()})], "outer", {"x": [[1, 2, 3]]},
         {"leaf": 422}, status="failed", ends={"outer": "422"}, calls={"leaf": 1}),
    Case("13.26/262", [s("each", {"x": required(for_each=True, mapping="inner")})], "each", {"x": [[1, 2]]},
         calls={"each": [{"inner": 1}, {"inner": 2}]}),
    Case("13.26/265", [s("leaf", {"who": required()}), child("outer", "leaf", {"who": meta("flow_id")})], "outer", calls={"leaf": 1}),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services() -> AsyncIterator[Stub]:
    async with stub_services() as stub:
        yield stub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Argyll]:
    """One node for the whole table."""
    async with aiohttp.ClientSession() as session:
        started = Argyll(tmp_path_factory.mktemp("node") / "data", session)
        await started.start()
        yield started
        await started.kill()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
async def test_a_scenario_is_seen_from_outside(node: Argyll, services: Stub, case: Case) -> None:
    """execution.md 13.1/1-2, 13.1/5-7, 13.1/10, 13.1/12, 13.1/16-18, 13.2/39, 13.4/55, 13.5/59-60, 13.5/62-63, 13.14/131-146,
    13.15/148, 13.15/150, 13.16/153, 13.17/160, 13.18/165-166, 13.19/171, 13.19/173, 13.20/177, 13.26/241-248, 13.26/250-251,
    13.26/262, 13.26/265
    """
    flow_id = f"f-{case.key.replace('/', '-')}"
    services.heard.clear()
    for step_id, attributes, fields in case.steps:
        services.on(f"/{step_id}", answering(services, case.answers.get(step_id, {})))
        await node.register(step(services, step_id, attributes=attributes, **fields))
    try:
        await node.start_flow(flow_id, *case.goals.split(), **case.init)
        state = await node.ended(flow_id)
    finally:
        for step_id, _, _ in case.steps:
            await node.call("DELETE", f"/engine/step/{step_id}")

    assert state["status"] == case.status, state.get("error")
    for name, values in case.values.items():
        assert [value["value"] for value in state["attributes"].get(name, [])] == (values or []), name
    for step_id, expected in case.calls.items():
        bodies = [heard.body for heard in services.of(f"/{step_id}")]
        assert (len(bodies) if isinstance(expected, int) else bodies) == expected, step_id
    for step_id, expected in case.ends.items():
        execution = state["executions"][step_id]
        assert expected == execution["status"] or expected in execution["error"], step_id


def answering(services: Stub, answers: Any) -> Any:
    """A service that gives these answers one after the other, the last one for ever; `hold` waits for the goal `g`."""
    queue = list(answers) if isinstance(answers, list) else [answers]

    async def answer(heard: Heard) -> web.Response:
        given = queue.pop(0) if len(queue) > 1 else queue[0]
        if given == "hold":
            await services.called("/g")
            given = {}
        return response(given)

    return answer
