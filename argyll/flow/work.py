"""Work items: how inputs become items, which items may be claimed, and how their outputs become the step's.

Every cost here is per item touched, never per item of the step.
"""

from heapq import heappop
from itertools import product

from argyll.flow.env import OverBudget, ScriptFailed, Values
from argyll.flow.transaction import Transaction
from argyll.model import events as ev
from argyll.model.flow import REASON_PREDICATE, Execution, FlowState, Work
from argyll.model.json import JSON
from argyll.model.limits import MAX_WORK_ITEMS
from argyll.model.step import Step


class TooManyWorkItems(Exception):
    """A step would expand into more than `MAX_WORK_ITEMS` items."""


def expand(step: Step, inputs: Values) -> list[Values]:
    """The for_each values of every item, by inner name, in a stable order: the last name varies fastest.

    One empty item without a for_each array, none when one of the arrays is empty. Raises `TooManyWorkItems`.
    """
    names = [spec.inner_name(name) for name, spec in step.inputs.items() if spec.for_each]
    dimensions = {name: inputs[name] for name in names if isinstance(inputs.get(name), list)}
    count = 1
    for values in dimensions.values():
        count *= len(values)
    if count > MAX_WORK_ITEMS:
        sizes = " x ".join(f"{name}: {len(values)}" for name, values in dimensions.items())
        raise TooManyWorkItems(f"too many work items: {count} ({sizes}), at most {MAX_WORK_ITEMS} a step")
    return [dict(zip(dimensions, values, strict=True)) for values in product(*dimensions.values())]


def is_fan_out(step: Step) -> bool:
    """Whether the step's outputs are lists with an entry an item (decisions 21)."""
    return any(spec.for_each for spec in step.inputs.values())


def effective_inputs(execution: Execution, work: Work) -> Values:
    """What one item is called with, without meta values."""
    return {**(execution.inputs or {}), **work.inputs}


def call_metadata(flow: FlowState, step_id: str, token: str) -> Values:
    """What meta attributes can ask for, and what the identity headers carry."""
    return {**flow.metadata, "flow_id": flow.id, "step_id": step_id, "receipt_token": token}


def with_meta(step: Step, inputs: Values, metadata: Values) -> Values:
    """The arguments of a call: inputs and the meta attributes whose key is known."""
    meta = {
        name: metadata[spec.key]
        for name, spec in step.attributes.items()
        if spec.role == "meta" and spec.key in metadata
    }
    return {**inputs, **meta} if meta else inputs


def claim_work(tx: Transaction, step_id: str) -> list[str]:
    """Start pending items of an active step while slots are free; returns the tokens of those that have ended.

    Remembered outputs and scripts within the command's budget end at once; everything else is left active, and what it
    needs follows as an effect of `work_started`.
    """
    step, execution = tx.step(step_id), tx.flow.executions[step_id]
    parallelism = max(step.work.parallelism, 1)
    ended: list[str] = []
    while execution.active < parallelism and (token := _next_token(tx, execution)) is not None:
        claim = tx.env.may_claim(step)
        if claim != "yes":
            tx.wake(tx.env.now_us + tx.env.claim_recheck_us)
            if claim == "announce":
                tx.emit(ev.DispatchDeferred(tx.flow.id, step_id))
            break
        if not tx.may_start():
            break
        if _start(tx, step, execution, token):
            ended.append(token)
            if execution.status != "active" or execution.first_failed:
                break
    return ended


def _next_token(tx: Transaction, execution: Execution) -> str | None:
    """The item to claim next: one whose retry is due, else the first that never ran."""
    waiting = execution.waiting
    while waiting:
        at_us, _, token = waiting[0]
        work = execution.work_items[token]
        if work.next_retry_at != at_us or work.status != "pending":
            heappop(waiting)
        elif at_us <= tx.env.now_us:
            return token
        else:
            tx.wake(at_us)
            break
    return next(iter(execution.ready), None)


def _start(tx: Transaction, step: Step, execution: Execution, token: str) -> bool:
    """Claim one item. True when it ended within the command."""
    flow, work = tx.flow, execution.work_items[token]
    if work.attempt and _ended_by_predicate(tx, step, execution, token):
        return True
    inputs = effective_inputs(execution, work)
    if step.memoizable:
        outputs = tx.env.recall(step, inputs)
        if outputs is not None:
            tx.emit(ev.WorkSucceeded(flow.id, step.id, token, outputs))
            return True
    tx.emit(ev.WorkStarted(flow.id, step.id, token, inputs, tx.env.node_id, work.attempt + 1))
    if step.type != "script":
        return False
    try:
        outputs = tx.env.evaluator.run(step, with_meta(step, inputs, call_metadata(flow, step.id, token)))
    except OverBudget:
        return False
    except ScriptFailed as error:
        tx.emit(ev.WorkFailed(flow.id, step.id, token, str(error)))
        return True
    tx.emit(ev.WorkSucceeded(flow.id, step.id, token, outputs))
    return True


def _ended_by_predicate(tx: Transaction, step: Step, execution: Execution, token: str) -> bool:
    """Ask the step's predicate again before a retry; false closes the item without a result (decisions 21)."""
    if step.predicate is None:
        return False
    try:
        if tx.env.evaluator.predicate(step, execution.inputs or {}):
            return False
    except ScriptFailed as error:
        tx.emit(ev.WorkFailed(tx.flow.id, step.id, token, f"predicate evaluation failed: {error}"))
        return True
    tx.emit(ev.WorkCancelled(tx.flow.id, step.id, token, REASON_PREDICATE))
    return True


def step_outputs(tx: Transaction, step: Step, execution: Execution) -> Values:
    """The declared outputs of a step whose items are all done, by attribute name (execution.md 5.9, 6.4).

    An output that the service did not give, or whose mapping fails, is absent.
    """
    if not execution.work_items:
        return {name: [] for name in step.outputs}
    raw = _aggregate(step, execution)
    outputs: Values = {}
    for name, spec in step.outputs.items():
        if spec.mapping is not None and spec.mapping.script is not None:
            try:
                outputs[name] = tx.env.evaluator.map_output(step, name, spec, raw)
            except ScriptFailed:
                continue
        elif (inner := spec.inner_name(name)) in raw:
            outputs[name] = raw[inner]
    return outputs


def _aggregate(step: Step, execution: Execution) -> Values:
    if not is_fan_out(step):
        return next(iter(execution.work_items.values())).outputs or {}
    lists: dict[str, list[JSON]] = {}
    for work in execution.work_items.values():
        for key, value in (work.outputs or {}).items():
            lists.setdefault(key, []).append({**work.inputs, key: value})
    return dict(lists)
