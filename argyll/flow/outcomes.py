"""What the end of a call does to its item, its step and what must be undone.

The first terminal result of an item counts; repeats change nothing. Results that come late are recorded for as long as
the flow has not been deactivated.
"""

from argyll.flow.env import Values
from argyll.flow.retry import retry_allowed, retry_delay_us
from argyll.flow.transaction import Transaction
from argyll.flow.work import step_outputs
from argyll.model import events as ev
from argyll.model.flow import REASON_CANCELLED, REASON_PREDICATE, Execution, Work
from argyll.model.times import US_PER_MS, to_rfc3339

_RECORDABLE = frozenset(("pending", "active", "not_completed"))


def record_success(tx: Transaction, step_id: str, token: str, outputs: Values) -> None:
    """An item succeeded."""
    execution, work = _item(tx, step_id, token)
    if not _takes_result(tx, work):
        return
    tx.emit(ev.WorkSucceeded(tx.flow.id, step_id, token, outputs))
    close_step_if_done(tx, step_id)
    if execution.status == "failed":
        compensate(tx, step_id, token)


def record_failure(tx: Transaction, step_id: str, token: str, error: str) -> None:
    """An item failed for good."""
    _, work = _item(tx, step_id, token)
    if not _takes_result(tx, work):
        return
    tx.emit(ev.WorkFailed(tx.flow.id, step_id, token, error))
    close_step_if_done(tx, step_id)


def record_not_completed(
    tx: Transaction, step_id: str, token: str, error: str, attempt: int, retry_after_ms: int
) -> None:
    """A call of an item gave no answer that counts: try again later, or give up (execution.md 8.3)."""
    execution, work = _item(tx, step_id, token)
    if work.status != "active" or work.attempt != attempt:
        return
    flow, step = tx.flow, tx.step(step_id)
    tx.emit(ev.WorkNotCompleted(flow.id, step_id, token, error))
    if execution.status != "active" or flow.status != "active":
        tx.emit(ev.WorkCancelled(flow.id, step_id, token, REASON_CANCELLED))
    elif retry_allowed(step.work, work.retry_count):
        next_at = tx.env.now_us + retry_delay_us(step.work, work.retry_count, tx.env.random, retry_after_ms)
        tx.emit(ev.WorkRetryScheduled(flow.id, step_id, token, work.retry_count + 1, to_rfc3339(next_at), error))
    else:
        tx.emit(ev.WorkFailed(flow.id, step_id, token, error))
    close_step_if_done(tx, step_id)


def close_step_if_done(tx: Transaction, step_id: str) -> None:
    """End an active step when an item failed (at once) or when no item is open any more."""
    execution = tx.flow.executions[step_id]
    if execution.status != "active":
        return
    if execution.first_failed:
        error = execution.work_items[execution.first_failed].error or "work item failed"
        fail_step(tx, step_id, error)
    elif not execution.open:
        if any(work.status == "cancelled" and work.error != REASON_PREDICATE for work in execution.work_items.values()):
            fail_step(tx, step_id, REASON_CANCELLED)
        else:
            complete_step(tx, step_id)


def complete_step(tx: Transaction, step_id: str) -> None:
    """Every item is done: set what the step declares and end it."""
    flow, step, execution = tx.flow, tx.step(step_id), tx.flow.executions[step_id]
    outputs = step_outputs(tx, step, execution)
    for name, value in outputs.items():
        tx.emit(ev.AttributeSet(flow.id, step_id, name, value))
    duration_ms = max(tx.env.now_us - execution.started_at, 0) // US_PER_MS
    tx.emit(ev.StepCompleted(flow.id, step_id, outputs, duration_ms))


def fail_step(tx: Transaction, step_id: str, error: str) -> None:
    """The step fails: items that wait never run, items that succeeded are undone, running ones end as they will."""
    execution = tx.flow.executions[step_id]
    tx.emit(ev.StepFailed(tx.flow.id, step_id, error, execution.inputs))
    cancel_waiting(tx, step_id)
    if tx.step(step_id).compensable:
        for token, work in list(execution.work_items.items()):
            if work.status == "succeeded":
                compensate(tx, step_id, token)


def cancel_waiting(tx: Transaction, step_id: str) -> None:
    """Close the items of a step that wait for their first call or for a retry (decisions 23)."""
    execution = tx.flow.executions[step_id]
    if execution.open == execution.active:
        return
    for token, work in list(execution.work_items.items()):
        if work.status == "pending":
            tx.emit(ev.WorkCancelled(tx.flow.id, step_id, token, REASON_CANCELLED))


def compensate(tx: Transaction, step_id: str, token: str) -> None:
    """Begin to undo a succeeded item, when its step says how (decisions 27)."""
    execution = tx.flow.executions[step_id]
    if tx.step(step_id).compensable and execution.work_items[token].status == "succeeded":
        tx.emit(ev.CompStarted(tx.flow.id, step_id, token, tx.env.node_id))


def record_compensated(tx: Transaction, step_id: str, token: str) -> None:
    """An item was undone."""
    if _item(tx, step_id, token)[1].status == "compensating":
        tx.emit(ev.CompSucceeded(tx.flow.id, step_id, token))


def record_compensation_failed(tx: Transaction, step_id: str, token: str, error: str) -> None:
    """An item can't be undone."""
    if _item(tx, step_id, token)[1].status == "compensating":
        tx.emit(ev.CompFailed(tx.flow.id, step_id, token, error))


def record_compensation_not_completed(
    tx: Transaction, step_id: str, token: str, error: str, retry_after_ms: int
) -> None:
    """An attempt to undo an item gave no answer that counts; it has a retry budget of its own."""
    work, step = _item(tx, step_id, token)[1], tx.step(step_id)
    if work.status != "compensating":
        return
    count = work.comp_retry_count
    if not retry_allowed(step.work, count):
        tx.emit(ev.CompFailed(tx.flow.id, step_id, token, error))
        return
    next_at = tx.env.now_us + retry_delay_us(step.work, count, tx.env.random, retry_after_ms)
    tx.emit(ev.CompRetryScheduled(tx.flow.id, step_id, token, count + 1, to_rfc3339(next_at), error))


def restart_due_compensations(tx: Transaction, step_id: str) -> None:
    """Try again what waits to be undone and is due."""
    execution = tx.flow.executions[step_id]
    for token in list(execution.compensating):
        work = execution.work_items[token]
        if not work.next_retry_at:
            continue
        if work.next_retry_at <= tx.env.now_us:
            tx.emit(ev.CompStarted(tx.flow.id, step_id, token, tx.env.node_id))
        else:
            tx.wake(work.next_retry_at)


def _item(tx: Transaction, step_id: str, token: str) -> tuple[Execution, Work]:
    execution = tx.flow.executions[step_id]
    return execution, execution.work_items[token]


def _takes_result(tx: Transaction, work: Work) -> bool:
    """Whether a result still counts. An item closed after it was called takes its late answer (decisions 23)."""
    if work.status in _RECORDABLE:
        return True
    return work.status == "cancelled" and work.attempt > 0 and not tx.flow.deactivated_at
