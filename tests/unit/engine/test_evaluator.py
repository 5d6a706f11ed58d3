"""Scripts inside a command: cheap ones run, dear ones go to a worker, and the history is the same either way."""

import re
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import Engine, EngineConfig, evaluator
from argyll.engine.evaluator import Answer, Evaluation, NeedsWorker, ScriptEvaluator, evaluate
from argyll.flow import OverBudget, ScriptFailed
from argyll.model import json
from argyll.model.step import Script, Step
from argyll.model.wire import step_from_json
from argyll.scripts import Limits, Scripts
from argyll.store import Store

from .conftest import Node, Services, step

UNHURRIED = Limits(wall_ms=60_000)
"""The full limits, without the clock: these tests must not depend on speed."""

SUM = "(fold-left + 0 (range 0 30000 1))"
"""More steps than a command may take."""

ENDLESS = "(fold-left + 0 (range))"


class Answering:
    """Workers in this process: evaluates with full limits and counts what it was asked."""

    def __init__(self, limits: Limits = UNHURRIED) -> None:
        self.asked: list[Evaluation] = []
        self._scripts, self._limits = Scripts(), limits

    async def evaluate(self, evaluation: Evaluation) -> Answer:
        self.asked.append(evaluation)
        return evaluate(self._scripts, evaluation, self._limits)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets that count steps and no time."""
    monkeypatch.setattr(evaluator, "INLINE", Limits(steps=20_000, wall_ms=60_000))
    monkeypatch.setattr(evaluator, "COMMAND_SCRIPT_US", 60_000_000)


@pytest.fixture
def scripts() -> ScriptEvaluator:
    made = ScriptEvaluator(Scripts())
    made.begin_command()
    return made


def scripted(text: str, **attributes: Any) -> Step:
    return step_from_json(step("s", "script", script=text, attributes=attributes))


X = {"role": "required"}


def test_a_cheap_script_runs_at_once(scripts: ScriptEvaluator):
    assert scripts.run(scripted("(+ x 1)", x=X), {"x": 1}) == {"result": 2}
    assert scripts.run(scripted("{:y x}", x=X), {"x": 1}) == {"y": 1}
    with pytest.raises(ScriptFailed, match="no"):
        scripts.run(scripted('(raise "no")'), {})


def test_a_dear_script_step_is_over_budget(scripts: ScriptEvaluator):
    with pytest.raises(OverBudget):
        scripts.run(scripted(SUM), {})


def test_the_budget_is_one_for_all_scripts_of_a_command(scripts: ScriptEvaluator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluator, "COMMAND_SCRIPT_US", -1)
    scripts.begin_command()
    with pytest.raises(OverBudget):
        scripts.run(scripted("1"), {})
    monkeypatch.setattr(evaluator, "COMMAND_SCRIPT_US", 60_000_000)
    scripts.begin_command()
    assert scripts.run(scripted("1"), {}) == {"result": 1}


def ask(scripts: ScriptEvaluator, kind: str, text: str) -> Any:
    script = Script("ale", text)
    one = step_from_json(
        step("s", attributes={"x": X}, predicate={"language": "ale", "script": text})
        | {"attributes": {"x": X, "y": {"role": "output", "mapping": {"script": {"language": "ale", "script": text}}}}}
    )
    match kind:
        case "match":
            return scripts.matches(script, 1)
        case "predicate":
            return scripts.predicate(one, {"x": 1})
        case "input":
            return scripts.map_input(one, "x", script, 1)
        case _:
            return scripts.map_output(one, "y", one.attributes["y"], {"r": 1})


KINDS = ["match", "predicate", "input", "output"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_dear_evaluation_asks_a_worker_and_takes_its_answer(scripts: ScriptEvaluator, kind: str):
    with pytest.raises(NeedsWorker) as raised:
        ask(scripts, kind, f"(< 0 {SUM})")
    scripts.learn(raised.value.evaluation, evaluate(Scripts(), raised.value.evaluation, UNHURRIED))
    assert ask(scripts, kind, f"(< 0 {SUM})") is True


@pytest.mark.parametrize("kind", KINDS)
def test_a_workers_error_is_the_scripts(scripts: ScriptEvaluator, kind: str):
    with pytest.raises(NeedsWorker) as raised:
        ask(scripts, kind, f"(< 0 {SUM})")
    scripts.learn(raised.value.evaluation, Answer(error="too much"))
    with pytest.raises(ScriptFailed, match="too much"):
        ask(scripts, kind, f"(< 0 {SUM})")


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_that_fails_says_so_at_once(scripts: ScriptEvaluator, kind: str):
    with pytest.raises(ScriptFailed, match="no"):
        ask(scripts, kind, '(raise "no")')


def test_answers_are_kept_for_the_most_recent_questions_only(scripts: ScriptEvaluator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluator, "ANSWERS_KEPT", 2)
    asked = [Evaluation("map", Script("ale", str(n)), (), b"{}", b"null") for n in range(3)]
    for evaluation in asked:
        scripts.learn(evaluation, Answer(1))
    assert list(scripts._answers) == asked[1:]


def test_a_limit_of_the_worker_is_an_error():
    evaluation = Evaluation("outputs", Script("ale", ENDLESS), (), b"{}", b"null")
    assert "steps limit" in evaluate(Scripts(), evaluation, Limits(steps=1_000, wall_ms=60_000)).error


# Through a node: the same flow with every evaluation inside its command, and with every dear one in a worker.

DEAR = [
    step(
        "source",
        "script",
        script="{:items [1 2 3] :flag true}",
        gives=("items", "flag"),
    ),
    step(
        "each",
        "script",
        script=f"{{:sum (+ item {SUM})}}",
        attributes={
            "flag": X | {"match": {"language": "ale", "script": f"(and value (< 0 {SUM}))"}},
            "items": X | {"for_each": True, "mapping": {"name": "item"}},
            "sum": {"role": "output", "type": "array"},
        },
        work_config={"parallelism": 2},
    ),
    step(
        "goal",
        "script",
        script="{:first number}",
        predicate={"language": "ale", "script": f"(< 0 (+ number {SUM}))"},
        attributes={
            "sum": X
            | {"mapping": {"name": "number", "script": {"language": "ale", "script": f"(+ (length number) {SUM})"}}},
            "first": {
                "role": "output",
                "mapping": {"script": {"language": "ale", "script": f"(- {SUM} {SUM})"}},
            },
        },
    ),
]

_TOKEN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def told(directory: Path, workers: Answering) -> tuple[Any, list[str]]:
    """Result and history of the dear flow, with tokens and durations made comparable."""
    engine = Engine(EngineConfig(data_dir=directory, drain_s=0), await Store.in_memory(), Services())
    engine._workers = engine._flows._workers = engine._dispatcher._workers = workers  # pyright: ignore
    node = Node(engine, Services())
    await node.register(*DEAR)
    await node.start("f", "goal")
    state = await node.ended("f")
    tokens: dict[str, str] = {}
    lines = [
        _TOKEN.sub(
            lambda found: tokens.setdefault(found[0], f"t{len(tokens)}"), f"{record.type} {record.data.decode()}"
        )
        for record in await engine.events(("flow", "f"))
    ]
    await engine.close()
    return state, [re.sub(r'"duration":\d+', "", line) for line in lines]


def what_happened(lines: list[str]) -> dict[str, int]:
    """Each event without its place in the history: items of one step end in any order."""
    return {line: lines.count(line) for line in lines}


async def test_a_flow_tells_the_same_with_and_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workers = Answering()
    state, lines = await told(tmp_path, workers)
    assert state["status"] == "completed"
    assert state["attributes"]["first"][0]["value"] == 0
    assert {evaluation.kind for evaluation in workers.asked} == {"outputs", "test", "test_value", "map"}
    assert len(set(workers.asked)) == len(workers.asked)  # nothing is asked twice
    monkeypatch.setattr(evaluator, "INLINE", UNHURRIED)
    unasked = Answering()
    inside, lines_inside = await told(tmp_path, unasked)
    assert unasked.asked == []
    assert inside["attributes"].keys() == state["attributes"].keys()
    assert what_happened(lines) == what_happened(lines_inside)


async def test_a_dear_script_over_its_full_limits_fails_its_step(node: Node):
    workers = Answering(Limits(steps=40_000, wall_ms=60_000))
    node.engine._dispatcher._workers = node.engine._flows._workers = workers  # pyright: ignore
    await node.register(step("endless", "script", script=ENDLESS, gives=("y",)))
    await node.start("f", "endless")
    state = await node.ended("f")
    assert state["status"] == "failed"
    assert "steps limit" in state["error"]


async def test_a_command_that_waits_for_a_worker_leaves_nothing_half_done(node: Node):
    """The predicate of the second step needs a worker while the result of the first is being recorded."""
    workers = Answering()
    node.engine._flows._workers = workers  # pyright: ignore
    second = step(
        "second", "script", script="{:y x}", needs=("x",), gives=("y",),
        predicate={"language": "ale", "script": f"(< x {SUM})"},
    )  # fmt: skip
    await node.register(step("first", gives=("x",)), second)
    await node.start("f", "second")
    await node.services.called("first")
    node.services.answer("first", {"x": 1})
    assert (await node.ended("f"))["status"] == "completed"
    types = await node.types("f")
    assert len(workers.asked) == 1
    assert types.count("work_succeeded") == 2
    assert types.count("step_started") == 2
    assert json.decode(workers.asked[0].arguments) == {"x": 1}
