"""Plans are kept while the catalog stands still: the same goals and the same init names give the same plan."""

from collections.abc import Mapping, Sequence

from argyll.model.json import JSON
from argyll.model.match import MatchEvaluator
from argyll.model.plan import Plan
from argyll.planning.planner import Mode, StepGraph, init_from, make_plan

PLAN_CACHE_ENTRIES = 1_024
"""Plans kept for one state of the catalog; when full, all are dropped."""

_Key = tuple[tuple[str, ...], frozenset[str], Mode]


class Planner:
    """Makes plans over one catalog and remembers those that do not depend on init's values."""

    def __init__(self, catalog: StepGraph, evaluate_match: MatchEvaluator) -> None:
        self._catalog, self._evaluate_match = catalog, evaluate_match
        self._plans: dict[_Key, Plan] = {}

    def catalog_changed(self, catalog: StepGraph) -> None:
        """Forget everything: plans follow the catalog."""
        self._catalog = catalog
        self._plans.clear()

    def plan(self, goals: Sequence[str], init: Mapping[str, list[JSON]], mode: Mode = "strict") -> Plan:
        """The plan for `goals` with `init` (lists of candidate values). Raises a `PlanError`."""
        key = (tuple(goals), frozenset(name for name, values in init.items() if values), mode)
        plan = self._plans.get(key)
        if plan is not None:
            return plan
        given = init_from(init)
        plan = make_plan(self._catalog, goals, given, self._evaluate_match, mode)
        if not given.values_used:
            if len(self._plans) >= PLAN_CACHE_ENTRIES:
                self._plans.clear()
            self._plans[key] = plan
        return plan
