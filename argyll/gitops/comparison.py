"""Two sets of definitions side by side: which steps differ, in which fields, and what that does to plans and flows.

Compares and says; it changes nothing. Where the sets come from (revisions, a work tree, an engine) is the caller's.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, Protocol, cast

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from argyll.model.catalog import Catalog
from argyll.model.json import JSON
from argyll.model.match import MatchEvaluator
from argyll.model.step import Step
from argyll.model.wire import JSONObject, step_to_flat
from argyll.planning.impact import Impact, changed_steps, plan_impact

FORMAT_VERSION = "1.0"
"""Of the JSON form: a minor number only ever adds members."""

MAX_FLOWS_READ = 500
"""Active flows whose plans are looked into for steps that go away."""

Action = Literal["create", "update", "delete"]


class FieldChange(Struct, frozen=True):
    """One value of a step that differs. `pointer` is RFC 6901 in the flat spelling; UNSET stands for absent."""

    pointer: str
    before: JSON | UnsetType
    after: JSON | UnsetType


class StepChange(Struct, frozen=True):
    """One step that differs. `place` is `file:line` on the side that has it, the later side first; it may be empty."""

    id: str
    action: Action
    place: str = ""
    fields: tuple[FieldChange, ...] = ()


class FlowUse(Struct, frozen=True):
    """Active flows whose plans hold steps that go away; they finish with what they started with.

    `complete` is False when there were more active flows than were read.
    """

    by_step: dict[str, tuple[str, ...]] = {}
    complete: bool = True


class Side(Struct, frozen=True):
    """One of the two sets: its name for people, its steps, and where each is written (`file:line`)."""

    label: str
    catalog: Catalog
    places: Mapping[str, str] = {}


class Comparison(Struct, frozen=True):
    """What differs between two sides, ascending by step id. `flows` is None when no engine was asked."""

    before: str
    after: str
    steps: tuple[StepChange, ...]
    unchanged: int
    impact: Impact
    flows: FlowUse | None = None

    @property
    def removed(self) -> list[str]:
        """Ids of the steps that only the first side has."""
        return [change.id for change in self.steps if change.action == "delete"]

    def with_flows(self, flows: FlowUse) -> "Comparison":
        """The same with what active flows use."""
        return replace(self, flows=flows)

    def to_json(self) -> JSONObject:
        """The comparison for programs."""
        result: JSONObject = {
            "format_version": FORMAT_VERSION,
            "before": self.before,
            "after": self.after,
            "steps": [_change_to_json(change) for change in self.steps],
            "unchanged": self.unchanged,
            "impact": self.impact.to_json(),
        }
        if self.flows is not None:
            by_step = {step_id: list(flows) for step_id, flows in self.flows.by_step.items()}
            result["active_flows"] = {"by_step": by_step, "complete": self.flows.complete}
        return result


def compare(
    before: Side, after: Side, evaluate_match: MatchEvaluator, *, goals: Sequence[str] | None = None
) -> Comparison:
    """What differs between two sides; `goals` limits which plans are looked at (None: the usual ones)."""
    old, new = before.catalog.steps, after.catalog.steps
    changed = sorted(changed_steps(before.catalog, after.catalog))
    return Comparison(
        before=before.label,
        after=after.label,
        steps=tuple(_step_change(step_id, before, after) for step_id in changed),
        unchanged=len(old.keys() | new.keys()) - len(changed),
        impact=plan_impact(before.catalog, after.catalog, evaluate_match, goals=goals),
    )


def catalog_of(steps: Iterable[Step]) -> Catalog:
    """A catalog of these steps."""
    catalog = Catalog()
    for step in steps:
        catalog.put(step)
    return catalog


def like_live(desired: Step, live: Step | None) -> Step:
    """A desired step with the retry settings it leaves open filled in as the engine did when it stored the live one.

    Without this every step would differ from its live form by the engine's own defaults.
    """
    return desired if live is None else desired.with_work_defaults(live.work)


class FlowApi(Protocol):
    """The calls that tell which steps active flows use; `argyll.client.AsyncClient` has them."""

    def flows(self, *, statuses: Sequence[str] | None = None) -> AsyncIterator[dict[str, JSON]]: ...

    async def flow(self, flow_id: str) -> dict[str, JSON]: ...


async def flows_using(api: FlowApi, step_ids: AbstractSet[str], *, limit: int = MAX_FLOWS_READ) -> FlowUse:
    """Which active flows hold which of these steps in their plans; at most `limit` flows are read."""
    using: dict[str, list[str]] = {}
    read = 0
    if not step_ids:
        return FlowUse()
    async for summary in api.flows(statuses=["active"]):
        if read >= limit:
            return FlowUse({step_id: tuple(flows) for step_id, flows in sorted(using.items())}, complete=False)
        read += 1
        state = await api.flow(summary["id"])
        for step_id in step_ids & _planned(state.get("plan") or {}):
            using.setdefault(step_id, []).append(summary["id"])
    return FlowUse({step_id: tuple(flows) for step_id, flows in sorted(using.items())})


def _planned(plan: JSONObject) -> set[str]:
    """Ids of the steps of a plan; child flows are flows of their own."""
    return set(plan.get("steps") or ())


def _step_change(step_id: str, before: Side, after: Side) -> StepChange:
    old, new = before.catalog.steps.get(step_id), after.catalog.steps.get(step_id)
    place = after.places.get(step_id) or before.places.get(step_id, "")
    if old is None:
        return StepChange(step_id, "create", place)
    if new is None:
        return StepChange(step_id, "delete", place)
    return StepChange(step_id, "update", place, tuple(field_changes(step_to_flat(old), step_to_flat(new))))


def field_changes(before: JSON, after: JSON, pointer: str = "") -> Iterable[FieldChange]:
    """The values that differ between two JSON documents, by pointer; a list that differs is one change."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast(JSONObject, before), cast(JSONObject, after)
        for key in sorted(old.keys() | new.keys()):
            below = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            yield from field_changes(old.get(key, UNSET), new.get(key, UNSET), below)
    elif before != after or type(before) is not type(after):
        yield FieldChange(pointer, before, after)


def _change_to_json(change: StepChange) -> JSONObject:
    result: JSONObject = {"id": change.id, "action": change.action, "place": change.place}
    if change.action == "update":
        result["fields"] = [_field_to_json(field) for field in change.fields]
    return result


def _field_to_json(field: FieldChange) -> JSONObject:
    """Absent sides are left out, so that null stays a value."""
    sides: JSONObject = {"before": field.before, "after": field.after}
    return {"pointer": field.pointer} | {name: value for name, value in sides.items() if value is not UNSET}
