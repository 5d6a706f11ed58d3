"""A plan in words: why each step is in, what init must supply, what was left out and why.

Speaks in goals and attribute names, the terms its reader asked in. Makes no plan of its own.
"""

from collections.abc import Collection, Iterable, Mapping

from argyll.draw.marks import UNICODE, Marks
from argyll.draw.rails import Rails, as_plan
from argyll.model.plan import Plan
from argyll.model.wire import JSONObject

MAX_NAMES_LISTED = 3
"""More consumers or inputs than this are counted instead of named."""

_WHY_EXCLUDED: tuple[tuple[str, str], ...] = (
    ("satisfied", "init already supplies {names}"),
    ("missing", "nothing supplies {names}"),
    ("blocked", "init supplies {names}, which the step wants to be absent"),
)


def reasons(plan: Plan) -> dict[str, str]:
    """Step id to why the plan holds it: it is a goal, or who needs what it writes."""
    return {step_id: _reason(plan, step_id) for step_id in sorted(plan.steps)}


def explain_plan(
    plan: Plan | JSONObject,
    statuses: Mapping[str, str] | None = None,
    *,
    given: Collection[str] = (),
    marks: Marks = UNICODE,
) -> list[str]:
    """The whole plan as lines of text: rails with reasons, then init, then exclusions; sub-flow plans are indented.

    `given` are the init names that the asker has already supplied.
    """
    plan = as_plan(plan)
    lines = [f"Plan for {', '.join(plan.goals)}: {_count(len(plan.steps), 'step')}", ""]
    lines += _rows(plan, statuses, marks)
    missing = [name for name in plan.required if name not in given]
    lines += ["", *([f"init supplies: {', '.join(given)}"] if given else [])]
    lines.append(f"init must {'also ' if given else ''}supply: " + (", ".join(missing) or "nothing"))
    excluded = [
        f"  {step_id}: {why.format(names=_names(names))}"
        for kind, why in _WHY_EXCLUDED
        for step_id, names in sorted(getattr(plan.excluded, kind).items())
    ]
    return lines + (["left out:", *excluded] if excluded else [])


def _rows(plan: Plan, statuses: Mapping[str, str] | None, marks: Marks) -> list[str]:
    why = reasons(plan)
    width = max((len(step_id) for step_id in plan.steps), default=0)
    kinds = {step_id: _kind(plan, step_id) for step_id in plan.steps}
    kind_width = max((len(kind) for kind in kinds.values()), default=0)
    lines: list[str] = []
    for row in Rails(plan).rows(statuses, marks):
        word = f"  {row.status:<12}" if statuses is not None else ""
        lines.append(
            f"{row.rail}  {row.step:<{width}}{word}  {kinds[row.step]:<{kind_width}}  {why[row.step]}".rstrip()
        )
        if row.step in plan.children:
            indent = f"{row.below}    {marks.child} "
            lines += [indent + line for line in _rows(plan.children[row.step], None, marks)]
    return lines


def _kind(plan: Plan, step_id: str) -> str:
    step = plan.steps[step_id]
    return step.type + (", per item" if any(spec.for_each for spec in step.inputs.values()) else "")


def _reason(plan: Plan, step_id: str) -> str:
    feeds = [
        f"{name} for {_names(readers)}"
        for name in plan.steps[step_id].outputs
        if (readers := [reader for reader in plan.consumers(name) if reader != step_id and reader in plan.steps])
    ]
    parts = ["goal"] if step_id in plan.goals else []
    return "; ".join(parts + ([f"writes {', '.join(feeds)}"] if feeds else []))


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) > MAX_NAMES_LISTED:
        return f"{', '.join(listed[: MAX_NAMES_LISTED - 1])} and {len(listed) - MAX_NAMES_LISTED + 1} more"
    return ", ".join(listed)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
