"""From goals, init and catalog to a plan: the minimal set of steps that reaches the goals (execution.md 3).

Deterministic and independent of goal order. `strict` plans start flows; `preview` plans answer "what would it take":
where no provider could run they still walk up the chain, so `required` names the root inputs.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import UNSET

from argyll.model.json import JSON
from argyll.model.limits import MAX_PLAN_DEPTH
from argyll.model.match import MatchEvaluator, Verdict, combine, match_verdict
from argyll.model.plan import Edges, Excluded, Plan
from argyll.model.step import Attribute, Step
from argyll.planning.errors import (
    ChildInputUnreachable,
    CircularFlow,
    FlowTooDeep,
    NoGoals,
    PlanTooLarge,
    UnknownGoals,
)
from argyll.planning.init import UNKNOWN, Init, InitValues

Mode = Literal["strict", "preview"]

MAX_PLAN_STEPS = 10_000
"""Steps that a plan may hold, those of its child plans counted as often as they stand in it."""


class StepGraph(Protocol):
    """What planning needs of a catalog."""

    @property
    def steps(self) -> Mapping[str, Step]: ...

    @property
    def providers(self) -> Mapping[str, set[str]]: ...


def make_plan(
    catalog: StepGraph,
    goals: Sequence[str],
    init: Init,
    evaluate_match: MatchEvaluator,
    mode: Mode = "strict",
) -> Plan:
    """The plan for `goals`, child plans included. Raises a `PlanError`."""
    return _Planning(catalog, evaluate_match, mode).plan(goals, init, ())


class _Planning:
    """One plan in the making, with the children that it nests."""

    def __init__(self, catalog: StepGraph, evaluate: MatchEvaluator, mode: Mode) -> None:
        self._catalog, self._evaluate = catalog, evaluate
        self._mode: Mode = mode
        self._steps = 0

    def plan(self, goals: Sequence[str], init: Init, path: tuple[str, ...]) -> Plan:
        """The plan for the goals of a flow (`path` empty) or of the flow step that ends `path`."""
        catalog = self._catalog
        if not goals:
            raise NoGoals("a flow needs at least one goal")
        unknown = [goal for goal in dict.fromkeys(goals) if goal not in catalog.steps]
        if unknown:
            raise UnknownGoals(unknown, path[-1] if path else "")
        if len(path) > MAX_PLAN_DEPTH:
            raise FlowTooDeep(f"flow steps nest deeper than {MAX_PLAN_DEPTH}: {' -> '.join(path)}")
        selection = _Selection(catalog, goals, init, self._evaluate, self._mode)
        selection.run()
        self._count(len(selection.included), path)
        steps = {step_id: catalog.steps[step_id] for step_id in sorted(selection.included)}
        return Plan(
            goals=tuple(goals),
            required=tuple(sorted(selection.missing)),
            steps=steps,
            attributes=selection.edges(),
            children={step_id: self._child(step, path) for step_id, step in steps.items() if step.type == "flow"},
            excluded=selection.excluded(),
        )

    def _child(self, step: Step, path: tuple[str, ...]) -> Plan:
        if step.id in path:
            raise CircularFlow((*path[path.index(step.id) :], step.id))
        child = self.plan(step.flow_goals, Init(child_init(step)), (*path, step.id))
        unreachable = sorted(set(child.required) - _possible_names(step))
        if unreachable:
            raise ChildInputUnreachable(step.id, unreachable)
        return child

    def _count(self, steps: int, path: tuple[str, ...]) -> None:
        # Steps that share children multiply: a plan can be exponential in a catalog that is small and shallow.
        self._steps += steps
        if self._steps > MAX_PLAN_STEPS:
            where = f", counted up to {' -> '.join(path)}" if path else ""
            raise PlanTooLarge(
                f"the plan holds more than {MAX_PLAN_STEPS} steps with its child flows{where}; name fewer goals, "
                f"or let flow steps share fewer children"
            )


def child_init(step: Step) -> dict[str, InitValues]:
    """What a flow step is sure to pass to its child, by inner name; constants are known, the rest is not yet."""
    values: dict[str, InitValues] = {}
    for name, spec in step.attributes.items():
        if spec.role == "const":
            values[name] = [spec.value]
        elif spec.role == "meta" or _guaranteed(spec):
            values[spec.inner_name(name)] = UNKNOWN
    return values


def _guaranteed(spec: Attribute) -> bool:
    if spec.role == "required":
        return spec.collect != "none"
    return spec.role == "optional" and spec.default is not UNSET


def _possible_names(step: Step) -> set[str]:
    return {spec.inner_name(name) for name, spec in step.attributes.items() if spec.role != "output"}


class _Selection:
    """Which steps a plan holds. Works on sets, so nothing depends on the order in which goals are named."""

    def __init__(
        self, catalog: StepGraph, goals: Sequence[str], init: Init, evaluate: MatchEvaluator, mode: Mode
    ) -> None:
        self.steps, self.providers = catalog.steps, catalog.providers
        self.goals = dict.fromkeys(goals)
        self.init, self.evaluate, self.mode = init, evaluate, mode
        self.included: set[str] = set()
        self.missing: set[str] = set()
        self._considered: set[str] = set(goals)
        self._queue: deque[str] = deque()
        self._reachable = self._closure()
        self._satisfiable, self._available = self._fixed_point()

    def run(self) -> None:
        """Walk from the goals to everything they need."""
        for goal in self.goals:
            if self._is_fixed(goal):
                self._include(goal)
        while self._queue:
            self._visit(self.steps[self._queue.popleft()])

    def _is_fixed(self, goal: str) -> bool:
        """Whether a goal is part of the plan no matter who needs it (decisions 16)."""
        step = self.steps[goal]
        return not self._blocked(step) and not self._outputs_given(step)

    def _include(self, step_id: str) -> None:
        if step_id not in self.included:
            self.included.add(step_id)
            self._queue.append(step_id)

    def _visit(self, step: Step) -> None:
        gate = self._gate(step)
        for name, spec in step.inputs.items():
            if gate == "unmatched" and spec.match is None:
                continue
            if self._init_satisfies(name, spec):
                self._considered.update(p for p in self._providers(name) if self._outputs_given(self.steps[p]))
                continue
            supplied = self._include_providers(name, spec)
            if supplied or name in self.init or spec.role != "required" or spec.collect == "none":
                continue
            if gate == "matched" or (gate == "unknown" and spec.match is not None):
                self.missing.add(name)

    def _include_providers(self, name: str, spec: Attribute) -> bool:
        """Demand the providers of a name that can run. True when there is one."""
        providers = self._providers(name)
        usable = [p for p in providers if p in self._satisfiable or (p in self.goals and self._is_fixed(p))]
        if not usable and self.mode == "preview":
            usable = [p for p in providers if not self._blocked(self.steps[p])]
        if spec.collect == "all" and len(usable) < len(providers):
            return False
        self._considered.update(providers)
        for provider in usable:
            self._include(provider)
        return bool(usable)

    def _providers(self, name: str) -> list[str]:
        return sorted(self.providers.get(name, ()))

    def _blocked(self, step: Step) -> list[str]:
        return [name for name, spec in step.inputs.items() if spec.collect == "none" and name in self.init]

    def _outputs_given(self, step: Step) -> bool:
        return bool(step.outputs) and all(name in self.init for name in step.outputs)

    def _init_satisfies(self, name: str, spec: Attribute) -> bool:
        if name not in self.init or spec.collect != "first":
            return False
        return spec.match is None or self._verdict(name, spec) == "matched"

    def _gate(self, step: Step) -> Verdict:
        return combine(self._verdict(name, spec) for name, spec in step.inputs.items() if spec.match is not None)

    def _verdict(self, name: str, spec: Attribute) -> Verdict:
        candidates = self.init.candidates(name)
        if candidates is None or spec.match is None:
            return "unknown"
        settled = name in self.init and not self.providers.get(name)
        try:
            matches = [self.evaluate(spec.match, value) for value in candidates]
        except Exception:  # noqa: BLE001 - a script that fails here decides nothing; running it will tell (3.1)
            return "unknown"
        return match_verdict(
            spec.collect, any_match=any(matches), all_match=all(matches), settled=settled, contributed=settled
        )

    def _closure(self) -> set[str]:
        """Everything the goals could possibly need: planning never looks at the rest of the catalog."""
        seen = set(self.goals)
        stack = list(self.goals)
        while stack:
            for name in self.steps[stack.pop()].inputs:
                for provider in self.providers.get(name, ()):
                    if provider not in seen:
                        seen.add(provider)
                        stack.append(provider)
        return seen

    def _fixed_point(self) -> tuple[set[str], set[str]]:
        """(steps whose required inputs can all be had, names that can be had). Linear in the closure."""
        available = set(self.init.names())
        satisfiable: set[str] = set()
        lacking: dict[str, set[str]] = {}
        waiting: dict[str, list[str]] = {}
        ready: list[str] = []
        for step_id in self._reachable:
            step = self.steps[step_id]
            if self._blocked(step):
                continue
            lacks = {name for name in _demanded(step) if name not in available}
            if lacks:
                lacking[step_id] = lacks
                for name in lacks:
                    waiting.setdefault(name, []).append(step_id)
            else:
                ready.append(step_id)
        while ready:
            step_id = ready.pop()
            satisfiable.add(step_id)
            for name in self.steps[step_id].outputs:
                if name in available:
                    continue
                available.add(name)
                for waiter in waiting.pop(name, ()):
                    lacking[waiter].discard(name)
                    if not lacking[waiter]:
                        ready.append(waiter)
        return satisfiable, available

    def edges(self) -> dict[str, Edges]:
        """Who writes and reads each attribute, among the included steps."""
        providers: dict[str, list[str]] = {}
        consumers: dict[str, list[str]] = {}
        for step_id in sorted(self.included):
            for name in self.steps[step_id].outputs:
                providers.setdefault(name, []).append(step_id)
        for step_id in sorted(self.included):
            for name in self.steps[step_id].inputs:
                if name in self.init or name in providers:
                    consumers.setdefault(name, []).append(step_id)
        return {
            name: Edges(tuple(providers.get(name, ())), tuple(consumers.get(name, ())))
            for name in sorted({*providers, *consumers})
        }

    def excluded(self) -> Excluded:
        """Why the steps that were looked at and left out are not in the plan."""
        satisfied: dict[str, tuple[str, ...]] = {}
        missing: dict[str, tuple[str, ...]] = {}
        blocked: dict[str, tuple[str, ...]] = {}
        for step_id in sorted(self._considered - self.included):
            step = self.steps[step_id]
            if names := self._blocked(step):
                blocked[step_id] = tuple(names)
            elif self._outputs_given(step):
                satisfied[step_id] = tuple(step.outputs)
            elif names := [name for name in _demanded(step) if name not in self._available]:
                missing[step_id] = tuple(names)
        return Excluded(satisfied=satisfied, missing=missing, blocked=blocked)


def _demanded(step: Step) -> list[str]:
    return [name for name, spec in step.inputs.items() if spec.role == "required" and spec.collect != "none"]


def init_from(values: Mapping[str, list[JSON]]) -> Init:
    """Init as a caller gives it: a list of candidate values a name."""
    return Init(dict(values))
