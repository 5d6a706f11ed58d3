"""The story of work items: every attempt, how it came out, what was tried again and until when, what was undone."""

from msgspec import Struct

from argyll.flow.explain.answer import (
    MAX_ATTEMPTS_LISTED,
    MAX_ITEMS_LISTED,
    Attempt,
    Item,
    Items,
    Moment,
    moment,
    shown,
    words,
)
from argyll.flow.explain.history import At, History, ItemNotes, Try
from argyll.model.flow import Execution, FlowState
from argyll.model.ids import child_flow_id
from argyll.model.step import Step

_RANK = {"failed": 0, "compensation_failed": 0, "active": 1, "not_completed": 1, "compensating": 1, "pending": 2}
"""What says most comes first; every other status ranks 3."""


class Telling(Struct, frozen=True):
    """A finished history, and how it is told."""

    history: History
    flow: FlowState
    show_tokens: bool
    at_rest: bool
    """The last event ended an append, so the machine had nothing left to decide."""

    def moment(self, at: At) -> Moment:
        """A moment with its evidence."""
        return moment(at.us, self.flow.created_at, at.event)

    def later(self, at_us: int) -> Moment:
        """A moment that no event stands for."""
        return moment(at_us, self.flow.created_at)

    def token(self, token: str) -> str:
        """The token, where tokens are shown (decisions 37)."""
        return token if self.show_tokens else ""

    def child(self, step: Step, token: str) -> str:
        """The flow that an item of a flow step starts; its id holds the token."""
        return child_flow_id(self.flow.id, step.id, token) if step.type == "flow" and self.show_tokens else ""


def max_attempts(step: Step, notes: ItemNotes | None) -> int:
    """All calls that an item may take, 0 for no bound. A call made anew because a node was gone costs no retry."""
    limit = step.work.retry_limit
    lost = sum(1 for one in notes.tries if one.outcome == "taken_over") if notes is not None else 0
    return limit + 1 + lost if limit >= 0 else 0


def items_of(telling: Telling, step_id: str, *, listed: bool) -> Items | None:
    """The work items of a step, None while it has not started."""
    execution = telling.flow.executions[step_id]
    if not telling.history.steps[step_id].started:
        return None
    by_status: dict[str, int] = {}
    for work in execution.work_items.values():
        by_status[work.status] = by_status.get(work.status, 0) + 1
    items = Items(len(execution.work_items), by_status)
    if listed:
        tokens = sorted(execution.work_items, key=lambda token: _rank(execution, token))[:MAX_ITEMS_LISTED]
        items.listed = [item_story(telling, step_id, token) for token in tokens]
        items.more = items.total - len(tokens)
    return items


def _rank(execution: Execution, token: str) -> tuple[int, int]:
    work = execution.work_items[token]
    return _RANK.get(work.status, 3), work.index


def item_story(telling: Telling, step_id: str, token: str) -> Item:
    """One work item with its latest attempts."""
    step, work = telling.flow.plan.steps[step_id], telling.flow.executions[step_id].work_items[token]
    notes = telling.history.steps[step_id].items.get(token) or ItemNotes()
    item = Item(
        index=work.index,
        status=work.status,
        token=telling.token(token),
        child=telling.child(step, token) if work.attempt else "",
        inputs={name: shown(value) for name, value in work.inputs.items()},
        why=notes.why,
        ended=telling.moment(notes.ended) if notes.ended is not None else None,
        error=words(work.error),
        attempts=_attempts(telling, notes.tries),
        earlier_attempts=max(len(notes.tries) - MAX_ATTEMPTS_LISTED, 0),
        max_attempts=max_attempts(step, notes),
    )
    if notes.undo:
        item.undo = _attempts(telling, notes.undo)
        item.undo_why = "late_result" if notes.undo_late else "step_failed"
    return item


def _attempts(telling: Telling, tries: list[Try]) -> list[Attempt]:
    return [
        Attempt(
            one.number,
            telling.moment(one.started),
            one.outcome,
            one.node_id,
            ended=telling.moment(one.ended) if one.ended is not None else None,
            error=words(one.error),
            retry_at=telling.later(one.retry_us) if one.retry_us else None,
        )
        for one in tries[-MAX_ATTEMPTS_LISTED:]
    ]
