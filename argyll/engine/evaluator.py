"""Runs scripts for the flow machine inside a command, under a small budget, and elsewhere when that is not enough.

A command may spend `COMMAND_SCRIPT_US` on scripts. A script step that needs more stays active and runs as an effect.
Any other evaluation (predicate, match, mapping) that needs more aborts the command with `NeedsWorker`; the engine has it
evaluated by a worker, hands the answer to `learn`, and runs the command again. Scripts are pure, so running one again
gives the same.
"""

import time
from collections import OrderedDict
from typing import Literal

from msgspec import Struct

from argyll.flow import OverBudget, ScriptFailed
from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import Attribute, Script, Step
from argyll.scripts import INLINE, CompileError, LimitExceeded, Limits, RunError, Scripts

Values = dict[str, JSON]
Kind = Literal["outputs", "test", "test_value", "map"]

COMMAND_SCRIPT_US = 5_000
"""What all scripts of one command may take of the event loop, in microseconds."""

ANSWERS_KEPT = 4_096
"""Answers of workers kept for commands that have to run again."""


class Evaluation(Struct, frozen=True):
    """One evaluation as a worker gets it: plain data. `arguments` is JSON text of the named arguments, `document` of
    the value that a match or a mapping is about."""

    kind: Kind
    script: Script
    names: tuple[str, ...]
    arguments: bytes
    document: bytes


class NeedsWorker(Exception):
    """The command waits for an evaluation that is too long for the event loop."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(f"a {evaluation.script.language} script needs a worker")
        self.evaluation = evaluation


class Answer(Struct, frozen=True):
    """What a worker found: a value, or the error's text."""

    value: JSON = None
    error: str = ""


def evaluate(scripts: Scripts, evaluation: Evaluation, limits: Limits) -> Answer:
    """Run an evaluation to its end. A limit counts as the script's error."""
    try:
        return Answer(_run(scripts, evaluation, limits))
    except (CompileError, RunError) as error:
        return Answer(error=str(error))


def _run(scripts: Scripts, evaluation: Evaluation, limits: Limits) -> JSON:
    script = evaluation.script
    compiled = scripts.compile(script.language, script.script, evaluation.names)
    arguments: Values = json.decode(evaluation.arguments)
    match evaluation.kind:
        case "outputs":
            return compiled.outputs(arguments, limits)
        case "test":
            return compiled.test(arguments, limits)
        case "test_value":
            return compiled.test_value(json.decode(evaluation.document), limits)
        case "map":
            return compiled.map(arguments, json.decode(evaluation.document), limits)


class ScriptEvaluator:
    """The flow machine's evaluator on this node. `begin_command` gives it a fresh budget."""

    def __init__(self, scripts: Scripts) -> None:
        self.scripts = scripts
        self._answers: OrderedDict[Evaluation, Answer] = OrderedDict()
        self._spent_until = 0

    def begin_command(self) -> None:
        """A new command starts: the budget is whole again."""
        self._spent_until = time.perf_counter_ns() + COMMAND_SCRIPT_US * 1_000

    def learn(self, evaluation: Evaluation, answer: Answer) -> None:
        """Keep a worker's answer for the command that asked."""
        self._answers[evaluation] = answer
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def matches(self, script: Script, value: JSON) -> bool:
        try:
            compiled = self.scripts.compile(script.language, script.script, ("value",))
            return compiled.test_value(value, INLINE)
        except LimitExceeded:
            return self._answer(Evaluation("test_value", script, ("value",), b"{}", json.encode(value)))
        except (CompileError, RunError) as error:
            raise ScriptFailed(str(error)) from error

    def predicate(self, step: Step, inputs: Values) -> bool:
        script = step.predicate
        assert script is not None
        names = step.argument_names
        try:
            return self.scripts.compile(script.language, script.script, names).test(inputs, INLINE)
        except LimitExceeded:
            return self._answer(Evaluation("test", script, names, json.encode(inputs), b"null"))
        except (CompileError, RunError) as error:
            raise ScriptFailed(str(error)) from error

    def map_input(self, step: Step, inner: str, script: Script, value: JSON) -> JSON:
        return self._map(script, step.argument_names, {inner: value}, value)

    def map_output(self, step: Step, name: str, spec: Attribute, outputs: Values) -> JSON:
        assert spec.mapping is not None
        script = spec.mapping.script
        assert script is not None
        # Scripts see the raw outputs by name and whole, as `outputs` (decisions 30).
        names = step.output_mapping_names
        return self._map(script, names, {**outputs, "outputs": outputs}, outputs)

    def run(self, step: Step, arguments: Values) -> Values:
        script = step.script
        assert script is not None
        if time.perf_counter_ns() > self._spent_until:
            raise OverBudget
        try:
            return self.scripts.compile(script.language, script.script, step.argument_names).outputs(arguments, INLINE)
        except LimitExceeded as error:
            raise OverBudget from error
        except (CompileError, RunError) as error:
            raise ScriptFailed(str(error)) from error

    def _map(self, script: Script, names: tuple[str, ...], arguments: Values, document: JSON) -> JSON:
        try:
            return self.scripts.compile(script.language, script.script, names).map(arguments, document, INLINE)
        except LimitExceeded:
            return self._answer(Evaluation("map", script, names, json.encode(arguments), json.encode(document)))
        except (CompileError, RunError) as error:
            raise ScriptFailed(str(error)) from error

    def _answer(self, evaluation: Evaluation) -> JSON:
        answer = self._answers.get(evaluation)
        if answer is None:
            raise NeedsWorker(evaluation)
        if answer.error:
            raise ScriptFailed(answer.error)
        return answer.value
