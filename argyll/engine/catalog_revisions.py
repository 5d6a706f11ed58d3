"""One revision of one source as a request: how it reads, and what it changes in a catalog.

Pure. A revision carries only what changes, with the hash that each touched step had when the plan was made; whole
desired sets are `catalog_sets`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec
from msgspec import Struct

from argyll.analysis.nearest import did_you_mean
from argyll.engine.catalog_errors import PreconditionFailed, StepOwned, StepUnowned
from argyll.engine.catalog_order import providers_first
from argyll.engine.catalog_sets import MAX_APPLY_STEPS
from argyll.engine.errors import InvalidRequest
from argyll.model.catalog import Catalog
from argyll.model.events import (
    Cause,
    Origin,
    Payload,
    SourceSynced,
    StepRegistered,
    StepsAdopted,
    StepsOrphaned,
    StepUnregistered,
    StepUpdated,
)
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON
from argyll.model.revision import digest, live_hash
from argyll.model.source import Lineage
from argyll.model.step import Step
from argyll.model.wire import JSONObject, step_to_json

MAX_NAME_CHARS = 256
"""A source's id, a revision, an apply's id, a hash, a path."""

_APPLY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class StepEntry(Struct, forbid_unknown_fields=True, frozen=True):
    """A step that is to be as given, and where its author wrote it."""

    step: JSON
    path: str = ""
    doc: int = 0
    line: int = 0
    spec_hash: str = ""


class RevisionRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a source's steps become with a revision. `previous` is the revision that the plan was made on."""

    source: str
    revision: str
    apply_id: str = ""
    previous: str | None = None
    lineage: Lineage = "fast-forward"
    steps: list[StepEntry] = []
    chunks: list[str] = []
    deletes: list[str] = []
    orphans: list[str] = []
    adopts: list[str] = []
    transfers: dict[str, str] = {}
    moved: dict[str, str] = {}
    """Old id to new id of steps that go on under another name: their deletion is no loss."""
    preconditions: dict[str, str | None] = {}
    expected_sequence: int | None = None
    plan_digest: str | None = None
    prune_ack: str | None = None
    dry_run: bool = False
    actor: str = ""


class Change(Struct, frozen=True):
    """What a revision changes in a catalog: ids ascending."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    forgotten: list[str]
    """Owned steps that somebody else removed before."""
    adopted: list[str]
    transferred: list[str]
    orphaned: list[str]
    unchanged: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether no step and no owner changes."""
        return not (
            self.created or self.updated or self.deleted or self.forgotten
            or self.adopted or self.transferred or self.orphaned
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Steps written or deleted."""
        return len(self.created) + len(self.updated) + len(self.deleted)


def read_revision(value: JSON) -> RevisionRequest:
    """A request from JSON. Raises `InvalidRequest` with the place."""
    try:
        request = msgspec.convert(value, RevisionRequest)
    except msgspec.ValidationError as error:
        raise _misfit(cast(JSONObject, value), str(error)) from error
    checks = (
        (sanitize_id(request.source) == request.source != "", "/source", "use a-z 0-9 _ . - + in a source's id"),
        (bool(request.revision), "/revision", "revision must not be empty"),
        (
            bool(_APPLY_ID.fullmatch(request.apply_id)) or (request.dry_run and not request.apply_id),
            "/apply_id",
            "give an apply_id of 1 to 64 letters, digits, '_', '.' or '-', the same for each attempt",
        ),
        (len(request.steps) <= MAX_APPLY_STEPS, "/steps", f"more than {MAX_APPLY_STEPS} steps (MAX_APPLY_STEPS)"),
        (len(request.deletes) <= MAX_APPLY_STEPS, "/deletes", f"more than {MAX_APPLY_STEPS} ids (MAX_APPLY_STEPS)"),
    )
    for holds, path, detail in checks:
        if not holds:
            raise InvalidRequest(detail, path=path)
    for path, text in (("/source", request.source), ("/revision", request.revision), ("/actor", request.actor)):
        if len(text) > MAX_NAME_CHARS:
            raise InvalidRequest(f"longer than {MAX_NAME_CHARS} characters (MAX_NAME_CHARS)", path=path)
    return request


def _misfit(value: JSONObject, text: str) -> InvalidRequest:
    place = re.search(r" - at `\$(.*)`$", text)
    message = text[: place.start()] if place else text
    path = re.sub(r"\[(\d+)\]", r"/\1", place[1]).replace(".", "/") if place else ""
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown and not path:
        known = [field.encode_name for field in msgspec.structs.fields(RevisionRequest)]
        message, path = f"unknown field {unknown[1]!r}; {did_you_mean(unknown[1], known)}", f"/{unknown[1]}"
    return InvalidRequest(message[:1].lower() + message[1:], path=path)


def check_consistent(request: RevisionRequest, step_ids: Iterable[str]) -> None:
    """Whether a request says one thing about each step. Raises `InvalidRequest`."""
    written = set(step_ids)
    gone = set(request.deletes) | set(request.orphans)
    for path, ids, detail in (
        ("/deletes", sorted(written & gone), "is written and let go of in one request"),
        ("/orphans", sorted(set(request.deletes) & set(request.orphans)), "is deleted and orphaned in one request"),
        ("/adopts", sorted(set(request.adopts) - written), "is adopted but not among the steps"),
        ("/transfers", sorted(set(request.transfers) - written), "is transferred but not among the steps"),
        ("/moved", sorted(set(request.moved) - set(request.deletes)), "is moved but not deleted"),
        ("/moved", sorted(set(request.moved.values()) - written), "is moved to but not among the steps"),
        (
            "/preconditions",
            sorted((written | set(request.deletes)) - request.preconditions.keys()),
            "has no precondition; give its live_hash of the index, null for a step that is not there",
        ),
    ):
        if ids:
            raise InvalidRequest(f"step {ids[0]!r} {detail}", path=f"{path}/{ids[0]}")
    if len(set(request.moved.values())) != len(request.moved):
        raise InvalidRequest("two steps are moved to the same id", path="/moved")


def check_preconditions(catalog: Catalog, request: RevisionRequest) -> None:
    """Whether every touched step is as it was when the plan was made. Raises `PreconditionFailed`."""
    found: dict[str, str | None] = {}
    for step_id, expected in request.preconditions.items():
        step = catalog.steps.get(step_id)
        live = live_hash(step) if step is not None else None
        if live != expected:
            found[step_id] = live
    if found:
        raise PreconditionFailed(found)


def change_of(
    catalog: Catalog, request: RevisionRequest, steps: Mapping[str, Step], *, may_take: Iterable[str], adopt: bool
) -> Change:
    """What the request changes. `may_take` are owners that hand steps over; `adopt` takes differing steps of nobody.

    Raises `StepOwned`, `StepUnowned`.
    """
    kinds: dict[str, list[str]] = {"created": [], "updated": [], "adopted": [], "transferred": [], "unchanged": []}
    owned_by_others: dict[str, str] = {}
    unowned: list[str] = []
    givers = set(may_take)
    for step_id, step in sorted(steps.items()):
        existing, owner = catalog.steps.get(step_id), catalog.owners.get(step_id)
        equal = existing is not None and live_hash(existing) == live_hash(step)
        if owner is not None and owner != request.source:
            if request.transfers.get(step_id) != owner or owner not in givers:
                owned_by_others[step_id] = owner
                continue
            kinds["transferred"].append(step_id)
        elif owner is None and existing is not None:
            if equal:
                kinds["adopted"].append(step_id)
            elif not (adopt or step_id in request.adopts):
                unowned.append(step_id)
                continue
        elif equal:
            kinds["unchanged"].append(step_id)
        if not equal:
            kinds["created" if existing is None else "updated"].append(step_id)
    gone = {step_id for step_id in (*request.deletes, *request.orphans) if step_id in catalog.steps}
    owned_by_others |= {
        step_id: owner for step_id in gone if (owner := catalog.owners.get(step_id, request.source)) != request.source
    }
    unowned += sorted(step_id for step_id in gone if step_id not in catalog.owners)
    if owned_by_others:
        raise StepOwned(
            owned_by_others, "name its owner under transfers, and let both sources be of one group, or leave it out"
        )
    if unowned:
        raise StepUnowned(unowned)
    mine = sorted(step_id for step_id in {*request.deletes} if catalog.owners.get(step_id) == request.source)
    return Change(
        **kinds,
        deleted=[step_id for step_id in mine if step_id in catalog.steps],
        forgotten=[step_id for step_id in mine if step_id not in catalog.steps],
        orphaned=sorted({*request.orphans} & catalog.owners.keys()),
    )


def plan_digest(catalog: Catalog, source: str, steps: Mapping[str, Step], change: Change) -> str:
    """The name of what would happen: equal for equal plans, whatever the revision is called."""
    return digest(
        {
            "source": source,
            "writes": {step_id: live_hash(steps[step_id]) for step_id in change.created + change.updated},
            "deletes": {step_id: live_hash(catalog.steps[step_id]) for step_id in change.deleted},
            "adopts": change.adopted,
            "transfers": change.transferred,
            "orphans": change.orphaned,
        }
    )


def origins_of(entries: Mapping[str, StepEntry], steps: Mapping[str, Step]) -> dict[str, Origin]:
    """Where each step of a revision is defined, and its hashes."""
    return {
        step_id: Origin(entry.path, entry.doc, entry.line, entry.spec_hash, live_hash(steps[step_id]))
        for step_id, entry in sorted(entries.items())
    }


def events_of(
    catalog: Catalog,
    request: RevisionRequest,
    steps: Mapping[str, Step],
    change: Change,
    origins: dict[str, Origin],
    digest_of_plan: str,
) -> list[Payload]:
    """The events that make a change: providers first, deletions from the consumers' end, and the one that closes them."""
    cause = Cause(request.source, request.revision)
    created = frozenset(change.created)
    events: list[Payload] = []
    for step_id in providers_first(steps[step_id] for step_id in change.created + change.updated):
        step = step_to_json(steps[step_id])
        events.append(StepRegistered(step, cause) if step_id in created else StepUpdated(step, cause))
    removed = providers_first(catalog.steps[step_id] for step_id in change.deleted)
    events += [StepUnregistered(step_id, cause) for step_id in reversed(removed)]
    if change.adopted:
        events.append(StepsAdopted(request.source, change.adopted))
    if change.orphaned:
        events.append(StepsOrphaned(request.source, change.orphaned))
    events.append(
        SourceSynced(
            source=request.source,
            revision=request.revision,
            apply_id=request.apply_id,
            previous=request.previous or "",
            lineage=request.lineage,
            plan_digest=digest_of_plan,
            created=change.created,
            updated=change.updated,
            deleted=sorted(change.deleted + change.forgotten),
            adopted=change.adopted,
            transferred=change.transferred,
            orphaned=change.orphaned,
            origins=origins,
            actor=request.actor,
        )
    )
    return events
