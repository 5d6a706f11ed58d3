"""What a change of the catalog does to plans: the difference between two catalogs as a caller of flows feels it.

A goal is looked at when something its plan could hold has changed. Plans are previews without init, so `required` names
the root inputs. Runs nothing and reads no engine; evaluating a `match` is passed in.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from msgspec import Struct

from argyll.model.catalog import Catalog
from argyll.model.match import MatchEvaluator
from argyll.model.plan import Plan
from argyll.model.wire import JSONObject, canonical_step
from argyll.planning.errors import PlanError
from argyll.planning.init import Init
from argyll.planning.planner import make_plan

MAX_IMPACT_GOALS = 200
"""Goals whose plans are compared; the others that a change reaches are counted only."""

Fate = Literal["new", "gone", "broken", "mended", "changed"]


class PlanImpact(Struct, frozen=True):
    """What happens to the plan of one goal. Lists are ascending; `changed` steps are in both plans, defined anew.

    `broken`: the goal could be planned and cannot any more, `error` says why; `mended` is the opposite.
    """

    goal: str
    fate: Fate
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    newly_required: tuple[str, ...] = ()
    """Inputs that a caller now has to give."""
    no_longer_required: tuple[str, ...] = ()
    error: str = ""


class LostAttribute(Struct, frozen=True):
    """An attribute that no step writes any more although some still read it."""

    name: str
    providers: tuple[str, ...]
    """Who wrote it before."""
    consumers: tuple[str, ...]
    """Who still reads it."""


class Impact(Struct, frozen=True):
    """The plans that a change alters. `reached` counts the goals it could reach, `examined` those that were compared."""

    plans: tuple[PlanImpact, ...] = ()
    lost: tuple[LostAttribute, ...] = ()
    reached: int = 0
    examined: int = 0

    def to_json(self) -> JSONObject:
        """The impact for programs; every list is there, empty or not."""
        return {
            "plans": [
                {name: list(item) if isinstance(item, tuple) else item for name, item in _members(plan)}
                for plan in self.plans
            ],
            "providers_lost": [
                {"attribute": lost.name, "providers": list(lost.providers), "consumers": list(lost.consumers)}
                for lost in self.lost
            ],
            "goals_reached": self.reached,
            "goals_examined": self.examined,
        }


def _members(plan: PlanImpact) -> Iterable[tuple[str, str | tuple[str, ...]]]:
    return ((name, getattr(plan, name)) for name in PlanImpact.__struct_fields__)


def changed_steps(before: Catalog, after: Catalog) -> set[str]:
    """Ids of the steps that are in one catalog only, or defined differently in the two."""
    return {
        step_id
        for step_id in before.steps.keys() | after.steps.keys()
        if step_id not in before.steps
        or step_id not in after.steps
        or (
            before.steps[step_id] is not after.steps[step_id]
            and canonical_step(before.steps[step_id]) != canonical_step(after.steps[step_id])
        )
    }


def plan_impact(
    before: Catalog,
    after: Catalog,
    evaluate_match: MatchEvaluator,
    *,
    goals: Sequence[str] | None = None,
    limit: int = MAX_IMPACT_GOALS,
) -> Impact:
    """How plans differ between two catalogs.

    `goals` are the ones to look at; None takes what is asked for in practice: the goals of flow steps, and the steps
    whose outputs no step reads.
    """
    changed = changed_steps(before, after)
    reach = _downstream(before, changed) | _downstream(after, changed)
    asked = set(goals) if goals is not None else _usual_goals(before) | _usual_goals(after)
    reached = sorted(asked & reach)
    impacts = (_compare(goal, before, after, changed, evaluate_match) for goal in reached[:limit])
    return Impact(
        plans=tuple(found for found in impacts if found is not None),
        lost=tuple(_lost(before, after)),
        reached=len(reached),
        examined=min(limit, len(reached)),
    )


def _downstream(catalog: Catalog, changed: Collection[str]) -> set[str]:
    """The changed steps and every step whose plan may hold one of them."""
    parents: dict[str, list[str]] = {}
    for step in catalog.steps.values():
        for goal in step.flow_goals:
            parents.setdefault(goal, []).append(step.id)
    seen = set(changed)
    stack = list(changed)
    while stack:
        step = catalog.steps.get(stack.pop())
        if step is None:
            continue
        readers = [reader for name in step.outputs for reader in catalog.consumers.get(name, ())]
        for reader in readers + parents.get(step.id, []):
            if reader not in seen:
                seen.add(reader)
                stack.append(reader)
    return seen


def _usual_goals(catalog: Catalog) -> set[str]:
    goals = {goal for step in catalog.steps.values() for goal in step.flow_goals}
    ends = {step.id for step in catalog.steps.values() if not any(catalog.consumers.get(name) for name in step.outputs)}
    return goals | ends


def _compare(
    goal: str, before: Catalog, after: Catalog, changed: Collection[str], evaluate: MatchEvaluator
) -> PlanImpact | None:
    """The impact on one goal; None when its plan stays as it is."""
    old, _ = _plan(before, goal, evaluate)
    new, error = _plan(after, goal, evaluate)
    if goal not in before.steps:
        return PlanImpact(goal, "new", error=error, newly_required=new.required if new else (), added=_ids(new))
    if goal not in after.steps:
        return PlanImpact(goal, "gone", removed=_ids(old))
    if new is None:
        return PlanImpact(goal, "broken", error=error) if old is not None else None
    if old is None:
        return PlanImpact(goal, "mended", added=_ids(new), newly_required=new.required)
    had, has = set(_ids(old)), set(_ids(new))
    impact = PlanImpact(
        goal,
        "changed",
        added=tuple(sorted(has - had)),
        removed=tuple(sorted(had - has)),
        changed=tuple(sorted(had & has & set(changed))),
        newly_required=tuple(sorted(set(new.required) - set(old.required))),
        no_longer_required=tuple(sorted(set(old.required) - set(new.required))),
    )
    return impact if impact != PlanImpact(goal, "changed") else None


def _plan(catalog: Catalog, goal: str, evaluate: MatchEvaluator) -> tuple[Plan | None, str]:
    try:
        return make_plan(catalog, [goal], Init({}), evaluate, "preview"), ""
    except PlanError as error:
        return None, str(error)


def _ids(plan: Plan | None) -> tuple[str, ...]:
    """The steps of a plan and of the child plans in it."""
    if plan is None:
        return ()
    found: set[str] = set()
    stack = [plan]
    while stack:
        one = stack.pop()
        found.update(one.steps)
        stack.extend(one.children.values())
    return tuple(sorted(found))


def _lost(before: Catalog, after: Catalog) -> Iterable[LostAttribute]:
    for name, providers in sorted(before.providers.items()):
        readers = after.consumers.get(name)
        if readers and not after.providers.get(name):
            yield LostAttribute(name, tuple(sorted(providers)), tuple(sorted(readers)))
