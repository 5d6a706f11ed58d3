"""From a step that could not run, or a flow that ended, back to what began it."""

from collections.abc import Iterable

from msgspec import Struct

from argyll.flow.explain.answer import (
    MAX_CAUSES_LISTED,
    Cause,
    GoalStory,
    Input,
    Outcome,
    Provider,
    Reason,
    ReasonCode,
    shown,
    words,
)
from argyll.flow.explain.history import MATCH_FAILED, PREDICATE_FAILED, At
from argyll.flow.explain.items import Telling, item_story
from argyll.flow.explain.verdicts import input_facts
from argyll.model.flow import REASON_CANCELLED, REASON_MATCH, REASON_NOT_NEEDED, REASON_PREDICATE, REASON_UNREACHABLE

_SKIPS: dict[str, ReasonCode] = {
    REASON_MATCH: "match",
    REASON_PREDICATE: "predicate",
    REASON_NOT_NEEDED: "not_needed",
}


class _Want(Struct, frozen=True):
    """A step that wanted inputs, and the event by which it was decided that they do not come."""

    reader: str
    names: tuple[str, ...]
    before: int


def step_code(telling: Telling, step_id: str) -> ReasonCode:
    """Why a step is as it is, in a word."""
    flow, notes = telling.flow, telling.history.steps[step_id]
    execution = flow.executions[step_id]
    if execution.status == "skipped":
        return _SKIPS.get(execution.error, "not_needed")
    if execution.status == "pending":
        return "waits" if flow.status == "active" else "flow_ended"
    if execution.status != "failed":
        return "started"
    if notes.started:
        return "cancelled" if not execution.first_failed and execution.error == REASON_CANCELLED else "work_failed"
    if execution.error == REASON_UNREACHABLE:
        return "unreachable"
    return "script_failed" if execution.error.startswith((MATCH_FAILED, PREDICATE_FAILED)) else "too_many_items"


def step_reason(telling: Telling, step_id: str, *, deep: bool) -> Reason:
    """Why a step of the plan is as it is: with what began it when `deep`, else with its nearest causes."""
    flow, notes = telling.flow, telling.history.steps[step_id]
    execution = flow.executions[step_id]
    reason = Reason(step_code(telling, step_id))
    before = notes.decided.event if notes.decided is not None else telling.history.events
    if execution.status == "failed":
        reason.error = words(execution.error)
    if reason.code in ("match", "unreachable"):
        reason.inputs = _unsatisfied(telling, step_id, before)
        reason.because = causes_of(telling, step_id, execution.unsatisfied, before, deep=deep)
    elif reason.code == "not_needed":
        reason.readers = notes.readers
    elif reason.code == "work_failed" and execution.first_failed:
        reason.item = item_story(telling, step_id, execution.first_failed)
    elif reason.code == "script_failed" and execution.error.startswith(MATCH_FAILED):
        reason.source = "match"
    elif reason.code in ("predicate", "script_failed"):
        _predicate(telling, step_id, reason)
    return reason


def _unsatisfied(telling: Telling, step_id: str, before: int) -> list[Input]:
    moments, inputs = telling.history.moments(), list[Input]()
    for name in telling.flow.executions[step_id].unsatisfied:
        entry = input_facts(telling.flow, step_id, name, moments, before)
        entry.providers = [_provider_then(telling, provider, before) for provider in entry.providers]
        inputs.append(entry)
    return inputs


def _provider_then(telling: Telling, provider: Provider, before: int) -> Provider:
    """A provider as it was before an event."""
    if _ended_before(telling, provider.step, before):
        return provider
    decided = telling.history.steps[provider.step].decided
    return Provider(provider.step, "active" if decided is not None and decided.event < before else "pending")


def _predicate(telling: Telling, step_id: str, reason: Reason) -> None:
    reason.source = "predicate"
    predicate = telling.flow.plan.steps[step_id].predicate
    reason.script = words(predicate.script) if predicate is not None else ""
    received = telling.flow.executions[step_id].inputs or {}
    reason.received = {name: shown(value) for name, value in sorted(received.items())}


def causes_of(telling: Telling, step_id: str, names: Iterable[str], before: int, *, deep: bool = True) -> list[Cause]:
    """Why inputs of a step did not come (or came although they must not), nearest first; a step is followed once, and
    none without `deep`."""
    causes: list[Cause] = []
    seen: set[str] = {step_id}
    stack = [_Want(step_id, tuple(names), before)]
    while stack and len(causes) < MAX_CAUSES_LISTED:
        want = stack.pop()
        deeper: list[_Want] = []
        for name in want.names:
            for cause in _links(telling, want, name):
                causes.append(cause)
                if deep and cause.step and cause.step not in seen and cause.code in ("unreachable", "match"):
                    seen.add(cause.step)
                    decided = telling.history.steps[cause.step].decided
                    unsatisfied = tuple(telling.flow.executions[cause.step].unsatisfied)
                    deeper.append(_Want(cause.step, unsatisfied, decided.event if decided is not None else 0))
        stack += reversed(deeper)
    return causes[:MAX_CAUSES_LISTED]


def _links(telling: Telling, want: _Want, name: str) -> list[Cause]:
    """What kept one input from being fulfilled, as of the decision."""
    flow, reader = telling.flow, want.reader
    spec = flow.plan.steps[reader].attributes[name]
    events = telling.history.value_events.get(name, ())
    values = [v for v, event in zip(flow.attributes.get(name, ()), events, strict=False) if event < want.before]
    if spec.collect == "none":
        if spec.match is not None and len(values) > 1:
            return []  # only its match knows which of them it accepted
        moments = [telling.moment(At(value.set_at, events[i])) for i, value in enumerate(values[:1])]
        return [Cause(reader, name, values[0].step, code="gave_value", at=moment) for moment in moments]
    links = [
        _broken(telling, reader, name, provider)
        for provider in flow.plan.providers(name)
        if _ended_before(telling, provider, want.before) and not _gave(telling, provider, name)
    ]
    if not links and not values:
        return [Cause(reader, name, code="no_provider")]
    return links


def _ended_before(telling: Telling, step_id: str, event: int) -> bool:
    ended = telling.history.steps[step_id].ended
    return ended is not None and ended.event < event


def _gave(telling: Telling, step_id: str, name: str) -> bool:
    outputs = telling.flow.executions[step_id].outputs
    return outputs is not None and name in outputs


def _broken(telling: Telling, reader: str, name: str, step_id: str) -> Cause:
    cause = end_of(telling, step_id)
    cause.reader, cause.input = reader, name
    if cause.status == "completed":
        cause.code = "gave_nothing"
    return cause


def end_of(telling: Telling, step_id: str) -> Cause:
    """How a step ended, as a link of a chain that nobody reads yet."""
    execution, notes = telling.flow.executions[step_id], telling.history.steps[step_id]
    cause = Cause("", "", step_id, execution.status, step_code(telling, step_id))
    cause.at = telling.moment(notes.ended) if notes.ended is not None else None
    if execution.status == "failed":
        cause.error = words(execution.error)
    if cause.code == "work_failed" and execution.first_failed:
        cause.item = item_story(telling, step_id, execution.first_failed)
    elif cause.code == "match" and notes.decided is not None:
        cause.inputs = _unsatisfied(telling, step_id, notes.decided.event)
    elif cause.code == "predicate":
        predicate = telling.flow.plan.steps[step_id].predicate
        cause.script = words(predicate.script) if predicate is not None else ""
    return cause


def flow_outcome(telling: Telling) -> Outcome | None:
    """Why the flow ended as it did; None while it is active."""
    flow, ended = telling.flow, telling.history.ended
    if ended is None:
        return None
    goals = [_goal(telling, goal) for goal in flow.plan.goals]
    outcome = Outcome("goals_done", telling.moment(ended), goals)
    if flow.status == "completed":
        return outcome
    outcome.error = words(flow.error)
    if flow.error == REASON_CANCELLED:
        outcome.code = "cancelled"
        return outcome
    in_plan = [goal for goal in flow.plan.goals if goal in flow.executions]
    lost = [
        goal
        for goal in in_plan
        if flow.executions[goal].status == "failed" and _ended_before(telling, goal, ended.event)
    ]
    outcome.code = "goal_failed" if lost else "goals_pruned"
    for goal in lost or in_plan:
        decided = telling.history.steps[goal].decided
        before = decided.event if decided is not None else ended.event
        outcome.because.append(end_of(telling, goal))
        outcome.because += causes_of(telling, goal, flow.executions[goal].unsatisfied, before)
    outcome.because = outcome.because[:MAX_CAUSES_LISTED]
    return outcome


def _goal(telling: Telling, goal: str) -> GoalStory:
    execution = telling.flow.executions.get(goal)
    if execution is None:
        return GoalStory(goal, "satisfied")
    return GoalStory(goal, execution.status, "" if execution.status == "completed" else step_code(telling, goal))
