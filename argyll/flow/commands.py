"""The commands of a flow, and `decide`: state and command in, events out.

Every command ends with `advance`. A command about something the flow does not have raises; one whose time has passed
changes nothing.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct

from argyll.flow import outcomes
from argyll.flow.advance import advance, cancel
from argyll.flow.apply import apply
from argyll.flow.env import Env, Values
from argyll.flow.transaction import Transaction
from argyll.flow.work import effective_inputs
from argyll.model import events as ev
from argyll.model.flow import REASON_CANCELLED, FlowState
from argyll.model.json import JSON
from argyll.model.plan import Plan


class Command(Struct, frozen=True):
    """What somebody asks of a flow."""


class Advance(Command, frozen=True):
    """Look at the flow again: time passed, or something outside changed."""


class Cancel(Command, frozen=True):
    """End the flow as failed with `reason`; running work may finish. Said of a flow that has ended: give up what still
    runs."""

    reason: str = REASON_CANCELLED


class WorkCommand(Command, frozen=True):
    step_id: str
    token: str


class Succeed(WorkCommand, frozen=True):
    outputs: Values


class Fail(WorkCommand, frozen=True):
    error: str


class NotCompleted(WorkCommand, frozen=True):
    """The call numbered `attempt` gave no answer that counts."""

    error: str
    attempt: int
    retry_after_ms: int = 0


class Compensated(WorkCommand, frozen=True):
    """The item was undone."""


class CompensationFailed(WorkCommand, frozen=True):
    error: str


class CompensationNotCompleted(WorkCommand, frozen=True):
    error: str
    retry_after_ms: int = 0


class Reclaim(Command, frozen=True):
    """Take over active items whose caller is gone; `is_orphan` tells from node id and token."""

    is_orphan: Callable[[str, str], bool]


class UnknownStep(Exception):
    """The flow has no such step; `str()` is its id."""


class UnknownToken(Exception):
    """The step has no such work item; `str()` is the token."""


class MissingInputs(Exception):
    """Init lacks inputs that the plan requires; `names` are ascending."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        super().__init__(f"required inputs not provided: [{', '.join(names)}]")


class GoalsBlocked(Exception):
    """Init supplies inputs that goals want to be absent; `goals` maps each to the names."""

    def __init__(self, goals: dict[str, tuple[str, ...]]) -> None:
        self.goals = goals
        listed = "; ".join(f"{goal}: {', '.join(names)}" for goal, names in goals.items())
        super().__init__(f"goals are blocked by init: {listed}")


def start(
    flow_id: str,
    plan: Plan,
    init: dict[str, list[JSON]],
    env: Env,
    metadata: Values | None = None,
    labels: dict[str, str] | None = None,
) -> Transaction:
    """A new flow, advanced to its first standstill. Raises `MissingInputs` or `GoalsBlocked`."""
    missing = [name for name in plan.required if not init.get(name)]
    if missing:
        raise MissingInputs(missing)
    blocked = {goal: plan.excluded.blocked[goal] for goal in plan.goals if goal in plan.excluded.blocked}
    if blocked:
        raise GoalsBlocked(blocked)
    started = ev.FlowStarted(flow_id, Raw(plan.raw), init, metadata or {}, labels or {})
    flow = apply(None, started, env.now_us)
    assert flow is not None
    tx = Transaction(flow, env)
    tx.events.append(started)
    tx.touch_all()
    advance(tx)
    return tx


def decide(flow: FlowState, command: Command, env: Env) -> Transaction:
    """Run a command. `flow` is changed in place; the events of the result must be appended before anyone acts on them.

    Raises `UnknownStep` or `UnknownToken`.
    """
    tx = Transaction(flow, env)
    if isinstance(command, WorkCommand):
        execution = flow.executions.get(command.step_id)
        if execution is None:
            raise UnknownStep(command.step_id)
        if command.token not in execution.work_items:
            raise UnknownToken(command.token)
    _DECISIONS[type(command)](tx, command)
    advance(tx)
    return tx


def _reclaim(tx: Transaction, command: Reclaim) -> None:
    flow = tx.flow
    for step_id, execution in flow.executions.items():
        step = tx.step(step_id)
        if execution.active and step.type != "flow":
            for token, work in list(execution.work_items.items()):
                if work.status != "active" or not command.is_orphan(work.node_id, token):
                    continue
                if flow.status != "active" and not step.compensable:
                    # Nobody waits for the result of an ended flow, and nothing would have to be undone.
                    tx.emit(ev.WorkCancelled(flow.id, step_id, token, REASON_CANCELLED))
                elif tx.may_start():
                    inputs = effective_inputs(execution, work)
                    tx.emit(ev.WorkStarted(flow.id, step_id, token, inputs, tx.env.node_id, work.attempt + 1))
        for token in list(execution.compensating):
            work = execution.work_items[token]
            if not work.next_retry_at and command.is_orphan(work.node_id, token):
                tx.emit(ev.CompStarted(flow.id, step_id, token, tx.env.node_id))


_DECISIONS: dict[type[Command], Callable[[Transaction, Any], None]] = {
    Advance: lambda tx, c: tx.touch_all(),
    Cancel: lambda tx, c: cancel(tx, c.reason),
    Succeed: lambda tx, c: outcomes.record_success(tx, c.step_id, c.token, c.outputs),
    Fail: lambda tx, c: outcomes.record_failure(tx, c.step_id, c.token, c.error),
    NotCompleted: lambda tx, c: outcomes.record_not_completed(
        tx, c.step_id, c.token, c.error, c.attempt, c.retry_after_ms
    ),
    Compensated: lambda tx, c: outcomes.record_compensated(tx, c.step_id, c.token),
    CompensationFailed: lambda tx, c: outcomes.record_compensation_failed(tx, c.step_id, c.token, c.error),
    CompensationNotCompleted: lambda tx, c: outcomes.record_compensation_not_completed(
        tx, c.step_id, c.token, c.error, c.retry_after_ms
    ),
    Reclaim: _reclaim,
}
