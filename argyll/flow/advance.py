"""Moves a flow as far as it goes without an answer from outside: the end of every command (decisions 19).

One fixed point over verdicts, starts, claims and outcomes, in a stable order, each transition guarded by the current
status. No history leaves a flow active with nothing that could still move it.
"""

from argyll.flow.env import ScriptFailed, Values
from argyll.flow.inputs import Outlook, collect_inputs, match_results, required_outlook, supply, wait_for_optional
from argyll.flow.outcomes import (
    cancel_waiting,
    close_step_if_done,
    complete_step,
    restart_due_compensations,
)
from argyll.flow.transaction import Transaction
from argyll.flow.work import TooManyWorkItems, claim_work, expand
from argyll.model import events as ev
from argyll.model.flow import (
    REASON_CANCELLED,
    REASON_MATCH,
    REASON_NOT_NEEDED,
    REASON_PREDICATE,
    REASON_UNREACHABLE,
)


def advance(tx: Transaction) -> None:
    """Bring the flow to its next standstill."""
    flow = tx.flow
    if flow.plan.timed:
        tx.touch_all()
    while flow.status == "active":
        _settle(tx)
        if flow.status != "active" or not _run_claims(tx):
            break
    if flow.status != "active":
        _wind_down(tx)
    _look_after_compensations(tx)
    if flow.status != "active" and not flow.deactivated_at and not flow.unsettled:
        tx.emit(ev.FlowDeactivated(flow.id, flow.status))


def _settle(tx: Transaction) -> None:
    """Close what cannot or need not run, decide the outcome, start what can; again until nothing changes."""
    while tx.ended or tx.review or tx.needs:
        ready = _review(tx)
        _skip_unneeded(tx)
        if tx.ended:
            tx.ended = False
            if _end_flow(tx):
                return
        _start_ready(tx, ready)


def _review(tx: Transaction) -> dict[str, int]:
    """Skip or fail the steps under review that can never start; gives the others whose required inputs are there, each
    with its anchor."""
    ready: dict[str, int] = {}
    while tx.review:
        steps, tx.review = tx.in_order(tx.review), set()
        for step_id in steps:
            step = tx.step(step_id)
            try:
                expected = required_outlook(tx, step_id, step)
            except ScriptFailed as error:
                _fail_pending(tx, step_id, f"match evaluation failed: {error}")
                continue
            if expected.kind == "ready":
                ready[step_id] = expected.anchor
            elif expected.kind == "pruned":
                inputs = collect_inputs(tx, step_id, step, None)
                tx.emit(ev.StepSkipped(tx.flow.id, step_id, REASON_MATCH, inputs, list(expected.unsatisfied)))
            elif expected.kind == "unreachable":
                _fail_pending(tx, step_id, REASON_UNREACHABLE, expected)
    return ready


def _fail_pending(tx: Transaction, step_id: str, error: str, expected: Outlook | None = None) -> None:
    try:
        inputs = collect_inputs(tx, step_id, tx.step(step_id), None)
    except ScriptFailed:
        inputs = {}
    unsatisfied = list(expected.unsatisfied) if expected is not None else []
    tx.emit(ev.StepFailed(tx.flow.id, step_id, error, inputs, unsatisfied))


def _skip_unneeded(tx: Transaction) -> None:
    """Skip steps under review whose outputs nobody will read, consumers first."""
    flow = tx.flow
    while tx.needs:
        steps, tx.needs = tx.in_order(tx.needs), set()
        for step_id in reversed(steps):
            if step_id not in flow.plan.goals and not _is_needed(tx, step_id):
                tx.emit(ev.StepSkipped(flow.id, step_id, REASON_NOT_NEEDED))


def _is_needed(tx: Transaction, step_id: str) -> bool:
    return any(
        consumer in tx.flow.pending and _wants_more(tx, consumer, name)
        for name in tx.step(step_id).outputs
        for consumer in tx.flow.plan.consumers(name)
    )


def _wants_more(tx: Transaction, consumer: str, name: str) -> bool:
    """Whether a pending step could still use another value of an input (execution.md 5.8)."""
    spec = tx.step(consumer).attributes[name]
    if spec.collect == "first":
        return not any(match_results(tx, consumer, name, spec)) if spec.match else name not in tx.flow.attributes
    return spec.collect != "all" or not supply(tx.flow, name).broken


def _start_ready(tx: Transaction, ready: dict[str, int]) -> None:
    """Start the steps that are ready and do not wait for an optional input."""
    for step_id in tx.in_order(ready):
        anchor = ready[step_id]
        recheck_at = wait_for_optional(tx, step_id, tx.step(step_id), anchor)
        if recheck_at:
            tx.wake(recheck_at)
            continue
        if not tx.may_start():
            return
        _start(tx, step_id, anchor)
        if tx.flow.executions[step_id].status in ("failed", "skipped"):
            tx.review.update(ready)  # the flow may be lost with it: the rest waits until that is known
            return


def _start(tx: Transaction, step_id: str, anchor: int) -> None:
    flow, step = tx.flow, tx.step(step_id)
    inputs = collect_inputs(tx, step_id, step, anchor)
    if step.predicate is not None:
        try:
            wanted = tx.env.evaluator.predicate(step, inputs)
        except ScriptFailed as error:
            tx.emit(ev.StepFailed(flow.id, step_id, f"predicate evaluation failed: {error}", inputs))
            return
        if not wanted:
            tx.emit(ev.StepSkipped(flow.id, step_id, REASON_PREDICATE, inputs))
            return
    try:
        items = expand(step, inputs)
    except TooManyWorkItems as error:
        tx.emit(ev.StepFailed(flow.id, step_id, str(error), inputs))
        return
    tx.emit(ev.StepStarted(flow.id, step_id, inputs, {tx.env.new_token(): item for item in items}))
    if not items:
        complete_step(tx, step_id)


def _run_claims(tx: Transaction) -> bool:
    """Claim work of every running step. True when a step ended by it, so that verdicts may have changed."""
    ended = False
    for step_id in list(tx.flow.running):
        execution = tx.flow.executions[step_id]
        if (execution.ready or execution.waiting) and claim_work(tx, step_id):
            close_step_if_done(tx, step_id)
            if execution.status == "failed":
                return True  # the flow may be lost with it: nothing more is called before that is known
            ended = ended or execution.status != "active"
    return ended


def _end_flow(tx: Transaction) -> bool:
    """Decide the flow's outcome, if there is one yet (decisions 20): failed when a goal failed or when gates pruned every
    goal, completed when every goal is done. A goal that init satisfied has no execution and counts as done."""
    flow = tx.flow
    done, pruned = True, 0
    for goal in flow.plan.goals:
        execution = flow.executions.get(goal)
        if execution is None or execution.status == "completed":
            continue
        if execution.status == "failed":
            tx.emit(ev.FlowFailed(flow.id, _failure(tx)))
            return True
        if execution.status != "skipped":
            done = False
        elif execution.error == REASON_MATCH:
            pruned += 1
    if pruned == len(flow.plan.goals):
        tx.emit(ev.FlowFailed(flow.id, _failure(tx)))
    elif done:
        tx.emit(ev.FlowCompleted(flow.id, _result(tx)))
    return done


def _failure(tx: Transaction) -> str:
    """The text of a failed flow: the first step, providers first, that failed of itself."""
    failed = [(step_id, e.error) for step_id, e in tx.flow.executions.items() if e.status == "failed"]
    if not failed:
        return "flow failed"
    step_id, error = next((f for f in failed if f[1] != REASON_UNREACHABLE), failed[0])
    return f"step {step_id} failed: {error}"


def _result(tx: Transaction) -> Values:
    """The outputs of the goals, later goals winning."""
    result: Values = {}
    for goal in tx.flow.plan.goals:
        execution = tx.flow.executions.get(goal)
        if execution is not None and execution.outputs:
            result.update(execution.outputs)
    return result


def _wind_down(tx: Transaction) -> None:
    """The flow has ended: work that waits never runs, and steps left with nothing running are closed."""
    for step_id in list(tx.flow.running):
        execution = tx.flow.executions[step_id]
        cancel_waiting(tx, step_id)
        if execution.status == "active" and not execution.open:
            close_step_if_done(tx, step_id)


def _look_after_compensations(tx: Transaction) -> None:
    for step_id, execution in tx.flow.executions.items():
        if execution.compensating:
            restart_due_compensations(tx, step_id)


def cancel(tx: Transaction, reason: str) -> None:
    """End an active flow as failed on somebody's word (decisions 31). Said again of a flow that has ended, it gives up
    what still runs: an answer that never comes must not keep a flow for ever."""
    if tx.flow.status == "active":
        tx.emit(ev.FlowFailed(tx.flow.id, reason))
        return
    for step_id, execution in tx.flow.executions.items():
        if execution.active:
            for token, work in list(execution.work_items.items()):
                if work.status == "active":
                    tx.emit(ev.WorkCancelled(tx.flow.id, step_id, token, REASON_CANCELLED))
