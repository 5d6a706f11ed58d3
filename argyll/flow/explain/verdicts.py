"""What the inputs of a step amounted to when it was decided, or amount to while it is pending, told without scripts.

The rules are those of `argyll.flow.inputs`, asked with an evaluator that refuses. What the match scripts must have said
is taken from what happened next; where that leaves it open, the answer says so.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NoReturn

from msgspec import UNSET, Struct

from argyll.flow.env import Env, ScriptFailed, Values
from argyll.flow.explain.answer import (
    MAX_VALUES_LISTED,
    Candidate,
    Input,
    InputOutcome,
    OptionalWhy,
    Provider,
    moment,
    shown,
    words,
)
from argyll.flow.inputs import Choice, Fulfilment, fulfilment, optional_choice, supply
from argyll.flow.transaction import Transaction
from argyll.model.flow import FlowState, Value
from argyll.model.json import canonical
from argyll.model.step import Attribute, Collect, Step
from argyll.model.times import US_PER_MS

Phase = Literal["started", "pruned", "unreachable", "pending", "open"]
"""How far the machine got with a step: past its gates (`started`, `unreachable`), closed by some of them (`pruned`), at
rest before them (`pending`), or somewhere that tells nothing about its matches (`open`)."""

_ROLE_ORDER = ("required", "optional", "const", "meta")


class _NoScripts:
    """An evaluator that never runs anything."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ScriptFailed("an explanation runs no scripts")

    matches = predicate = map_input = map_output = run = _refuse


def _nothing(*_: object) -> NoReturn:
    raise AssertionError("an explanation decides nothing")


_NO_SCRIPTS = _NoScripts()


class Moments(Struct):
    """What `examine` knows of the history around a flow's state: sequences of the values' events, and the present."""

    value_events: Mapping[str, Sequence[int]]
    now_us: int


class Examined(Struct):
    """The inputs of a step, and since when the required ones are all there (0: they are not, or it cannot be told)."""

    inputs: list[Input]
    anchor_us: int


def without_scripts(flow: FlowState, now_us: int) -> Transaction:
    """A transaction that only answers questions."""
    env = Env(now_us, "", _NO_SCRIPTS, _nothing, _nothing, _nothing, _nothing)
    return Transaction(flow, env)


def examine(
    flow: FlowState, step_id: str, phase: Phase, moments: Moments, received: Values, unsatisfied: Sequence[str] = ()
) -> Examined:
    """All inputs of a step by the state just before it was decided. `received` and `unsatisfied` are the event's."""
    step = flow.plan.steps[step_id]
    look = _Look(flow, step, phase, moments, received, unsatisfied)
    anchor = look.anchor()
    specs = sorted(step.attributes.items(), key=lambda item: item[0])
    inputs = [look.input(name, spec, anchor) for name, spec in specs if spec.role != "output"]
    return Examined(sorted(inputs, key=lambda found: _ROLE_ORDER.index(found.role)), anchor or 0)


def input_facts(flow: FlowState, step_id: str, name: str, moments: Moments, before: int) -> Input:
    """Candidates and providers of one input as of the event `before`; no verdict."""
    spec = flow.plan.steps[step_id].attributes[name]
    events = moments.value_events.get(name, ())
    values = [value for value, event in zip(flow.attributes.get(name, ()), events, strict=False) if event < before]
    listed, more = _candidates(flow, name, values, spec.collect, moments)
    return Input(
        name,
        spec.role,
        collect=spec.collect,
        match="" if spec.match is None else "unmatched",
        script="" if spec.match is None else words(spec.match.script),
        candidates=listed,
        more_candidates=more,
        providers=providers(flow, name),
    )


def providers(flow: FlowState, name: str) -> list[Provider]:
    """The steps that write an attribute, with their status."""
    return [_provider(flow, name, step_id) for step_id in flow.plan.providers(name)]


def _provider(flow: FlowState, name: str, step_id: str) -> Provider:
    execution = flow.executions[step_id]
    return Provider(step_id, execution.status, execution.outputs is not None and name in execution.outputs)


def _candidates(
    flow: FlowState, name: str, values: Sequence[Value], collect: str, moments: Moments
) -> tuple[list[Candidate], int]:
    """The candidates that are listed, the most telling end of them, and how many are not."""
    first = max(len(values) - MAX_VALUES_LISTED, 0) if collect == "last" else 0
    listed = [
        candidate(flow, name, first + i, value, moments)
        for i, value in enumerate(values[first : first + MAX_VALUES_LISTED])
    ]
    return listed, len(values) - len(listed)


def candidate(flow: FlowState, name: str, index: int, value: Value, moments: Moments) -> Candidate:
    """One value of an attribute."""
    events = moments.value_events[name]
    return Candidate(index, shown(value.value), moment(value.set_at, flow.created_at, events[index]), value.step)


def known_matches(collect: Collect, count: int, *, matched: bool) -> list[bool] | None:
    """What the match of a gate that has not closed must have said of its candidates, None where that is open.

    `matched`: the gate is known to be open rather than undecided.
    """
    if collect == "all":
        return [True] * count  # the first refusal would have closed it
    if collect == "none":
        return [False] * count
    return [True] * count if count == 0 or (count == 1 and matched) else None


class _Look:
    """One look at the inputs of one step."""

    def __init__(
        self,
        flow: FlowState,
        step: Step,
        phase: Phase,
        moments: Moments,
        received: Values,
        unsatisfied: Sequence[str],
    ) -> None:
        self._flow, self._step, self._phase = flow, step, phase
        self._moments, self._received, self._unsatisfied = moments, received, unsatisfied
        self._tx = without_scripts(flow, moments.now_us)
        for name, spec in step.gates.items():
            known = self._matches(name, spec)
            if known is not None:
                self._tx.matches[step.id, name] = known

    def _matches(self, name: str, spec: Attribute) -> list[bool] | None:
        values = self._flow.attributes.get(name, ())
        if self._phase == "open":
            return None
        if self._phase == "pruned":
            refused = name in self._unsatisfied and spec.collect in ("first", "last", "some")
            return [False] * len(values) if refused else None
        known = known_matches(spec.collect, len(values), matched=self._gate(name, spec) == "matched")
        if known is not None or self._phase != "started" or (spec.mapping is not None and spec.mapping.script):
            return known
        received = self._received.get(spec.inner_name(name), UNSET)
        accepted = {canonical(value) for value in (received if spec.collect == "some" else [received])}
        results = [canonical(value.value) in accepted for value in values]
        return results if any(results) else None

    def _gate(self, name: str, spec: Attribute) -> Literal["matched", "unmatched", "unknown"]:
        if self._phase in ("started", "unreachable"):
            return "matched"
        if self._phase == "pruned" and name in self._unsatisfied:
            return "unmatched"
        # A closed gate would have ended the step; one that has nothing to wait for any more is open.
        return "matched" if self._phase == "pending" and supply(self._flow, name).settled else "unknown"

    def _fulfilment(self, name: str, spec: Attribute) -> Fulfilment | None:
        """The machine's own verdict, None where only the match could tell."""
        try:
            return fulfilment(self._tx, self._step.id, name, spec)
        except ScriptFailed:
            if self._gate(name, spec) != "matched":
                return None
            # An open gate means a fulfilled input. Which of the values it was is not known; the latest is the latest it
            # can have been.
            values = self._flow.attributes.get(name, ())
            return Fulfilment("fulfilled", (), max((value.set_at for value in values), default=0))

    def anchor(self) -> int | None:
        """Since when the required inputs are all there, None while they are not."""
        anchor = self._flow.created_at
        for name, spec in self._step.required.items():
            found = self._fulfilment(name, spec)
            if found is None or found.verdict != "fulfilled":
                return None
            anchor = max(anchor, found.at_us)
        return anchor

    def input(self, name: str, spec: Attribute, anchor: int | None) -> Input:
        """The story of one input."""
        inner = spec.inner_name(name)
        entry = Input(name, spec.role, inner=inner if inner != name else "")
        if spec.role == "const":
            entry.outcome, entry.received = "value", shown(spec.value)
            return entry
        if inner in self._received:
            entry.received = shown(self._received[inner])
        if spec.role == "meta":
            return entry
        self._describe(entry, name, spec, anchor)
        return entry

    def _describe(self, entry: Input, name: str, spec: Attribute, anchor: int | None) -> None:
        flow = self._flow
        found = self._fulfilment(name, spec)
        entry.collect = spec.collect
        entry.verdict = found.verdict if found is not None else "undecided"
        if spec.match is not None:
            entry.match, entry.script = self._gate(name, spec), words(spec.match.script)
        entry.converted = spec.mapping is not None and spec.mapping.script is not None
        entry.deadline_ms = spec.deadline_ms
        values = flow.attributes.get(name, ())
        entry.candidates, entry.more_candidates = _candidates(flow, name, values, spec.collect, self._moments)
        entry.providers = providers(flow, name)
        if found is not None and found.verdict == "fulfilled" and (found.values or spec.collect == "none"):
            entry.since = moment(found.at_us, flow.created_at)
        if spec.role == "optional" and anchor is not None and self._phase in ("started", "pending"):
            choice = optional_choice(self._tx, self._step.id, name, spec, anchor)
            entry.outcome, entry.why = self._optional(name, spec, choice, found, anchor)
            if choice.recheck_at:
                entry.until = moment(choice.recheck_at, flow.created_at)
            self._use(entry, name, spec, choice.values)
        elif self._phase in ("pending", "open"):
            waits = spec.role == "required" and entry.verdict != "fulfilled"
            entry.outcome = "waits" if waits and self._phase == "pending" else ""
        else:
            entry.outcome = self._collected(spec, spec.inner_name(name), found)
            self._use(entry, name, spec, found.values if found is not None else ())

    def _collected(self, spec: Attribute, inner: str, found: Fulfilment | None) -> InputOutcome:
        """What stands in the event of a step that did not start."""
        if inner not in self._received:
            return "absent"
        defaulted = found is not None and (found.verdict != "fulfilled" or not found.values)
        return "default" if defaulted and spec.role == "optional" else "value"

    def _optional(
        self, name: str, spec: Attribute, choice: Choice, found: Fulfilment | None, anchor: int
    ) -> tuple[InputOutcome, OptionalWhy | Literal[""]]:
        if choice.recheck_at:
            return "waits", ""
        if choice.values and spec.collect != "none":
            return "value", ""
        outcome: InputOutcome = "absent" if spec.default is UNSET else "default"
        if spec.collect == "none":
            return outcome, ""
        if found is not None and found.verdict == "fulfilled":
            return outcome, "late" if found.at_us > anchor + spec.deadline_ms * US_PER_MS else ""
        if not self._flow.plan.providers(name):
            return outcome, "no_provider"
        if supply(self._flow, name).settled:
            return outcome, "providers_ended"
        return outcome, "deadline_passed" if spec.deadline_ms else "not_waited"

    def _use(self, entry: Input, name: str, spec: Attribute, counted: Sequence[Value]) -> None:
        """Name the values that the step received."""
        if entry.outcome != "value":
            return
        chosen = {"first": counted[:1], "last": counted[-1:], "none": ()}.get(spec.collect, counted)
        values = self._flow.attributes.get(name, ())
        wanted = {id(value) for value in chosen[:MAX_VALUES_LISTED]}
        entry.used = [
            candidate(self._flow, name, index, value, self._moments)
            for index, value in enumerate(values)
            if id(value) in wanted
        ]
