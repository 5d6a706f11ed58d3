"""An execution plan: the steps that reach some goals, how they are wired, and which were left out and why.

Immutable once made; a flow keeps the plan it started with for life. Making one is `argyll.planning`.
"""

from functools import cached_property, lru_cache
from graphlib import TopologicalSorter

from msgspec import Struct

from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import JSONObject, step_to_json, steps_from_json

PLAN_CACHE_ENTRIES = 4_096
"""How many decoded plans a process keeps; flows with the same plan share one."""


class Edges(Struct, frozen=True):
    """Steps of a plan (or catalog) that write and that read one attribute, ascending."""

    providers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()


class Neighbours(Struct, frozen=True):
    """The steps around one step of a plan: who reads its outputs, who writes its inputs, who writes the same outputs."""

    downstream: frozenset[str]
    upstream: frozenset[str]
    rivals: frozenset[str]


class Excluded(Struct, frozen=True, omit_defaults=True):
    """Steps that were considered and left out: step id to the attribute names that say why.

    `satisfied`: init supplies all these outputs. `missing`: nothing supplies these inputs. `blocked`: init supplies
    these inputs, which the step wants to be absent (`collect: none`).
    """

    satisfied: dict[str, tuple[str, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    blocked: dict[str, tuple[str, ...]] = {}


class Plan(Struct, frozen=True, dict=True, eq=False):
    """What runs to reach `goals`. `required` are the names that init must supply. Every list is ascending but goals."""

    goals: tuple[str, ...]
    required: tuple[str, ...]
    steps: dict[str, Step]
    attributes: dict[str, Edges]
    children: dict[str, "Plan"] = {}
    excluded: Excluded = Excluded()

    @cached_property
    def raw(self) -> bytes:
        """The plan as JSON text; the same bytes stand in the event, the state and every answer."""
        return json.encode(plan_to_json(self))

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Step ids, providers before consumers, ties by id: the order in which a flow looks at its steps."""
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for step_id in sorted(self.steps):
            names = self.steps[step_id].inputs
            sorter.add(step_id, *(p for name in names for p in self.providers(name) if p != step_id))
        sorter.prepare()
        order: list[str] = []
        while sorter.is_active():
            level = sorted(sorter.get_ready())
            order += level
            sorter.done(*level)
        return tuple(order)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each step stands in `order`."""
        return {step_id: index for index, step_id in enumerate(self.order)}

    @cached_property
    def neighbours(self) -> dict[str, Neighbours]:
        """The steps around each step."""
        return {
            step_id: Neighbours(
                downstream=frozenset(c for name in step.outputs for c in self.consumers(name)),
                upstream=frozenset(p for name in step.inputs for p in self.providers(name)),
                rivals=frozenset(p for name in step.outputs for p in self.providers(name)) - {step_id},
            )
            for step_id, step in self.steps.items()
        }

    @cached_property
    def timed(self) -> bool:
        """Whether an optional input has a deadline, so that time alone can start a step."""
        return any(spec.deadline_ms for step in self.steps.values() for spec in step.inputs.values())

    @cached_property
    def memoizable(self) -> frozenset[str]:
        """Steps of the plan whose outputs may be remembered."""
        return frozenset(step_id for step_id, step in self.steps.items() if step.memoizable)

    def providers(self, name: str) -> tuple[str, ...]:
        """Steps of the plan that write an attribute."""
        edges = self.attributes.get(name)
        return edges.providers if edges is not None else ()

    def consumers(self, name: str) -> tuple[str, ...]:
        """Steps of the plan that read an attribute."""
        edges = self.attributes.get(name)
        return edges.consumers if edges is not None else ()


def plan_to_json(plan: Plan) -> JSONObject:
    """The plan as the API shows it (surface.md 1.3)."""
    result: JSONObject = {
        "goals": plan.goals,
        "required": plan.required,
        "steps": {step_id: step_to_json(step) for step_id, step in sorted(plan.steps.items())},
        "attributes": dict(sorted(plan.attributes.items())),
    }
    if plan.children:
        result["children"] = {step_id: plan_to_json(child) for step_id, child in sorted(plan.children.items())}
    result["excluded"] = plan.excluded
    return result


def plan_from_json(value: JSON) -> Plan:
    """The plan that `plan_to_json` described."""
    excluded: JSONObject = value.get("excluded") or {}
    return Plan(
        goals=tuple(value["goals"]),
        required=tuple(value["required"] or ()),
        steps=steps_from_json(value["steps"]),
        attributes={
            name: Edges(tuple(edges["providers"] or ()), tuple(edges["consumers"] or ()))
            for name, edges in value["attributes"].items()
        },
        children={step_id: plan_from_json(child) for step_id, child in (value.get("children") or {}).items()},
        excluded=Excluded(**{kind: {k: tuple(v) for k, v in steps.items()} for kind, steps in excluded.items()}),
    )


@lru_cache(maxsize=PLAN_CACHE_ENTRIES)
def plan_from_raw(raw: bytes) -> Plan:
    """The plan of JSON text; equal texts give the same object."""
    return plan_from_json(json.decode(raw))
