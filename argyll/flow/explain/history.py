"""A flow's history, read once: the state that its events add up to, and beside it what the state forgets.

Folded with the flow's own appliers. The notes say which event is the evidence of what, keep every attempt of every work
item, and, for the steps that are asked about, what their inputs amounted to at the moment of the decision.
"""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct, field

from argyll.flow.apply import apply
from argyll.flow.explain.answer import Input, ItemWhy, Reader
from argyll.flow.explain.verdicts import Moments, Phase, examine
from argyll.flow.inputs import supply
from argyll.model import events as ev
from argyll.model.flow import (
    REASON_MATCH,
    REASON_NOT_NEEDED,
    REASON_PREDICATE,
    REASON_UNREACHABLE,
    STEP_TERMINAL,
    FlowState,
)
from argyll.model.plan import Plan
from argyll.model.times import from_rfc3339


class At(Struct, frozen=True):
    """A moment and the sequence of the event that says so."""

    us: int
    event: int


class Try(Struct):
    """One attempt at the work of an item, or at undoing it."""

    number: int
    node_id: str
    started: At
    outcome: Literal["running", "succeeded", "failed", "not_completed", "taken_over"] = "running"
    ended: At | None = None
    error: str = ""
    retry_us: int = 0

    def end(self, outcome: Literal["succeeded", "failed", "not_completed", "taken_over"], at: At, error: str) -> None:
        """How the attempt came out."""
        self.outcome, self.ended, self.error = outcome, at, error


class ItemNotes(Struct):
    """What the state forgets of a work item."""

    tries: list[Try] = field(default_factory=list[Try])
    undo: list[Try] = field(default_factory=list[Try])
    why: ItemWhy = ""
    ended: At | None = None
    undo_late: bool = False
    """It succeeded after its step had failed."""


class StepNotes(Struct):
    """What the state forgets of a step. `decided` is when it was started, or ended without having started."""

    decided: At | None = None
    ended: At | None = None
    started: bool = False
    inputs: list[Input] | None = None
    readers: list[Reader] = field(default_factory=list[Reader])
    items: dict[str, ItemNotes] = field(default_factory=dict[str, ItemNotes])
    deferred: At | None = None
    claimed: At | None = None
    """When one of its items was last claimed."""

    def item(self, token: str) -> ItemNotes:
        """The notes of one item."""
        return self.items.setdefault(token, ItemNotes())


class History:
    """Takes a flow's events in order, from the first on.

    `step` and `attribute` are what will be asked about: their inputs, and those upstream of the attribute, are looked at
    when they are decided, which is the only moment at which it can be told exactly.
    """

    def __init__(self, step: str = "", attribute: str = "") -> None:
        self.flow: FlowState | None = None
        self.step, self.attribute = step, attribute
        self.steps: dict[str, StepNotes] = {}
        self.value_events: dict[str, list[int]] = {}
        self.events = 0
        self.now_us = 0
        self.ended: At | None = None
        self.closed: At | None = None
        self._watched: frozenset[str] = frozenset()

    def add(self, payload: ev.Payload | None, at_us: int) -> None:
        """Read the next event (None: of a type that this version does not know), which happened at `at_us`."""
        at = At(at_us, self.events)
        self.events, self.now_us = self.events + 1, at_us
        take = _TAKE.get(type(payload))
        if take is not None and self.flow is not None:
            take(self, self.flow, payload, at)
        self.flow = apply(self.flow, payload, at_us)
        if isinstance(payload, ev.FlowStarted) and self.flow is not None:
            self._begin(self.flow)

    def _begin(self, flow: FlowState) -> None:
        self.steps = {step_id: StepNotes() for step_id in flow.plan.order}
        self.value_events = {name: [0] * len(values) for name, values in flow.attributes.items()}
        self._watched = frozenset({self.step}) | (upstream(flow.plan, self.attribute) if self.attribute else set())

    def moments(self) -> Moments:
        """What examining inputs needs beside the state."""
        return Moments(self.value_events, self.now_us)

    def decided(self, flow: FlowState, payload: ev.StepPayload, phase: Phase, at: At) -> None:
        """A pending step was started, skipped, or failed."""
        notes = self.steps.get(payload.step_id)
        if notes is None:
            return
        notes.decided, notes.started = at, phase == "started"
        if payload.step_id in self._watched:
            received = getattr(payload, "inputs", None) or {}
            unsatisfied = getattr(payload, "unsatisfied", ())
            notes.inputs = examine(flow, payload.step_id, phase, self.moments(), received, unsatisfied).inputs

    def of_item(self, payload: ev.WorkPayload) -> ItemNotes | None:
        """The notes of the item that an event is about."""
        notes = self.steps.get(payload.step_id)
        return notes.item(payload.token) if notes is not None else None


def upstream(plan: Plan, attribute: str) -> set[str]:
    """The steps that an attribute's values can come from, directly or not."""
    found: set[str] = set()
    stack = list(plan.providers(attribute))
    while stack:
        step_id = stack.pop()
        if step_id not in found:
            found.add(step_id)
            stack += plan.neighbours[step_id].upstream
    return found


def _flow_ended(history: History, flow: FlowState, payload: Any, at: At) -> None:
    history.ended = at


def _flow_closed(history: History, flow: FlowState, payload: Any, at: At) -> None:
    history.closed = at


def _step_started(history: History, flow: FlowState, payload: ev.StepStarted, at: At) -> None:
    history.decided(flow, payload, "started", at)


def _step_ended(history: History, flow: FlowState, payload: Any, at: At) -> None:
    notes = history.steps.get(payload.step_id)
    if notes is None:
        return
    notes.ended = at
    if payload.step_id not in flow.pending:
        return
    history.decided(flow, payload, _phase(payload), at)
    notes.started = False
    if isinstance(payload, ev.StepSkipped) and payload.reason == REASON_NOT_NEEDED:
        notes.readers = _uninterested(flow, payload.step_id)


def _phase(payload: ev.StepSkipped | ev.StepFailed) -> Phase:
    """How far a step got that ended without having started."""
    if isinstance(payload, ev.StepSkipped):
        if payload.reason == REASON_MATCH:
            return "pruned"
        return "started" if payload.reason == REASON_PREDICATE else "open"
    if payload.error == REASON_UNREACHABLE:
        return "unreachable"
    return "open" if payload.error.startswith(MATCH_FAILED) else "started"


MATCH_FAILED = "match evaluation failed: "
PREDICATE_FAILED = "predicate evaluation failed: "
"""How the machine begins the error of a step whose script failed."""


def _uninterested(flow: FlowState, step_id: str) -> list[Reader]:
    """Why nobody wants the outputs of a step."""
    readers: list[Reader] = []
    for name in flow.plan.steps[step_id].outputs:
        for consumer in flow.plan.consumers(name):
            status = flow.executions[consumer].status
            if status in STEP_TERMINAL:
                readers.append(Reader(name, consumer, status, "ended"))
            elif status == "active":
                readers.append(Reader(name, consumer, status, "started"))
            else:
                spec = flow.plan.steps[consumer].attributes[name]
                lost = spec.collect == "all" and supply(flow, name).broken
                readers.append(Reader(name, consumer, status, "cannot_complete" if lost else "has_value"))
    return readers


def _attribute_set(history: History, flow: FlowState, payload: ev.AttributeSet, at: At) -> None:
    history.value_events.setdefault(payload.key, []).append(at.event)


def _deferred(history: History, flow: FlowState, payload: ev.DispatchDeferred, at: At) -> None:
    notes = history.steps.get(payload.step_id)
    if notes is not None:
        notes.deferred = at


def _work_started(history: History, flow: FlowState, payload: ev.WorkStarted, at: At) -> None:
    item = history.of_item(payload)
    if item is None:
        return
    history.steps[payload.step_id].claimed = at
    if item.tries and item.tries[-1].outcome == "running":
        item.tries[-1].end("taken_over", at, "")
    item.tries.append(Try(payload.attempt or len(item.tries) + 1, payload.node_id, at))


def _work_succeeded(history: History, flow: FlowState, payload: ev.WorkSucceeded, at: At) -> None:
    item = history.of_item(payload)
    if item is None:
        return
    item.undo_late = flow.executions[payload.step_id].status == "failed"
    _work_done(history, flow, payload, at, "succeeded", "")
    if not item.tries:
        item.why = "remembered"


def _work_failed(history: History, flow: FlowState, payload: ev.WorkFailed, at: At) -> None:
    _work_done(history, flow, payload, at, "failed", payload.error)


def _work_done(
    history: History,
    flow: FlowState,
    payload: ev.WorkPayload,
    at: At,
    outcome: Literal["succeeded", "failed"],
    error: str,
) -> None:
    item = history.of_item(payload)
    if item is None:
        return
    item.why = "late_result" if item.why in ("step_failed", "flow_ended") else ""
    item.ended = at
    # A call that gave no answer that counts has already ended; giving up on it adds nothing to it. A result that comes
    # after all says how the latest attempt went.
    if item.tries and (item.tries[-1].outcome == "running" or outcome == "succeeded"):
        item.tries[-1].end(outcome, at, error)


def _work_not_completed(history: History, flow: FlowState, payload: ev.WorkNotCompleted, at: At) -> None:
    item = history.of_item(payload)
    if item is not None and item.tries:
        item.tries[-1].end("not_completed", at, payload.error)


def _retry_scheduled(history: History, flow: FlowState, payload: ev.WorkRetryScheduled, at: At) -> None:
    item = history.of_item(payload)
    if item is not None and item.tries:
        item.tries[-1].retry_us = from_rfc3339(payload.next_retry_at)


def _work_cancelled(history: History, flow: FlowState, payload: ev.WorkCancelled, at: At) -> None:
    item = history.of_item(payload)
    if item is None:
        return
    item.ended = at
    if payload.reason == REASON_PREDICATE:
        item.why = "predicate"
    else:
        item.why = "step_failed" if flow.executions[payload.step_id].status == "failed" else "flow_ended"


def _comp_started(history: History, flow: FlowState, payload: ev.CompStarted, at: At) -> None:
    item = history.of_item(payload)
    if item is None:
        return
    if item.undo and item.undo[-1].outcome == "running":
        item.undo[-1].end("taken_over", at, "")
    item.undo.append(Try(len(item.undo) + 1, payload.node_id, at))


def _comp_ended(outcome: Literal["succeeded", "failed", "not_completed"]) -> Callable[..., None]:
    def take(history: History, flow: FlowState, payload: Any, at: At) -> None:
        item = history.of_item(payload)
        if item is None or not item.undo:
            return
        item.undo[-1].end(outcome, at, getattr(payload, "error", ""))
        if isinstance(payload, ev.CompRetryScheduled):
            item.undo[-1].retry_us = from_rfc3339(payload.next_retry_at)

    return take


_TAKE: dict[type[Any], Callable[[History, FlowState, Any, At], None]] = {
    ev.FlowCompleted: _flow_ended,
    ev.FlowFailed: _flow_ended,
    ev.FlowDeactivated: _flow_closed,
    ev.StepStarted: _step_started,
    ev.StepCompleted: _step_ended,
    ev.StepFailed: _step_ended,
    ev.StepSkipped: _step_ended,
    ev.AttributeSet: _attribute_set,
    ev.DispatchDeferred: _deferred,
    ev.WorkStarted: _work_started,
    ev.WorkSucceeded: _work_succeeded,
    ev.WorkFailed: _work_failed,
    ev.WorkNotCompleted: _work_not_completed,
    ev.WorkRetryScheduled: _retry_scheduled,
    ev.WorkCancelled: _work_cancelled,
    ev.CompStarted: _comp_started,
    ev.CompRetryScheduled: _comp_ended("not_completed"),
    ev.CompSucceeded: _comp_ended("succeeded"),
    ev.CompFailed: _comp_ended("failed"),
}
