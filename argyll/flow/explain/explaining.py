"""Puts an explanation together from a history that has been read."""

from argyll.flow.commands import UnknownStep
from argyll.flow.explain.answer import Explanation, Input, Reason, ReasonCode, StepStory
from argyll.flow.explain.causes import flow_outcome, step_reason
from argyll.flow.explain.history import At, History
from argyll.flow.explain.items import Telling, items_of
from argyll.flow.explain.origins import attribute_names, attribute_overview, attribute_story
from argyll.flow.explain.waits import all_waits, concerning, pending_inputs
from argyll.model.plan import Plan

_LEFT_OUT: tuple[ReasonCode, ...] = ("satisfied", "missing", "blocked")


class NothingHappened(Exception):
    """The history holds no `flow_started`, so there is no flow to explain."""


def explain(history: History, *, at_rest: bool = True, show_tokens: bool = True) -> Explanation:
    """Why the flow, the history's step and the history's attribute are as they are.

    Without either the answer is an overview of all steps and attributes. `at_rest` says that the last event was the last
    of its append; inside an append the machine is not done, and less can be concluded. With `show_tokens` off, work items
    go by their position alone (decisions 37). Raises `NothingHappened`, `UnknownStep`, `UnknownAttribute`.
    """
    if history.flow is None:
        raise NothingHappened
    telling = Telling(history, history.flow, show_tokens, at_rest)
    flow, waits = telling.flow, all_waits(telling)
    answer = Explanation(
        flow_id=flow.id,
        status=flow.status,
        goals=list(flow.plan.goals),
        started=telling.moment(At(flow.created_at, 0)),
        at=telling.moment(At(history.now_us, history.events - 1)),
        closed=telling.moment(history.closed) if history.closed is not None else None,
        outcome=flow_outcome(telling),
        waiting=waits,
        steps=[],
        attributes=[],
        parent=flow.parent[0] if flow.parent is not None else "",
        step=history.step,
        attribute=history.attribute,
    )
    concerned: set[str] = set()
    if history.step:
        answer.steps = [step_story(telling, history.step, detailed=True)]
        concerned.add(history.step)
    if history.attribute:
        answer.attributes = [attribute_story(telling, history.attribute)]
        concerned.update(flow.plan.providers(history.attribute))
    if history.step or history.attribute:
        answer.waiting = concerning(telling, waits, concerned & flow.executions.keys())
        return answer
    answer.steps = [step_story(telling, step_id, detailed=False) for step_id in flow.plan.order]
    answer.steps += [_left_out(flow.plan, step_id) for step_id in left_out(flow.plan)]
    answer.attributes = [attribute_overview(telling, name) for name in attribute_names(telling)]
    return answer


def left_out(plan: Plan) -> list[str]:
    """The steps that planning considered and did not take, ascending."""
    excluded = plan.excluded
    return sorted({*excluded.satisfied, *excluded.missing, *excluded.blocked})


def step_story(telling: Telling, step_id: str, *, detailed: bool) -> StepStory:
    """One step, with inputs and items when `detailed`. Raises `UnknownStep`."""
    flow = telling.flow
    if step_id not in flow.executions:
        if step_id in left_out(flow.plan):
            return _left_out(flow.plan, step_id)
        raise UnknownStep(step_id)
    step, notes = flow.plan.steps[step_id], telling.history.steps[step_id]
    story = StepStory(
        step_id,
        flow.executions[step_id].status,
        step_reason(telling, step_id, deep=detailed),
        step.type,
        step_id in flow.plan.goals,
        {name: list(readers) for name in step.outputs if (readers := flow.plan.consumers(name))},
        decided=telling.moment(notes.decided) if notes.decided is not None else None,
        ended=telling.moment(notes.ended) if notes.ended is not None else None,
        items=items_of(telling, step_id, listed=detailed),
        deferred=telling.moment(notes.deferred) if notes.deferred is not None else None,
    )
    pending = step_id in flow.pending
    inputs = pending_inputs(telling, step_id) if pending else (notes.inputs or [])
    if detailed:
        story.inputs = inputs
    if story.reason.code == "waits":
        story.reason.inputs = [entry for entry in inputs if _holds_back(entry)]
    return story


def _holds_back(entry: Input) -> bool:
    return entry.outcome == "waits" or (entry.role == "required" and entry.verdict in ("possible", "undecided"))


def _left_out(plan: Plan, step_id: str) -> StepStory:
    for code in _LEFT_OUT:
        names: dict[str, tuple[str, ...]] = getattr(plan.excluded, code)
        if step_id in names:
            return StepStory(step_id, "left_out", Reason(code, names=list(names[step_id])), goal=step_id in plan.goals)
    raise UnknownStep(step_id)
