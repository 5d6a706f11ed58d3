"""Commands on the catalog: register, update and unregister one step, or apply a whole desired set in one append.

Every definition passes the same analysis that editor, CI and agent use. One command at a time, each on the committed
catalog.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from msgspec import Struct

from argyll.analysis.check import check_step
from argyll.analysis.diagnostics import Diagnostic
from argyll.analysis.wiring import check_against
from argyll.engine.errors import (
    IdMismatch,
    InvalidCatalog,
    InvalidRequest,
    InvalidStep,
    SequenceConflict,
    StepConflict,
    StepNotFound,
)
from argyll.engine.folding import fold
from argyll.model.catalog import Catalog, apply_catalog
from argyll.model.events import (
    CatalogApplied,
    Payload,
    StepRegistered,
    StepUnregistered,
    StepUpdated,
    decode_payload,
)
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON, encode
from argyll.model.step import Step, WorkConfig
from argyll.model.wire import canonical_step, step_to_json
from argyll.scripts import Scripts
from argyll.store import Append, Committed, NewEvent, Store

CATALOG = ("catalog",)
MAX_APPLY_STEPS = 20_000
"""Steps one catalog apply may hold."""

_APPLY_KEYS = {"owner", "revision", "expected_sequence", "dry_run", "steps"}


class Difference(Struct, frozen=True):
    """What a desired set changes: ids ascending."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        return not (self.created or self.updated or self.deleted)


class ApplyRequest(Struct, frozen=True):
    """A whole desired set of one owner."""

    owner: str
    steps: dict[str, Step]
    warnings: list[Diagnostic]
    revision: str = ""
    expected_sequence: int | None = None
    dry_run: bool = False


class CatalogCommands:
    """Changes the catalog aggregate. `on_change` is called after each committed change."""

    def __init__(
        self,
        store: Store,
        scripts: Scripts,
        work_defaults: WorkConfig,
        now_us: Callable[[], int],
        on_change: Callable[[Catalog], None],
    ) -> None:
        self._store, self._scripts, self._work_defaults = store, scripts, work_defaults
        self._now_us, self._on_change = now_us, on_change
        self._lock = asyncio.Lock()
        self.catalog = fold(store, CATALOG, Catalog(), apply_catalog)

    async def register(self, value: JSON) -> Step:
        """Add a step; an equal one is there already is fine. Raises `InvalidStep`, `StepConflict`."""
        step, merged = self._checked(value)
        async with self._lock:
            existing = self.catalog.steps.get(step.id)
            if existing is not None:
                if canonical_step(existing) == canonical_step(merged):
                    return step
                raise StepConflict(f"step {step.id!r} already exists with a different definition; update it with PUT")
            await self._change(merged, StepRegistered(step_to_json(merged)))
        return step

    async def update(self, step_id: str, value: JSON) -> Step:
        """Replace a step. Raises `IdMismatch`, `InvalidStep`, `StepNotFound`."""
        wanted = sanitize_id(step_id)
        if isinstance(value, dict) and isinstance(value.get("id"), str) and sanitize_id(value["id"]) != wanted:
            raise IdMismatch(f"step id {value['id']!r} in the body does not match {step_id!r} in the URL")
        step, merged = self._checked(value)
        async with self._lock:
            existing = self.catalog.steps.get(step.id)
            if existing is None:
                raise StepNotFound(f"step {step.id!r} not found")
            if canonical_step(existing) != canonical_step(merged):
                await self._change(merged, StepUpdated(step_to_json(merged)))
        return step

    async def unregister(self, step_id: str) -> None:
        """Remove a step. Raises `StepNotFound`."""
        async with self._lock:
            if step_id not in self.catalog.steps:
                raise StepNotFound(f"step {step_id!r} not found")
            await self._append([StepUnregistered(step_id)])

    async def apply(self, value: JSON) -> JSON:
        """Make the owner's steps exactly those of the request, in one append or not at all (decisions 14).

        Raises `InvalidRequest`, `InvalidCatalog`, `SequenceConflict`.
        """
        request = self._read_apply(value)
        async with self._lock:
            catalog = self.catalog
            if request.expected_sequence is not None and request.expected_sequence != catalog.sequence:
                raise SequenceConflict(
                    f"the catalog is at sequence {catalog.sequence}, expected {request.expected_sequence}; "
                    "read it again and retry"
                )
            difference = self._difference(request)
            changed = [request.steps[step_id] for step_id in difference.created + difference.updated]
            found = check_against(catalog, changed, difference.deleted)
            if any(f.rejects for f in found):
                raise InvalidCatalog(found)
            applied = not request.dry_run and not difference.is_empty
            if applied:
                await self._append(self._apply_events(request, difference))
        warnings = [
            {"step_id": f.step_id, "path": f.json_pointer, "code": f.code, "severity": f.severity, "message": f.text}
            for f in (*request.warnings, *found)
            if f.severity in ("error", "warning")
        ]
        return {
            "applied": applied,
            "sequence": self.catalog.sequence,
            "created": difference.created,
            "updated": difference.updated,
            "deleted": difference.deleted,
            "unchanged": difference.unchanged,
            "warnings": warnings,
        }

    def on_committed(self, committed: Committed) -> None:
        """Follow the log."""
        if committed.aggregate != CATALOG:
            return
        for event in committed.events:
            apply_catalog(self.catalog, decode_payload(event.type, event.data), committed.timestamp_us)
        self._on_change(self.catalog)

    def _checked(self, value: JSON) -> tuple[Step, Step]:
        """The step as given and with work defaults. Raises `InvalidStep`."""
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            value = {**value, "id": sanitize_id(value["id"])}
        step, found = check_step(value, native=False, scripts=self._scripts)
        if step is None or any(f.rejects for f in found):
            raise InvalidStep(found)
        return step, step.with_work_defaults(self._work_defaults)

    async def _change(self, step: Step, event: Payload) -> None:
        found = check_against(self.catalog, [step], ())
        if any(f.rejects for f in found):
            raise InvalidStep(found)
        await self._append([event])

    async def _append(self, events: Sequence[Payload]) -> None:
        encoded = [NewEvent(event.event_type, encode(event)) for event in events]
        await self._store.append(Append(CATALOG, self.catalog.sequence, self._now_us(), encoded))

    def _read_apply(self, value: JSON) -> ApplyRequest:
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
            raise InvalidRequest(f"more than {MAX_APPLY_STEPS} steps in one apply", path="/steps")
        revision, sequence, dry_run = body.get("revision"), body.get("expected_sequence"), body.get("dry_run", False)
        if revision is not None and not isinstance(revision, str):
            raise InvalidRequest("revision must be a text", path="/revision")
        if sequence is not None and (not isinstance(sequence, int) or isinstance(sequence, bool)):
            raise InvalidRequest("expected_sequence must be a whole number", path="/expected_sequence")
        if not isinstance(dry_run, bool):
            raise InvalidRequest("dry_run must be true or false", path="/dry_run")
        checked, warnings = self._check_all(cast(list[JSON], steps))
        return ApplyRequest(owner, checked, warnings, revision or "", sequence, dry_run)

    def _check_all(self, steps: list[JSON]) -> tuple[dict[str, Step], list[Diagnostic]]:
        """Every step of a set with work defaults, and the findings. Raises `InvalidCatalog`."""
        checked: dict[str, Step] = {}
        found: list[Diagnostic] = []
        for position, value in enumerate(steps):
            step, diagnostics = check_step(value, native=False, scripts=self._scripts)
            found += diagnostics
            if step is None:
                continue
            if step.id in checked:
                raise InvalidRequest(f"step {step.id!r} is in the set twice", path=f"/steps/{position}", code="ARG600")
            checked[step.id] = step.with_work_defaults(self._work_defaults)
        if any(f.rejects for f in found):
            raise InvalidCatalog(found)
        return checked, found

    def _difference(self, request: ApplyRequest) -> Difference:
        catalog = self.catalog
        created = [step_id for step_id in request.steps if step_id not in catalog.steps]
        updated = [
            step_id
            for step_id, step in request.steps.items()
            if step_id in catalog.steps and canonical_step(catalog.steps[step_id]) != canonical_step(step)
        ]
        owned = {step_id for step_id, owner in catalog.owners.items() if owner == request.owner}
        deleted = sorted(owned - set(request.steps))
        unchanged = len(request.steps) - len(created) - len(updated)
        return Difference(sorted(created), sorted(updated), deleted, unchanged)

    def _apply_events(self, request: ApplyRequest, difference: Difference) -> list[Payload]:
        events: list[Payload] = [StepRegistered(step_to_json(request.steps[step_id])) for step_id in difference.created]
        events += [StepUpdated(step_to_json(request.steps[step_id])) for step_id in difference.updated]
        events += [StepUnregistered(step_id) for step_id in difference.deleted]
        events.append(
            CatalogApplied(request.owner, difference.created, difference.updated, difference.deleted, request.revision)
        )
        return events
