"""A whole desired set of one owner: how the request reads, what it changes, and the events that make it so.

Pure. Revisions with preconditions, deletions by name and guards are `catalog_revisions`.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct

from argyll.analysis.diagnostics import Diagnostic
from argyll.engine.catalog_order import providers_first
from argyll.engine.catalog_ownership import refuse_taking
from argyll.engine.errors import InvalidRequest
from argyll.model.catalog import Catalog
from argyll.model.events import (
    CatalogApplied,
    Payload,
    StepRegistered,
    StepsAdopted,
    StepUnregistered,
    StepUpdated,
)
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import canonical_step, step_to_json

MAX_APPLY_STEPS = 20_000
"""Steps one catalog apply may hold."""

_APPLY_KEYS = {"owner", "revision", "expected_sequence", "dry_run", "steps"}


class ApplyHeader(Struct, frozen=True):
    """Everything of a request but its steps."""

    owner: str
    revision: str = ""
    expected_sequence: int | None = None
    dry_run: bool = False


class Difference(Struct, frozen=True):
    """What a desired set changes: ids ascending."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    adopted: list[str]
    forgotten: list[str]
    """Owned steps that somebody else removed and that are not wanted any more."""
    unchanged: int

    @property
    def is_empty(self) -> bool:
        return not (self.created or self.updated or self.deleted or self.adopted or self.forgotten)


def read_apply(value: JSON) -> tuple[ApplyHeader, list[JSON]]:
    """A request's header and its steps, unread. Raises `InvalidRequest`."""
    if not isinstance(value, dict):
        raise InvalidRequest("a catalog apply is an object with owner and steps")
    body = cast(dict[str, JSON], value)
    unknown = sorted(set(body) - _APPLY_KEYS)
    if unknown:
        raise InvalidRequest(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(_APPLY_KEYS))}")
    owner, steps = body.get("owner"), body.get("steps")
    if not isinstance(owner, str) or not owner:
        raise InvalidRequest("owner must be a non-empty text", path="/owner")
    if not isinstance(steps, list):
        raise InvalidRequest("steps must be a list", path="/steps")
    if len(cast(list[JSON], steps)) > MAX_APPLY_STEPS:
        raise InvalidRequest(f"more than {MAX_APPLY_STEPS} steps in one apply (MAX_APPLY_STEPS)", path="/steps")
    revision, sequence, dry_run = body.get("revision"), body.get("expected_sequence"), body.get("dry_run", False)
    if revision is not None and not isinstance(revision, str):
        raise InvalidRequest("revision must be a text", path="/revision")
    if sequence is not None and (not isinstance(sequence, int) or isinstance(sequence, bool)):
        raise InvalidRequest("expected_sequence must be a whole number", path="/expected_sequence")
    if not isinstance(dry_run, bool):
        raise InvalidRequest("dry_run must be true or false", path="/dry_run")
    return ApplyHeader(owner, revision or "", sequence, dry_run), cast(list[JSON], steps)


def difference_of(catalog: Catalog, owner: str, steps: Mapping[str, Step]) -> Difference:
    """What an owner's desired steps change. Raises `StepOwned` for steps of other owners."""
    refuse_taking(catalog, owner, steps)
    created: list[str] = []
    updated: list[str] = []
    adopted: list[str] = []
    for step_id, step in sorted(steps.items()):
        existing = catalog.steps.get(step_id)
        if existing is None:
            created.append(step_id)
        elif canonical_step(existing) != canonical_step(step):
            updated.append(step_id)
        elif step_id not in catalog.owners:
            adopted.append(step_id)
    gone = [step_id for step_id in catalog.owned_by(owner) if step_id not in steps]
    deleted = [step_id for step_id in gone if step_id in catalog.steps]
    forgotten = [step_id for step_id in gone if step_id not in catalog.steps]
    unchanged = len(steps) - len(created) - len(updated)
    return Difference(created, updated, deleted, adopted, forgotten, unchanged)


def events_of(
    catalog: Catalog, header: ApplyHeader, steps: Mapping[str, Step], difference: Difference
) -> list[Payload]:
    """The events that make the difference, providers first, removals from the consumers' end; none for none."""
    if difference.is_empty:
        return []
    created = frozenset(difference.created)
    events: list[Payload] = []
    for step_id in providers_first(steps[step_id] for step_id in difference.created + difference.updated):
        step = step_to_json(steps[step_id])
        events.append(StepRegistered(step) if step_id in created else StepUpdated(step))
    removed = providers_first(catalog.steps[step_id] for step_id in difference.deleted)
    events += [StepUnregistered(step_id) for step_id in reversed(removed)]
    if difference.adopted:
        events.append(StepsAdopted(header.owner, difference.adopted))
    events.append(
        CatalogApplied(
            header.owner,
            difference.created,
            difference.updated,
            difference.deleted + difference.forgotten,
            header.revision,
            difference.adopted,
        )
    )
    return events


def warnings_of(*findings: Sequence[Diagnostic]) -> list[JSON]:
    """Findings that people should read, as the API tells them."""
    return [
        {"step_id": f.step_id, "path": f.json_pointer, "code": f.code, "severity": f.severity, "message": f.text}
        for found in findings
        for f in found
        if f.severity in ("error", "warning")
    ]
