"""What the inputs of a pending step amount to: fulfilled, still possible or impossible, and with which values.

The verdicts are those of execution.md 5 with the function that its section 5.10 asks for: nothing here can wait for
something that cannot come.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import UNSET

from argyll.flow.env import ScriptFailed, Values
from argyll.flow.transaction import Transaction
from argyll.model.flow import STEP_TERMINAL, FlowState, Value
from argyll.model.json import JSON
from argyll.model.match import Verdict, combine, match_verdict
from argyll.model.step import Attribute, Collect, Step
from argyll.model.times import US_PER_MS

InputVerdict = Literal["fulfilled", "possible", "impossible"]


class Supply(NamedTuple):
    """What the providers of an attribute have done: `settled` when no more values can come, `contributed` when each
    of them gave one, `broken` when one ended without giving any, `at_us` when the last of them ended."""

    settled: bool
    contributed: bool
    broken: bool
    at_us: int


class Fulfilment(NamedTuple):
    """The verdict over one input with the values that count and, once fulfilled, since when."""

    verdict: InputVerdict
    values: Sequence[Value]
    at_us: int


def supply(flow: FlowState, name: str) -> Supply:
    """Facts about the providers of an attribute (execution.md 5.1). Without providers all is settled from the start."""
    settled, contributed, broken, at_us = True, True, False, 0
    for provider in flow.plan.providers(name):
        execution = flow.executions[provider]
        if execution.status not in STEP_TERMINAL:
            settled = contributed = False
            continue
        gave = execution.status == "completed" and execution.outputs is not None and name in execution.outputs
        if not gave:
            contributed, broken = False, True
        at_us = max(at_us, execution.completed_at)
    return Supply(settled, contributed, broken, at_us or flow.created_at)


def candidates(tx: Transaction, step_id: str, name: str, spec: Attribute) -> Sequence[Value]:
    """The values that count for an input: all, or those that its match accepts. Raises `ScriptFailed`."""
    values = tx.flow.attributes.get(name, ())
    if spec.match is None:
        return values
    return [value for value, matched in zip(values, match_results(tx, step_id, name, spec), strict=True) if matched]


def match_results(tx: Transaction, step_id: str, name: str, spec: Attribute) -> list[bool]:
    """Whether the match of an input accepts each of its values so far. Raises `ScriptFailed`."""
    results = tx.matches.setdefault((step_id, name), [])
    values = tx.flow.attributes.get(name, ())
    if spec.match is not None:
        results += [tx.env.evaluator.matches(spec.match, value.value) for value in values[len(results) :]]
    return results


def fulfilment(tx: Transaction, step_id: str, name: str, spec: Attribute) -> Fulfilment:
    """The verdict over one input by its collect policy (execution.md 5.2, 5.10). Raises `ScriptFailed`."""
    values = candidates(tx, step_id, name, spec)
    collect = spec.collect
    if collect == "first" and values:
        return Fulfilment("fulfilled", values, values[0].set_at)
    facts = supply(tx.flow, name)
    if collect == "none":
        verdict: InputVerdict = "impossible" if values else _when(facts.settled, "fulfilled")
        return Fulfilment(verdict, (), facts.at_us)
    if collect == "all":
        refused = len(values) < len(tx.flow.attributes.get(name, ()))
        if refused or facts.broken or (facts.settled and not values):
            return Fulfilment("impossible", values, 0)
    if not facts.settled:
        return Fulfilment("possible", values, 0)
    return Fulfilment("fulfilled", values, values[-1].set_at) if values else Fulfilment("impossible", values, 0)


def _when(settled: bool, verdict: InputVerdict) -> InputVerdict:
    return verdict if settled else "possible"


def gates(tx: Transaction, step_id: str, step: Step) -> dict[str, Verdict]:
    """The verdict of every match gate of a step, by input. Raises `ScriptFailed`."""
    return {name: _gate(tx, step_id, name, spec) for name, spec in step.gates.items()}


def _gate(tx: Transaction, step_id: str, name: str, spec: Attribute) -> Verdict:
    results = match_results(tx, step_id, name, spec)
    facts = supply(tx.flow, name)
    return match_verdict(
        spec.collect,
        any_match=any(results),
        all_match=all(results),
        settled=facts.settled,
        contributed=facts.contributed,
    )


class Outlook(NamedTuple):
    """What the required inputs of a pending step amount to: `ready` since `anchor`, `wait`, or never: `pruned` by the
    gates named in `unsatisfied`, or `unreachable` for the inputs named there."""

    kind: Literal["ready", "wait", "pruned", "unreachable"]
    unsatisfied: tuple[str, ...] = ()
    anchor: int = 0


_WAIT = Outlook("wait")


def required_outlook(tx: Transaction, step_id: str, step: Step) -> Outlook:
    """The outlook by required inputs alone; `ready` carries the anchor (execution.md 5.3). Raises `ScriptFailed`.

    A closed gate prunes whatever the other inputs are; an undecided one is waited for before an impossible input
    counts, because the step may turn out not to be wanted at all (decisions 19).
    """
    if step.gates:
        verdicts = gates(tx, step_id, step)
        gate = combine(verdicts.values())
        if gate == "unmatched":
            return Outlook("pruned", tuple(sorted(name for name, v in verdicts.items() if v == "unmatched")))
        if gate == "unknown":
            return _WAIT
    impossible: list[str] = []
    possible = False
    anchor = tx.flow.created_at
    for name, spec in step.required.items():
        verdict, _, at_us = fulfilment(tx, step_id, name, spec)
        if verdict == "impossible":
            impossible.append(name)
        elif verdict == "possible":
            possible = True
        elif at_us > anchor:
            anchor = at_us
    if impossible:
        return Outlook("unreachable", tuple(impossible))
    return _WAIT if possible else Outlook("ready", anchor=anchor)


class Choice(NamedTuple):
    """The decision over an optional input: wait until `recheck_at`, or go with `values` (none: the default)."""

    values: Sequence[Value]
    recheck_at: int = 0


def optional_choice(tx: Transaction, step_id: str, name: str, spec: Attribute, anchor: int) -> Choice:
    """What an optional input does once the required ones are there since `anchor` (execution.md 5.4)."""
    limit = anchor + spec.deadline_ms * US_PER_MS
    verdict, values, at_us = fulfilment(tx, step_id, name, spec)
    if verdict == "fulfilled":
        return Choice(values if at_us <= limit else _partial(spec.collect, values, limit))
    now = tx.env.now_us
    if verdict == "impossible" or not spec.deadline_ms or supply(tx.flow, name).settled:
        return Choice(_partial(spec.collect, values, now))
    return Choice(_partial(spec.collect, values, limit)) if limit <= now else Choice((), limit)


def _partial(collect: Collect, values: Sequence[Value], cutoff: int) -> Sequence[Value]:
    """The values that count when the wait ended at `cutoff`; `first` and `all` never use part of the values."""
    return [value for value in values if value.set_at <= cutoff] if collect in ("last", "some") else ()


def wait_for_optional(tx: Transaction, step_id: str, step: Step, anchor: int) -> int:
    """Until when a step whose required inputs are there since `anchor` still waits for optional ones; 0: no longer."""
    return max(
        (optional_choice(tx, step_id, name, spec, anchor).recheck_at for name, spec in step.optional.items()),
        default=0,
    )


def collect_inputs(tx: Transaction, step_id: str, step: Step, anchor: int | None) -> Values:
    """The step's inputs by inner name, mapped; what has no value is left out (execution.md 5.9).

    Without an anchor (the step will not start) optional inputs give what is there. Raises `ScriptFailed` when a match
    fails; a failing mapping leaves the value as it was.
    """
    inputs: Values = {}
    for name, spec in step.attributes.items():
        if spec.role == "const":
            inputs[name] = spec.value
            continue
        if not spec.is_input:
            continue
        value = _input_value(tx, step_id, name, spec, anchor)
        if value is not UNSET:
            inner = spec.inner_name(name)
            inputs[inner] = _mapped(tx, step, spec, inner, value)
    return inputs


def _input_value(tx: Transaction, step_id: str, name: str, spec: Attribute, anchor: int | None) -> JSON:
    if spec.role == "required" or anchor is None:
        verdict, values, _ = fulfilment(tx, step_id, name, spec)
        if verdict != "fulfilled":
            values = ()
    else:
        values = optional_choice(tx, step_id, name, spec, anchor).values
    if not values:
        return spec.default
    if spec.collect == "first":
        return values[0].value
    if spec.collect == "last":
        return values[-1].value
    return [value.value for value in values] if spec.collect in ("some", "all") else spec.default


def _mapped(tx: Transaction, step: Step, spec: Attribute, inner: str, value: JSON) -> JSON:
    if spec.mapping is None or spec.mapping.script is None:
        return value
    try:
        return tx.env.evaluator.map_input(step, inner, spec.mapping.script, value)
    except ScriptFailed:
        return value
