"""What a flow waits for, and what would end the wait: answers, webhooks, child flows, retries, deadlines, health."""

from collections.abc import Collection, Iterator

from msgspec import Struct

from argyll.flow.explain.answer import MAX_ITEMS_LISTED, Input, Wait, WaitingItem, WaitKind, words
from argyll.flow.explain.history import At
from argyll.flow.explain.items import Telling, max_attempts
from argyll.flow.explain.verdicts import examine
from argyll.model.flow import Execution, Work
from argyll.model.step import Step

_CALLED: dict[str, WaitKind] = {"sync": "answer", "async": "webhook", "script": "script", "flow": "child"}


class _Found(Struct):
    """One item that is waited for. `since` and `due` are moments in microseconds, `due` 0 when there is none."""

    token: str
    work: Work
    since: At
    due: int = 0


def pending_inputs(telling: Telling, step_id: str) -> list[Input]:
    """The inputs of a pending step by what is there now."""
    phase = "pending" if telling.at_rest and telling.flow.status == "active" else "open"
    return examine(telling.flow, step_id, phase, telling.history.moments(), {}).inputs


def all_waits(telling: Telling) -> list[Wait]:
    """Everything outside that the flow waits for, by the plan's order; never empty while it is not closed."""
    flow = telling.flow
    if telling.history.closed is not None:
        return []
    waits: list[Wait] = []
    for step_id in flow.plan.order:
        if step_id in flow.pending:
            waits += _deadlines(telling, step_id) if flow.status == "active" else ()
        else:
            waits += _of_items(telling, step_id)
    return waits or [Wait("engine", since=telling.moment(At(telling.history.now_us, telling.history.events - 1)))]


def concerning(telling: Telling, waits: list[Wait], step_ids: Collection[str]) -> list[Wait]:
    """The waits that some steps depend on: their own, and those of open steps upstream of pending ones."""
    flow = telling.flow
    found: set[str] = set()
    stack = list(step_ids)
    while stack:
        step_id = stack.pop()
        if step_id not in found:
            found.add(step_id)
            if step_id in flow.pending:
                stack += (p for p in flow.plan.neighbours[step_id].upstream if not telling.history.steps[p].ended)
    return [wait for wait in waits if wait.step in found or not wait.step]


def _deadlines(telling: Telling, step_id: str) -> Iterator[Wait]:
    """Optional inputs that alone hold a step back, each until its deadline."""
    if not telling.flow.plan.steps[step_id].optional:
        return
    for entry in pending_inputs(telling, step_id):
        if entry.until is not None:
            yield Wait("deadline", step_id, due=entry.until, input=entry.name, providers=entry.providers)


def _of_items(telling: Telling, step_id: str) -> Iterator[Wait]:
    execution = telling.flow.executions[step_id]
    if not execution.open and not execution.compensating:
        return
    step = telling.flow.plan.steps[step_id]
    groups: dict[WaitKind, list[_Found]] = {}
    for token, work in execution.work_items.items():
        kind = _kind(telling, step, execution, work)
        if kind is not None:
            groups.setdefault(kind, []).append(_found(telling, step_id, token, work, kind))
    for kind, found in groups.items():
        yield _wait(telling, step, kind, found)


def _kind(telling: Telling, step: Step, execution: Execution, work: Work) -> WaitKind | None:
    """How an item is waited for, None when it is done."""
    if work.status == "active":
        return _CALLED[step.type]
    if work.status == "compensating":
        return "undo_retry" if work.next_retry_at else "undo"
    if work.status == "not_completed":
        return "engine"
    if work.status != "pending":
        return None
    if work.next_retry_at:
        return "retry"
    if execution.active >= max(step.work.parallelism, 1):
        return "slot"
    notes = telling.history.steps[step.id]
    deferred = notes.deferred is not None and (notes.claimed is None or notes.claimed.event < notes.deferred.event)
    return "health" if deferred else "claim"


def _found(telling: Telling, step_id: str, token: str, work: Work, kind: WaitKind) -> _Found:
    notes = telling.history.steps[step_id]
    item = notes.items.get(token)
    since = notes.decided or At(telling.flow.created_at, 0)
    if kind in ("undo", "undo_retry"):
        tries = item.undo if item is not None else []
    else:
        tries = item.tries if item is not None else []
    if tries:
        since = tries[-1].ended or tries[-1].started
    if kind == "health" and notes.deferred is not None:
        since = notes.deferred
    return _Found(token, work, since, work.next_retry_at if kind in ("retry", "undo_retry") else 0)


def _wait(telling: Telling, step: Step, kind: WaitKind, found: list[_Found]) -> Wait:
    first = min(found, key=lambda one: (one.due, one.since.us, one.work.index))
    earliest = min(found, key=lambda one: (one.since.us, one.work.index))
    wait = Wait(kind, step.id, len(found), since=telling.moment(earliest.since))
    if first.due:
        wait.due = telling.later(first.due)
    if step.http is not None and kind in ("answer", "webhook", "undo"):
        wait.endpoint = step.http.compensate if kind == "undo" else step.http.endpoint
        wait.timeout_ms = step.http.timeout_ms if kind == "answer" else 0
    found.sort(key=lambda one: (one.due, one.work.index))
    wait.items = [_item(telling, step, kind, one) for one in found[:MAX_ITEMS_LISTED]]
    return wait


def _item(telling: Telling, step: Step, kind: WaitKind, found: _Found) -> WaitingItem:
    work = found.work
    undoing = kind in ("undo", "undo_retry")
    return WaitingItem(
        work.index,
        telling.moment(found.since),
        telling.token(found.token),
        work.comp_retry_count + 1 if undoing else work.attempt,
        work.node_id,
        due=telling.later(found.due) if found.due else None,
        error=words(work.error) if kind in ("retry", "undo_retry") else "",
        max_attempts=0 if undoing else max_attempts(step, telling.history.steps[step.id].items.get(found.token)),
        child=telling.child(step, found.token) if kind == "child" else "",
    )
