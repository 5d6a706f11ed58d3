"""Applying revisions of sources: one commit or nothing, the same answer for every attempt at the same apply.

The order of the checks is the order in which a caller can mend things: who is stopped, what is stale, what belongs to
others, what is wrong, what needs a person.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from argyll.analysis.diagnostics import Diagnostic
from argyll.analysis.wiring import check_against
from argyll.engine.catalog import CATALOG, CatalogCommands
from argyll.engine.catalog_errors import (
    ApplyNotFound,
    ApprovalNeeded,
    ChunksMissing,
    Finding,
    InvalidRevision,
    NotAllowed,
    StaleRevision,
)
from argyll.engine.catalog_guards import not_allowed, objections, overrulable
from argyll.engine.catalog_ownership import Rules
from argyll.engine.catalog_revisions import (
    Change,
    RevisionRequest,
    StepEntry,
    change_of,
    check_consistent,
    check_preconditions,
    events_of,
    origins_of,
    plan_digest,
    read_revision,
)
from argyll.engine.catalog_sets import MAX_APPLY_STEPS, warnings_of
from argyll.engine.catalog_staging import Staging
from argyll.engine.errors import EngineError, InvalidRequest, SequenceConflict, Unavailable
from argyll.model.catalog import Applied, Catalog
from argyll.model.events import Payload, SourceSynced, decode_payload
from argyll.model.json import JSON
from argyll.model.revision import live_hash
from argyll.model.source import SourceConfig
from argyll.model.step import Step
from argyll.store import Store

MAX_REJECTIONS = 256
"""Refused applies that a node remembers, for callers that missed the answer."""


class _Batch(NamedTuple):
    """A request whose steps are read and sound."""

    request: RevisionRequest
    steps: Mapping[str, Step]
    entries: Mapping[str, StepEntry]
    findings: Sequence[Diagnostic]


class _Decided(NamedTuple):
    """What a request amounts to now."""

    change: Change
    plan_digest: str
    wiring: Sequence[Diagnostic]
    blocked: Sequence[Finding]
    applied: bool


class Revisions:
    """Applies revisions, and knows what became of them."""

    def __init__(self, store: Store, commands: CatalogCommands, rules: Rules) -> None:
        self._store, self._commands, self._rules = store, commands, rules
        self._rejected: OrderedDict[str, JSON] = OrderedDict()
        self.staging = Staging()

    async def apply(self, value: JSON) -> JSON:
        """Apply a revision, or say what it would do. An apply that was committed before is answered as then.

        Raises `InvalidRequest`, `SourceStopped`, `StaleRevision`, `SequenceConflict`, `PreconditionFailed`, `ChunksMissing`,
        `StepOwned`, `StepUnowned`, `NotAllowed`, `InvalidRevision`, `ApprovalNeeded`.
        """
        request = read_revision(value)
        try:
            return await self._apply(request)
        except EngineError as error:
            if not request.dry_run and not isinstance(error, ChunksMissing | Unavailable):
                self._remember(request.apply_id, error)
            raise

    async def outcome(self, apply_id: str) -> JSON:
        """What became of an apply: `committed`, `staged` or `rejected`. Raises `ApplyNotFound`."""
        for mark in self._commands.catalog.sources.values():
            for applied in mark.applies:
                if applied.apply_id == apply_id:
                    return {"state": "committed"} | await self._told(applied)
        if apply_id in self._rejected:
            return {"state": "rejected", "apply_id": apply_id} | self._rejected[apply_id]
        staged = self.staging.count(apply_id)
        if staged:
            return {"state": "staged", "apply_id": apply_id, "chunks": staged}
        raise ApplyNotFound(f"this node knows no apply {apply_id!r}: it is not committed; send it again")

    async def _apply(self, request: RevisionRequest) -> JSON:
        earlier = _earlier(self._commands.catalog, request)
        if earlier is not None:
            return await self._told(earlier)
        batch = await self._read(request)
        decided = await self._commands.commit(lambda catalog: self._decide(catalog, batch))
        if isinstance(decided, Applied):
            return await self._told(decided)
        if decided.applied:
            self._rejected.pop(request.apply_id, None)
            self.staging.drop(request.apply_id)
            await self._rules.applied(request.source, request.revision)
        return self._answer(batch, decided)

    async def _read(self, request: RevisionRequest) -> _Batch:
        """The request with its steps checked. Raises `InvalidRequest`, `ChunksMissing`, `InvalidRevision`."""
        entries = [*request.steps, *self.staging.entries(request.apply_id, request.chunks)]
        if len(entries) > MAX_APPLY_STEPS:
            raise InvalidRequest(f"more than {MAX_APPLY_STEPS} steps in one apply (MAX_APPLY_STEPS)", path="/chunks")
        steps, findings = await self._commands.check_all([entry.step for entry in entries], "/steps/{}/step")
        if any(found.rejects for found in findings):
            raise InvalidRevision(findings)
        check_consistent(request, steps)
        by_id = {entry.step["id"]: entry for entry in entries}
        return _Batch(request, steps, by_id, findings)

    def _decide(self, catalog: Catalog, batch: _Batch) -> tuple[Sequence[Payload], Applied | _Decided]:
        request, steps = batch.request, batch.steps
        earlier = _earlier(catalog, request)
        if earlier is not None:
            return [], earlier
        if request.lineage != "rollback":
            # Suspending is how people keep an agent from undoing what they do by hand, such as this.
            self._rules.refuse_if_stopped(request.source, request.revision)
        _check_current(catalog, request)
        config = self._rules.config(request.source)
        givers = self._rules.givers(request.source)
        change = change_of(catalog, request, steps, may_take=givers, adopt=config.adopt)
        wiring = self._check(catalog, batch, change, config)
        digest = plan_digest(catalog, request.source, steps, change)
        if request.plan_digest is not None and request.plan_digest != digest:
            raise InvalidRequest(f"the plan of this request is {digest}; plan again", path="/plan_digest")
        blocked = objections(catalog, request.source, config.prune, steps, change, request.moved)
        if not request.dry_run:
            self._refuse_unapproved(request, digest, blocked)
        origins = origins_of(batch.entries, steps)
        mark = catalog.sources.get(request.source)
        news = (
            not change.is_empty
            or mark is None
            or mark.revision != request.revision
            or any(catalog.origins.get(step_id) != origin for step_id, origin in origins.items())
        )
        applied = news and not request.dry_run
        events = events_of(catalog, request, steps, change, origins, digest) if applied else []
        return events, _Decided(change, digest, wiring, blocked, applied)

    def _check(self, catalog: Catalog, batch: _Batch, change: Change, config: SourceConfig) -> Sequence[Diagnostic]:
        """The catalog as it will be. Raises `NotAllowed`, `InvalidRevision`."""
        touched = sorted({*change.created, *change.updated, *change.adopted, *change.transferred})
        breaches = not_allowed(config.allow, (batch.steps[step_id] for step_id in touched))
        if breaches:
            raise NotAllowed(batch.request.source, breaches)
        changed = [batch.steps[step_id] for step_id in change.created + change.updated]
        wiring = check_against(catalog, changed, change.deleted)
        if any(found.rejects for found in wiring):
            raise InvalidRevision(wiring)
        return wiring

    def _refuse_unapproved(self, request: RevisionRequest, digest: str, blocked: Sequence[Finding]) -> None:
        approved = request.prune_ack == digest and self._rules.is_approved(request.source, digest)
        if blocked and not (approved and overrulable(blocked)):
            raise ApprovalNeeded(request.source, digest, blocked)

    def _answer(self, batch: _Batch, decided: _Decided) -> dict[str, JSON]:
        request, change, catalog = batch.request, decided.change, self._commands.catalog
        mark = catalog.sources.get(request.source)
        written = sorted({*change.created, *change.updated, *change.adopted, *change.transferred})
        return {
            "applied": decided.applied,
            "duplicate": False,
            "sequence": mark.applies[-1].sequence if decided.applied and mark is not None else catalog.sequence,
            "apply_id": request.apply_id,
            "source": request.source,
            "revision": request.revision,
            "previous": request.previous,
            "plan_digest": decided.plan_digest,
            "created": change.created,
            "updated": change.updated,
            "deleted": change.deleted,
            "adopted": change.adopted,
            "transferred": change.transferred,
            "orphaned": change.orphaned,
            "unchanged": len(change.unchanged),
            "live_hashes": {step_id: live_hash(batch.steps[step_id]) for step_id in written},
            "blocked": list(decided.blocked),
            "warnings": warnings_of(batch.findings, decided.wiring),
        }

    async def _told(self, applied: Applied) -> dict[str, JSON]:
        """The answer to an apply that was committed before, from the event that closed it."""
        (record,) = await self._store.events(CATALOG, applied.sequence, 1)
        event = decode_payload(record.type, record.data)
        if not isinstance(event, SourceSynced):
            raise AssertionError(f"catalog event {applied.sequence} closes no revision")
        return {
            "applied": True,
            "duplicate": True,
            "sequence": applied.sequence,
            "apply_id": applied.apply_id,
            "source": event.source,
            "revision": event.revision,
            "previous": event.previous or None,
            "plan_digest": event.plan_digest,
            "created": event.created,
            "updated": event.updated,
            "deleted": event.deleted,
            "adopted": event.adopted,
            "transferred": event.transferred,
            "orphaned": event.orphaned,
            "unchanged": 0,
            "live_hashes": {step_id: origin.live_hash for step_id, origin in event.origins.items()},
            "blocked": [],
            "warnings": [],
        }

    def _remember(self, apply_id: str, error: EngineError) -> None:
        refusal = {"status": error.status, "title": error.title, "detail": error.detail, "errors": error.errors}
        self._rejected[apply_id] = refusal
        self._rejected.move_to_end(apply_id)
        if len(self._rejected) > MAX_REJECTIONS:
            self._rejected.popitem(last=False)


def _earlier(catalog: Catalog, request: RevisionRequest) -> Applied | None:
    """The commit of this very apply, if there was one."""
    mark = catalog.sources.get(request.source)
    if mark is None or request.dry_run:
        return None
    return next((applied for applied in reversed(mark.applies) if applied.apply_id == request.apply_id), None)


def _check_current(catalog: Catalog, request: RevisionRequest) -> None:
    """Whether the plan was made on this catalog. Raises `StaleRevision`, `SequenceConflict`, `PreconditionFailed`."""
    mark = catalog.sources.get(request.source)
    revision = mark.revision if mark is not None else ""
    if (request.previous or "") != revision:
        raise StaleRevision(request.source, request.previous or "", revision)
    if request.expected_sequence is not None and request.expected_sequence != catalog.sequence:
        raise SequenceConflict(
            f"the catalog is at sequence {catalog.sequence}, expected {request.expected_sequence}; "
            "read it again and retry"
        )
    check_preconditions(catalog, request)
