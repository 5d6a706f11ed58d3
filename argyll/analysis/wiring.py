"""What steps mean together: types across a wire, circles of attributes, circles of flow goals, goals that are no step.

Works on a catalog with changes laid over it, from the changed steps only, so that checking one step against a large
catalog costs what the step's surroundings cost. Everything is linear in the graph.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from argyll.analysis.circles import circles
from argyll.analysis.diagnostics import Diagnostic, Related, finding
from argyll.analysis.nearest import did_you_mean
from argyll.model.catalog import Catalog
from argyll.model.step import Step

MAX_RELATED = 5
"""Further places that one finding names; a hub attribute may have thousands."""
MAX_NAMES_FOR_HINTS = 2_000
"""Among more names than this, no nearest one is looked for."""

Node = tuple[str, str]
"""`("step", id)` or `("attribute", name)`: both kinds together, so that a hub has as many edges as it has steps."""


def check_against(
    catalog: Catalog, changed: Sequence[Step], removed: Iterable[str] = (), *, complete: bool = False
) -> list[Diagnostic]:
    """Findings of a catalog once `changed` steps are registered (or replaced) and `removed` ones are gone.

    Only findings that involve a change are reported. `complete` says that nothing will be registered later, as in a
    repository: unknown goals are then errors, else warnings (decisions 15).
    """
    view = View(catalog, changed, removed)
    findings = [*_duplicates(changed), *_type_conflicts(view), *_attribute_circles(view), *_goal_circles(view)]
    for found in _unknown_goals(view):
        findings.append(found if complete else replace(found, severity="warning"))
    return findings


class View:
    """A catalog with changes laid over it, without copying it."""

    def __init__(self, catalog: Catalog, changed: Sequence[Step], removed: Iterable[str] = ()) -> None:
        self._catalog = catalog
        self.changed = {step.id: step for step in changed}
        self.removed = frozenset(removed) - self.changed.keys()
        self._hidden = self.removed | self.changed.keys()
        self._providers: dict[str, list[str]] = {}
        self._consumers: dict[str, list[str]] = {}
        for step in self.changed.values():
            for name in step.outputs:
                self._providers.setdefault(name, []).append(step.id)
            for name in step.inputs:
                self._consumers.setdefault(name, []).append(step.id)

    def step(self, step_id: str) -> Step | None:
        """A step as it will be."""
        if step_id in self._hidden:
            return self.changed.get(step_id)
        return self._catalog.steps.get(step_id)

    def ids(self) -> list[str]:
        """Ids of all steps, ascending."""
        return sorted((self._catalog.steps.keys() - self.removed) | self.changed.keys())

    def providers(self, name: str) -> list[str]:
        """Ids of the steps that write an attribute."""
        return self._edges(self._catalog.providers, self._providers, name)

    def consumers(self, name: str) -> list[str]:
        """Ids of the steps that read an attribute."""
        return self._edges(self._catalog.consumers, self._consumers, name)

    def _edges(self, base: dict[str, set[str]], over: dict[str, list[str]], name: str) -> list[str]:
        own, ids = over.get(name, []), base.get(name)
        return [*own, *(step_id for step_id in ids if step_id not in self._hidden)] if ids else own

    def referring(self, goals: frozenset[str]) -> Iterator[Step]:
        """Unchanged flow steps that name one of these goals."""
        for step in self._catalog.steps.values():
            if step.flow_goals and step.id not in self._hidden and not goals.isdisjoint(step.flow_goals):
                yield step


def provided_type(step: Step, name: str) -> str | None:
    """The effective type of an output: what consumers receive. None when anything may come (decisions 47)."""
    declared = step.outputs[name].type
    if any(spec.for_each for spec in step.inputs.values()):
        return "array"
    return declared if declared != "any" else None


def expected_type(step: Step, name: str) -> str | None:
    """The type that an input's single provider must deliver; None when anything goes, or when it collects several."""
    spec = step.inputs[name]
    return spec.type if spec.type != "any" and spec.collect in ("first", "last") else None


class _Side(NamedTuple):
    step_id: str
    type: str
    verb: str


def _duplicates(changed: Sequence[Step]) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for step in changed:
        if step.id in seen:
            message = f"step `{step.id}` is defined twice"
            yield finding("ARG600", message, ("id",), hint="rename or remove one of the two", step_id=step.id)
        seen.add(step.id)


def _type_conflicts(view: View) -> Iterator[Diagnostic]:
    for name in sorted({name for step in view.changed.values() for name, spec in step.attributes.items() if spec.type}):
        clashing = _clashing(view, name)
        if not clashing:
            continue
        consumer, provider = clashing[0]
        changed_first = sorted((consumer, provider), key=lambda side: side.step_id not in view.changed)
        others = [side for pair in clashing[1:] for side in pair if side not in changed_first]
        others = list(dict.fromkeys(others))
        message = f"`{name}` is {provider.type} from `{provider.step_id}`, but {consumer.type} for `{consumer.step_id}`"
        if len(others) > MAX_RELATED - 1:
            message += f" (and {len(others)} more steps disagree)"
        yield finding(
            "ARG603",
            message,
            ("attributes", name, "type"),
            hint=_type_hint(view, provider, consumer, name),
            step_id=changed_first[0].step_id,
            related=[_related(side, name) for side in [changed_first[1], *others[: MAX_RELATED - 1]]],
            label=_related(changed_first[0], name).message,
        )


def _related(side: _Side, name: str) -> Related:
    return Related(f"`{side.step_id}` {side.verb} {side.type}", side.step_id, ("attributes", name, "type"), "value")


def _type_hint(view: View, provider: _Side, consumer: _Side, name: str) -> str:
    step = view.step(provider.step_id)
    if step is not None and provider.type == "array" and step.outputs[name].type != "array":
        return f"`{provider.step_id}` runs for each element, so it provides an array: declare `type: array` where it is read"
    return f"change one of the types, or leave it out in `{consumer.step_id}`"


def _clashing(view: View, name: str) -> list[tuple[_Side, _Side]]:
    """Consumers with a provider that disagrees, where one of the two is changed; consumers ascending."""
    provided: dict[str, list[str]] = {}
    provided_by_changed: dict[str, list[str]] = {}
    for step_id in sorted(view.providers(name)):
        step = view.step(step_id)
        declared = provided_type(step, name) if step is not None else None
        if declared is not None:
            provided.setdefault(declared, []).append(step_id)
            if step_id in view.changed:
                provided_by_changed.setdefault(declared, []).append(step_id)
    if not provided:
        return []
    clashing: list[tuple[_Side, _Side]] = []
    for step_id in sorted(view.consumers(name)):
        step = view.step(step_id)
        expected = expected_type(step, name) if step is not None else None
        if expected is None:
            continue
        candidates = provided if step_id in view.changed else provided_by_changed
        other = next((declared for declared in candidates if declared != expected), None)
        if other is not None:
            pair = _Side(step_id, expected, "expects"), _Side(candidates[other][0], other, "provides")
            clashing.append(pair)
    return clashing


def _attribute_circles(view: View) -> Iterator[Diagnostic]:
    def needs(node: Node) -> Iterable[Node]:
        kind, name = node
        if kind == "attribute":
            return [("step", step_id) for step_id in sorted(view.providers(name))]
        step = view.step(name)
        return [("attribute", inner) for inner in step.inputs] if step is not None else []

    # A step can only be part of a circle when it has something before it and something after it.
    roots: list[Node] = [
        ("step", step.id)
        for step in sorted(view.changed.values(), key=lambda step: step.id)
        if any(view.providers(name) for name in step.inputs) and any(view.consumers(name) for name in step.outputs)
    ]
    for circle in circles(roots, needs):
        steps, names = [name for _, name in circle[::2]], [name for _, name in circle[1::2]]
        following = [*steps[1:], steps[0]]
        hops = [
            f"`{step}` needs `{name}` of `{other}`" for step, name, other in zip(steps, names, following, strict=True)
        ]
        yield finding(
            "ARG605",
            "steps wait for each other: " + ", ".join(hops),
            ("attributes", names[0]),
            hint="rename an output, or take one of the inputs out",
            at="key",
            step_id=steps[0],
            related=[
                Related(f"`{step}` needs `{name}`", step, ("attributes", name))
                for step, name in zip(steps[1:], names[1:], strict=True)
            ],
            label=f"`{steps[0]}` needs `{names[0]}`" if len(steps) > 1 else "",
        )


def _goal_circles(view: View) -> Iterator[Diagnostic]:
    def goals(step_id: str) -> Iterable[str]:
        step = view.step(step_id)
        return step.flow_goals if step is not None else ()

    roots = sorted(step_id for step_id, step in view.changed.items() if step.flow_goals)
    for circle in circles(roots, goals):
        path = " → ".join(f"`{step_id}`" for step_id in [*circle, circle[0]])
        yield finding(
            "ARG701",
            f"flow steps contain each other: {path}" if len(circle) > 1 else f"flow step `{circle[0]}` is its own goal",
            ("flow", "goals"),
            hint="take one of the goals out",
            at="key",
            step_id=circle[0],
            related=[Related(_goals_label(view, step_id), step_id, ("flow", "goals")) for step_id in circle[1:]],
            label=_goals_label(view, circle[0]) if len(circle) > 1 else "",
        )


def _goals_label(view: View, step_id: str) -> str:
    step = view.step(step_id)
    return f"`{step_id}` contains {', '.join(f'`{goal}`' for goal in (step.flow_goals if step is not None else ()))}"


def _unknown_goals(view: View) -> Iterator[Diagnostic]:
    for step in view.changed.values():
        for index, goal in enumerate(step.flow_goals):
            if view.step(goal) is None:
                ids = view.ids()
                hint = did_you_mean(goal, ids) if len(ids) <= MAX_NAMES_FOR_HINTS else ""
                message = f"goal `{goal}` of `{step.id}` is no step"
                yield finding("ARG700", message, ("flow", "goals", index), hint=hint, step_id=step.id)
    if view.removed:
        for step in view.referring(view.removed):
            for index, goal in enumerate(step.flow_goals):
                if goal in view.removed:
                    message = f"goal `{goal}` of `{step.id}` is being removed"
                    hint = f"remove it from the goals of `{step.id}` as well"
                    yield finding("ARG700", message, ("flow", "goals", index), hint=hint, step_id=step.id)
