"""Commands on the catalog: register, update and unregister one step, or make one owner's steps a whole desired set.

Every definition passes the same analysis that editor, CI and agent use. One command at a time, each on the committed
catalog.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from argyll.analysis.check import check_step
from argyll.analysis.diagnostics import Diagnostic
from argyll.analysis.wiring import check_against
from argyll.engine.catalog_errors import ApprovalNeeded, NotAllowed
from argyll.engine.catalog_guards import not_allowed, objections, overrulable
from argyll.engine.catalog_ownership import NOBODY, Rules, Writer, foreign_write
from argyll.engine.catalog_revisions import Change, plan_digest
from argyll.engine.catalog_sets import ApplyHeader, Difference, difference_of, events_of, read_apply, warnings_of
from argyll.engine.errors import (
    IdMismatch,
    InvalidCatalog,
    InvalidRequest,
    InvalidStep,
    SequenceConflict,
    StepConflict,
    StepNotFound,
    TooLarge,
    Unavailable,
)
from argyll.engine.folding import fold
from argyll.model.catalog import Catalog, apply_catalog
from argyll.model.events import Payload, StepRegistered, StepUnregistered, StepUpdated, decode_payload
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON, encode
from argyll.model.step import Step, WorkConfig
from argyll.model.wire import canonical_step, step_to_json
from argyll.scripts import Scripts
from argyll.store import Append, Committed, Conflict, EntryTooLarge, NewEvent, Store

CATALOG = ("catalog",)
MAX_COMMAND_TRIES = 8
"""How often a command is decided anew because another append came first."""
CHECKED_AT_ONCE = 100
"""Steps checked between two turns of the loop."""

Decided = TypeVar("Decided")
Decision = Callable[[Catalog], tuple[Sequence[Payload], Decided]]
"""From the committed catalog to events and an answer; raises what it refuses. May be asked again."""


class CatalogCommands:
    """Changes the catalog aggregate. `on_change` is called after each committed change."""

    def __init__(
        self,
        store: Store,
        scripts: Scripts,
        work_defaults: WorkConfig,
        now_us: Callable[[], int],
        on_change: Callable[[Catalog], None],
        rules: Callable[[], Rules],
    ) -> None:
        self._store, self._scripts, self._work_defaults = store, scripts, work_defaults
        self._now_us, self._on_change, self._rules = now_us, on_change, rules
        self._lock = asyncio.Lock()
        self.catalog = fold(store, CATALOG, Catalog(), apply_catalog)

    async def register(self, value: JSON, by: Writer = NOBODY) -> Step:
        """Add a step; an equal one is there already is fine.

        Raises `InvalidStep`, `StepConflict`; for a step that has an owner `StepOwned`, `WriteIgnored`.
        """
        step, merged = self._checked(value)

        def decide(catalog: Catalog) -> tuple[Sequence[Payload], None]:
            existing = catalog.steps.get(step.id)
            if existing is None:
                before = foreign_write(catalog, self._rules(), step.id, "registered", by)
                self._check_wiring(merged)
                return [*before, StepRegistered(step_to_json(merged))], None
            if canonical_step(existing) == canonical_step(merged):
                return [], None
            # An owned one is no conflict of definitions that an update would solve: say so first.
            before = foreign_write(catalog, self._rules(), step.id, "updated", by)
            if not (before and by.override):
                raise StepConflict(f"step {step.id!r} already exists with a different definition; update it with PUT")
            self._check_wiring(merged)
            return [*before, StepUpdated(step_to_json(merged))], None

        await self.commit(decide)
        return step

    async def update(self, step_id: str, value: JSON, by: Writer = NOBODY) -> Step:
        """Replace a step.

        Raises `IdMismatch`, `InvalidStep`, `StepNotFound`; for a step that has an owner `StepOwned`, `WriteIgnored`.
        """
        wanted = sanitize_id(step_id)
        if isinstance(value, dict) and isinstance(value.get("id"), str) and sanitize_id(value["id"]) != wanted:
            raise IdMismatch(f"step id {value['id']!r} in the body does not match {step_id!r} in the URL")
        step, merged = self._checked(value)

        def decide(catalog: Catalog) -> tuple[Sequence[Payload], None]:
            existing = catalog.steps.get(step.id)
            if existing is None:
                raise StepNotFound(f"step {step.id!r} not found")
            if canonical_step(existing) == canonical_step(merged):
                return [], None
            before = foreign_write(catalog, self._rules(), step.id, "updated", by)
            self._check_wiring(merged)
            return [*before, StepUpdated(step_to_json(merged))], None

        await self.commit(decide)
        return step

    async def unregister(self, step_id: str, by: Writer = NOBODY) -> None:
        """Remove a step. Raises `StepNotFound`; for a step that has an owner `StepOwned`, `WriteIgnored`."""

        def decide(catalog: Catalog) -> tuple[Sequence[Payload], None]:
            if step_id not in catalog.steps:
                raise StepNotFound(f"step {step_id!r} not found")
            before = foreign_write(catalog, self._rules(), step_id, "unregistered", by)
            return [*before, StepUnregistered(step_id)], None

        await self.commit(decide)

    async def apply(self, value: JSON) -> JSON:
        """Make the owner's steps exactly those of the request, in one append or not at all (decisions 14).

        What the owner's source is configured to, and whether it is stopped, counts here too. Raises `InvalidRequest`,
        `InvalidCatalog`, `SequenceConflict`, `StepOwned`, `SourceStopped`, `NotAllowed`, `ApprovalNeeded`.
        """
        header, values = read_apply(value)
        steps, found = await self.check_all(values, "/steps/{}")
        if any(f.rejects for f in found):
            raise InvalidCatalog(found)

        def decide(catalog: Catalog) -> tuple[Sequence[Payload], tuple[Difference, bool, list[Diagnostic]]]:
            expected = header.expected_sequence
            if expected is not None and expected != catalog.sequence:
                raise SequenceConflict(
                    f"the catalog is at sequence {catalog.sequence}, expected {expected}; read it again and retry"
                )
            self._rules().refuse_if_stopped(header.owner, header.revision)
            difference = difference_of(catalog, header.owner, steps)
            changed = [steps[step_id] for step_id in difference.created + difference.updated]
            wiring = check_against(catalog, changed, difference.deleted)
            if any(f.rejects for f in wiring):
                raise InvalidCatalog(wiring)
            if self._rules().is_configured(header.owner):
                self._guard(catalog, header, steps, difference)
            events = [] if header.dry_run else events_of(catalog, header, steps, difference)
            return events, (difference, bool(events), wiring)

        difference, applied, wiring = await self.commit(decide)
        if applied:
            await self._rules().applied(header.owner, header.revision)
        return {
            "applied": applied,
            "sequence": self.catalog.sequence,
            "created": difference.created,
            "updated": difference.updated,
            "deleted": difference.deleted,
            "adopted": difference.adopted,
            "unchanged": difference.unchanged,
            "warnings": warnings_of(found, wiring),
        }

    def _guard(self, catalog: Catalog, header: ApplyHeader, steps: Mapping[str, Step], difference: Difference) -> None:
        """Hold a set to its source's configuration. Raises `NotAllowed`, `ApprovalNeeded`."""
        config = self._rules().config(header.owner)
        written = (*difference.created, *difference.updated, *difference.adopted)
        breaches = not_allowed(config.allow, (steps[step_id] for step_id in written))
        if breaches:
            raise NotAllowed(header.owner, breaches)
        change = Change(
            difference.created, difference.updated, difference.deleted, difference.forgotten, difference.adopted,
            transferred=[], orphaned=[], unchanged=[],
        )  # fmt: skip
        found = [] if header.dry_run else objections(catalog, header.owner, config.prune, steps, change, {})
        digest = plan_digest(catalog, header.owner, steps, change)
        if found and not (self._rules().is_approved(header.owner, digest) and overrulable(found)):
            raise ApprovalNeeded(header.owner, digest, found)

    async def commit(self, decide: Decision[Decided]) -> Decided:
        """Append what is decided on the committed catalog; decided again when another append came first.

        Raises what `decide` and the store raise, `TooLarge`, `Unavailable`.
        """
        async with self._lock:
            for _ in range(MAX_COMMAND_TRIES):
                events, decided = decide(self.catalog)
                if not events or await self._appended(events):
                    return decided
        raise Unavailable(f"the command on the catalog lost {MAX_COMMAND_TRIES} races", retry_after_s=1)

    async def check_all(self, values: Sequence[JSON], place: str) -> tuple[dict[str, Step], list[Diagnostic]]:
        """Every step of a set that can be read, with work defaults, and all findings. `place` makes a position a path.

        The loop turns in between. Raises `InvalidRequest` for a step that is in the set twice.
        """
        checked: dict[str, Step] = {}
        found: list[Diagnostic] = []
        for position, value in enumerate(values):
            if position % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            step, diagnostics = check_step(value, native=False, scripts=self._scripts)
            found += diagnostics
            if step is None:
                continue
            if step.id in checked:
                raise InvalidRequest(
                    f"step {step.id!r} is in the set twice", path=place.format(position), code="ARG600"
                )
            checked[step.id] = step.with_work_defaults(self._work_defaults)
        return checked, found

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

    def _check_wiring(self, step: Step) -> None:
        found = check_against(self.catalog, [step], ())
        if any(f.rejects for f in found):
            raise InvalidStep(found)

    async def _appended(self, events: Sequence[Payload]) -> bool:
        """Append on top of the committed catalog. False when that lost against another append."""
        encoded = [NewEvent(event.event_type, encode(event)) for event in events]
        try:
            await self._store.append(Append(CATALOG, self.catalog.sequence, self._now_us(), encoded))
        except Conflict:
            return False
        except EntryTooLarge as error:
            raise TooLarge(str(error)) from error
        return True
