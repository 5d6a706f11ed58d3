"""What each event does to a flow's state. Total: an event about something unknown changes nothing.

The engine, the terminal dashboard and every replay fold with these functions and no others.
"""

from collections.abc import Callable
from heapq import heappush
from typing import Any

from argyll.model import events as ev
from argyll.model.flow import Execution, ExecutionStatus, FlowState, Value, Work, WorkStatus
from argyll.model.plan import plan_from_raw
from argyll.model.times import from_rfc3339

_OPEN = frozenset(("pending", "active", "not_completed"))


def apply(flow: FlowState | None, payload: ev.Payload | None, at_us: int) -> FlowState | None:
    """Fold one event (None: of a type this version does not know) that happened at `at_us` into `flow`.

    `flow_started` makes the state; before it every event is ignored. Returns the same object, changed in place.
    """
    if isinstance(payload, ev.FlowStarted):
        return _started(payload, at_us)
    if flow is not None:
        apply_to(flow, payload, at_us)
    return flow


def apply_to(flow: FlowState, payload: ev.Payload | None, at_us: int) -> None:
    """Fold one event other than `flow_started` into a flow that has begun."""
    flow.sequence += 1
    applier = _APPLIERS.get(type(payload))
    if applier is not None:
        applier(flow, payload, at_us)


def _started(payload: ev.FlowStarted, at_us: int) -> FlowState:
    plan = plan_from_raw(bytes(payload.plan))
    return FlowState(
        id=payload.flow_id,
        plan=plan,
        metadata=payload.metadata,
        labels=payload.labels,
        init=payload.init,
        attributes={name: [Value(v, at_us) for v in values] for name, values in payload.init.items() if values},
        executions={step_id: Execution() for step_id in plan.order},
        created_at=at_us,
        last_updated=at_us,
        sequence=1,
        pending=dict.fromkeys(plan.order),
    )


def _completed(flow: FlowState, payload: ev.FlowCompleted, at_us: int) -> None:
    flow.status, flow.completed_at, flow.last_updated = "completed", at_us, at_us


def _failed(flow: FlowState, payload: ev.FlowFailed, at_us: int) -> None:
    flow.status, flow.error, flow.completed_at, flow.last_updated = "failed", payload.error, at_us, at_us


def _deactivated(flow: FlowState, payload: ev.FlowDeactivated, at_us: int) -> None:
    flow.deactivated_at = flow.last_updated = at_us


def _move_step(flow: FlowState, step_id: str, status: ExecutionStatus, at_us: int) -> Execution | None:
    execution = flow.executions.get(step_id)
    if execution is None:
        return None
    flow.pending.pop(step_id, None)
    if status == "active":
        flow.running[step_id] = None
        execution.started_at = at_us
    else:
        flow.running.pop(step_id, None)
        execution.completed_at = at_us
    execution.status = status
    flow.last_updated = at_us
    return execution


def _step_started(flow: FlowState, payload: ev.StepStarted, at_us: int) -> None:
    execution = _move_step(flow, payload.step_id, "active", at_us)
    if execution is None:
        return
    execution.inputs = payload.inputs
    execution.work_items = {
        token: Work(inputs, index=index) for index, (token, inputs) in enumerate(payload.work_items.items())
    }
    execution.ready = dict.fromkeys(execution.work_items)
    execution.open = len(execution.work_items)
    flow.unsettled += execution.open


def _step_completed(flow: FlowState, payload: ev.StepCompleted, at_us: int) -> None:
    execution = _move_step(flow, payload.step_id, "completed", at_us)
    if execution is not None:
        execution.outputs, execution.duration_ms = payload.outputs, payload.duration


def _step_failed(flow: FlowState, payload: ev.StepFailed, at_us: int) -> None:
    _ended(_move_step(flow, payload.step_id, "failed", at_us), payload.error, payload)


def _step_skipped(flow: FlowState, payload: ev.StepSkipped, at_us: int) -> None:
    _ended(_move_step(flow, payload.step_id, "skipped", at_us), payload.reason, payload)


def _ended(execution: Execution | None, text: str, payload: ev.StepFailed | ev.StepSkipped) -> None:
    if execution is None:
        return
    execution.error, execution.unsatisfied = text, payload.unsatisfied
    if payload.inputs is not None:
        execution.inputs = payload.inputs


def _attribute_set(flow: FlowState, payload: ev.AttributeSet, at_us: int) -> None:
    flow.attributes.setdefault(payload.key, []).append(Value(payload.value, at_us, payload.step_id))
    flow.last_updated = at_us


def _move_work(flow: FlowState, payload: ev.WorkPayload, status: WorkStatus, at_us: int) -> Work | None:
    """Change an item's status and every count that follows from it."""
    execution = flow.executions.get(payload.step_id)
    work = execution.work_items.get(payload.token) if execution is not None else None
    if execution is None or work is None:
        return None
    before, work.status = work.status, status
    flow.last_updated = at_us
    if before == status:
        return work
    was_open, is_open = before in _OPEN, status in _OPEN
    execution.open += is_open - was_open
    execution.active += (status == "active") - (before == "active")
    flow.unsettled += (is_open or status == "compensating") - (was_open or before == "compensating")
    if before == "pending":
        execution.ready.pop(payload.token, None)
    elif before == "compensating":
        execution.compensating.pop(payload.token, None)
    if status == "compensating":
        execution.compensating[payload.token] = None
    return work


def _work_started(flow: FlowState, payload: ev.WorkStarted, at_us: int) -> None:
    work = _move_work(flow, payload, "active", at_us)
    if work is not None:
        work.started_at, work.completed_at, work.next_retry_at = at_us, 0, 0
        work.node_id, work.attempt = payload.node_id, payload.attempt or work.attempt + 1


def _work_succeeded(flow: FlowState, payload: ev.WorkSucceeded, at_us: int) -> None:
    work = _move_work(flow, payload, "succeeded", at_us)
    if work is not None:
        work.outputs, work.completed_at, work.error, work.next_retry_at = payload.outputs, at_us, "", 0


def _work_failed(flow: FlowState, payload: ev.WorkFailed, at_us: int) -> None:
    work = _move_work(flow, payload, "failed", at_us)
    if work is not None:
        work.error, work.completed_at, work.next_retry_at = payload.error, at_us, 0
        execution = flow.executions[payload.step_id]
        execution.first_failed = execution.first_failed or payload.token


def _work_not_completed(flow: FlowState, payload: ev.WorkNotCompleted, at_us: int) -> None:
    work = _move_work(flow, payload, "not_completed", at_us)
    if work is not None:
        work.error, work.completed_at = payload.error, at_us


def _work_retry_scheduled(flow: FlowState, payload: ev.WorkRetryScheduled, at_us: int) -> None:
    work = _move_work(flow, payload, "pending", at_us)
    if work is not None:
        work.retry_count = payload.retry_count
        _retry_later(flow, payload, work)


def _work_cancelled(flow: FlowState, payload: ev.WorkCancelled, at_us: int) -> None:
    work = _move_work(flow, payload, "cancelled", at_us)
    if work is not None:
        work.error, work.completed_at, work.next_retry_at = payload.reason, at_us, 0


def _comp_started(flow: FlowState, payload: ev.CompStarted, at_us: int) -> None:
    work = _move_work(flow, payload, "compensating", at_us)
    if work is not None:
        work.next_retry_at = 0
        work.node_id = payload.node_id or work.node_id


def _comp_retry_scheduled(flow: FlowState, payload: ev.CompRetryScheduled, at_us: int) -> None:
    work = _move_work(flow, payload, "compensating", at_us)
    if work is not None:
        work.comp_retry_count = payload.retry_count
        _retry_later(flow, payload, work)


def _retry_later(flow: FlowState, payload: ev.WorkRetryScheduled | ev.CompRetryScheduled, work: Work) -> None:
    work.error, work.next_retry_at = payload.error, from_rfc3339(payload.next_retry_at)
    heappush(flow.executions[payload.step_id].waiting, (work.next_retry_at, work.index, payload.token))


def _comp_succeeded(flow: FlowState, payload: ev.CompSucceeded, at_us: int) -> None:
    work = _move_work(flow, payload, "compensated", at_us)
    if work is not None:
        work.completed_at, work.next_retry_at, work.error = at_us, 0, ""


def _comp_failed(flow: FlowState, payload: ev.CompFailed, at_us: int) -> None:
    work = _move_work(flow, payload, "compensation_failed", at_us)
    if work is not None:
        work.error, work.completed_at, work.next_retry_at = payload.error, at_us, 0


_APPLIERS: dict[type[Any], Callable[[FlowState, Any, int], None]] = {
    ev.FlowCompleted: _completed,
    ev.FlowFailed: _failed,
    ev.FlowDeactivated: _deactivated,
    ev.StepStarted: _step_started,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepSkipped: _step_skipped,
    ev.AttributeSet: _attribute_set,
    ev.WorkStarted: _work_started,
    ev.WorkSucceeded: _work_succeeded,
    ev.WorkFailed: _work_failed,
    ev.WorkNotCompleted: _work_not_completed,
    ev.WorkRetryScheduled: _work_retry_scheduled,
    ev.WorkCancelled: _work_cancelled,
    ev.CompStarted: _comp_started,
    ev.CompRetryScheduled: _comp_retry_scheduled,
    ev.CompSucceeded: _comp_succeeded,
    ev.CompFailed: _comp_failed,
}
