"""An auditor who reads only the events: every transition is checked against rules that are written here a second time,
independently of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argyll.flow import Transaction
from argyll.flow.advance import advance
from argyll.model import events as ev
from argyll.model.events import Payload
from argyll.model.flow import REASON_MATCH
from argyll.model.plan import Plan
from argyll.model.step import Attribute
from tests.unit.flow.harness import Flow, World

Script = Callable[[Any], Any]


def assert_at_rest(flow: Flow) -> None:
    """A look at every step finds nothing that the look at what was touched has missed, nor a moment to be woken at."""
    tx = Transaction(flow.state, flow.world.env())
    tx.touch_all()
    advance(tx)
    assert [event.event_type for event in tx.events] == [], f"{flow.state.id} was not settled: {tx.events}"
    assert flow.wake_at <= tx.wake_at, f"{flow.state.id} asked to be woken too late"


class Auditor:
    """Reads the events of every flow of a world as they come, and believes nothing else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.books: dict[str, Books] = {}
        self.gone: frozenset[str] = frozenset()
        """Nodes whose work may be claimed by others right now."""

    def audit(self) -> None:
        """Enter what is new, then compare the counts that the machine keeps with the books."""
        for flow_id, flow in self.world.flows.items():
            books = self.books.get(flow_id)
            if books is None:
                books = self.books[flow_id] = Books(self.world, flow.state.plan)
            for event in flow.events[books.entered :]:
                books.enter(event, self.gone)
            books.compare(flow)


_STEP_MOVES = {
    "pending": {"active", "skipped", "failed"},
    "active": {"completed", "failed"},
}
_WORK_MOVES = {
    "pending": {"active", "succeeded", "failed", "cancelled"},
    "active": {"active", "succeeded", "failed", "not_completed", "cancelled"},
    "not_completed": {"pending", "failed", "cancelled"},
    "cancelled": {"succeeded", "failed"},
    "succeeded": {"compensating"},
    "compensating": {"compensating", "compensated", "compensation_failed"},
}
_WORK_STATUS: dict[type[Payload], str] = {
    ev.WorkStarted: "active",
    ev.WorkSucceeded: "succeeded",
    ev.WorkFailed: "failed",
    ev.WorkNotCompleted: "not_completed",
    ev.WorkRetryScheduled: "pending",
    ev.WorkCancelled: "cancelled",
    ev.CompStarted: "compensating",
    ev.CompRetryScheduled: "compensating",
    ev.CompSucceeded: "compensated",
    ev.CompFailed: "compensation_failed",
}
_DONE = ("completed", "failed", "skipped")


class Books:
    """What the events of one flow say, checked as they are entered."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan, self.entered = world, plan, 0
        self.flow = ""
        self.deactivated = False
        self.steps = dict.fromkeys(plan.steps, "pending")
        self.reasons: dict[str, str] = {}
        self.gave: dict[str, set[str]] = {}
        self.values: dict[str, list[Any]] = {}
        self.items: dict[str, dict[str, str]] = {}
        self.retries: dict[tuple[str, str, type[Payload]], int] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self.undo_again: set[tuple[str, str]] = set()

    def enter(self, event: Payload, gone: frozenset[str]) -> None:
        self.entered += 1
        assert not self.deactivated, f"{event} after deactivation"
        if isinstance(event, ev.FlowStarted):
            assert not self.flow
            self.flow = "active"
            self.values = {name: list(values) for name, values in event.init.items() if values}
        elif isinstance(event, ev.FlowCompleted | ev.FlowFailed):
            self._flow_ends(event)
        elif isinstance(event, ev.FlowDeactivated):
            assert self.flow == event.status != "active"
            open_ = [s for items in self.items.values() for s in items.values() if s in _OPEN or s == "compensating"]
            assert not open_
            for step_id, items in self.items.items():
                undone = self.steps[step_id] != "failed" or not self.plan.steps[step_id].compensable
                assert undone or "succeeded" not in items.values(), f"{step_id} failed, and was not undone"
            self.deactivated = True
        elif isinstance(event, ev.AttributeSet):
            assert self.steps[event.step_id] == "active"
            assert event.key in self.plan.steps[event.step_id].outputs
            self.values.setdefault(event.key, []).append(event.value)
            self.gave.setdefault(event.step_id, set()).add(event.key)
        elif type(event) in _WORK_STATUS:
            self._work_moves(event, gone)
        else:
            self._step_moves(event)

    def _flow_ends(self, event: ev.FlowCompleted | ev.FlowFailed) -> None:
        assert self.flow == "active", "a second end"
        goals = [goal for goal in self.plan.goals if goal in self.steps]
        pruned = [goal for goal in goals if self.reasons.get(goal) == REASON_MATCH and self.steps[goal] == "skipped"]
        all_pruned = bool(goals) and len(pruned) == len(self.plan.goals)
        failed = any(self.steps[goal] == "failed" for goal in goals)
        if isinstance(event, ev.FlowCompleted):
            self.flow = "completed"
            assert all(self.steps[goal] in ("completed", "skipped") for goal in goals)
            assert not all_pruned
            assert not [s for s, status in self.steps.items() if status == "pending"], "a completed flow leaves nothing"
        else:
            self.flow = "failed"
            assert failed or all_pruned or event.error == "cancelled"

    def _step_moves(self, event: Payload) -> None:
        moves: dict[type[Payload], str] = {
            ev.StepStarted: "active",
            ev.StepCompleted: "completed",
            ev.StepFailed: "failed",
            ev.StepSkipped: "skipped",
        }
        assert isinstance(event, ev.StepPayload)
        step_id, after = event.step_id, moves[type(event)]
        before = self.steps[step_id]
        assert after in _STEP_MOVES.get(before, ()), f"{step_id}: {before} -> {after}"
        if isinstance(event, ev.StepStarted):
            assert self.flow == "active", "a step started after its flow had ended"
            assert self._is_needed(step_id), f"{step_id} runs for nobody"
            for name, spec in self.plan.steps[step_id].inputs.items():
                assert spec.role != "required" or self._is_fulfilled(name, spec), f"{step_id} started without {name}"
            self.items[step_id] = dict.fromkeys(event.work_items, "pending")
        elif isinstance(event, ev.StepSkipped | ev.StepFailed) and before == "pending":
            self.reasons[step_id] = event.reason if isinstance(event, ev.StepSkipped) else event.error
            assert self.flow == "active", "a verdict after the flow had ended"
        elif isinstance(event, ev.StepCompleted):
            assert not [s for s in self.items[step_id].values() if s in _OPEN or s == "failed"]
            assert set(event.outputs) == self.gave.get(step_id, set())
        self.steps[step_id] = after

    def _is_needed(self, step_id: str) -> bool:
        consumers = {c for name in self.plan.steps[step_id].outputs for c in self.plan.consumers(name)}
        return step_id in self.plan.goals or any(self.steps[consumer] == "pending" for consumer in consumers)

    def _is_fulfilled(self, name: str, spec: Attribute) -> bool:
        """execution.md 5.2, from the events alone."""
        providers = self.plan.providers(name)
        settled = all(self.steps[p] in _DONE for p in providers)
        contributed = all(self.steps[p] == "completed" and name in self.gave.get(p, ()) for p in providers)
        values = self.values.get(name, [])
        matching = values if spec.match is None else [v for v in values if self.world.scripts[spec.match.script](v)]
        match spec.collect:
            case "first":
                return bool(matching)
            case "none":
                return settled and not matching
            case "all":
                return settled and contributed and bool(matching) and len(matching) == len(values)
            case _:
                return settled and bool(matching)

    def _work_moves(self, event: Payload, gone: frozenset[str]) -> None:
        assert isinstance(event, ev.WorkPayload)
        items, token, after = self.items[event.step_id], event.token, _WORK_STATUS[type(event)]
        before, step = items[token], self.plan.steps[event.step_id]
        assert after in _WORK_MOVES.get(before, ()), f"{event.step_id}/{token}: {before} -> {after}"
        items[token] = after
        if isinstance(event, ev.WorkStarted):
            key = (event.step_id, token)
            if before == "pending":
                assert self.flow == "active", "work started after its flow had ended"
                assert self.steps[step.id] == "active", "work started after its step had ended"
            else:
                assert self.owners[key] in gone, f"{key} was taken from a node that lives"
            assert event.attempt == self.attempts.get(key, 0) + 1
            self.owners[key], self.attempts[key] = event.node_id, event.attempt
            assert list(items.values()).count("active") <= max(step.work.parallelism, 1)
        elif isinstance(event, ev.WorkCancelled):
            assert before != "active" or self.flow != "active", "work under way was given up although its flow runs"
        elif isinstance(event, ev.WorkRetryScheduled | ev.CompRetryScheduled):
            key = (event.step_id, token, type(event))
            self.retries[key] = self.retries.get(key, 0) + 1
            assert self.retries[key] == event.retry_count <= step.work.retry_limit
            if isinstance(event, ev.CompRetryScheduled):
                self.undo_again.add((event.step_id, token))
        elif isinstance(event, ev.CompStarted):
            key = (event.step_id, token)
            assert before != "compensating" or key in self.undo_again or self.owners[key] in gone
            self.undo_again.discard(key)
            self.owners[key] = event.node_id
            assert step.compensable
            assert self.steps[event.step_id] == "failed"

    def compare(self, flow: Flow) -> None:
        """The machine's state and counts say what the books say."""
        state = flow.state
        assert {s: e.status for s, e in state.executions.items()} == self.steps
        assert (state.status, bool(state.deactivated_at)) == (self.flow, self.deactivated)
        assert list(state.pending) == [s for s in self.plan.order if self.steps[s] == "pending"]
        assert sorted(state.running) == sorted(s for s, status in self.steps.items() if status == "active")
        unsettled = 0
        for step_id, items in self.items.items():
            execution = state.executions[step_id]
            assert {t: w.status for t, w in execution.work_items.items()} == items
            open_ = [t for t, status in items.items() if status in _OPEN]
            undoing = [t for t, status in items.items() if status == "compensating"]
            assert (execution.open, execution.active) == (len(open_), list(items.values()).count("active"))
            assert sorted(execution.compensating) == sorted(undoing)
            unsettled += len(open_) + len(undoing)
        assert state.unsettled == unsettled


_OPEN = ("pending", "active", "not_completed")
