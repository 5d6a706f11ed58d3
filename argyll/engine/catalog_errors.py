"""What can go wrong with whole revisions, owned steps and sources, beside what any request can do wrong.

Each finding has the step it is about; codes are stable.
"""

from collections.abc import Mapping, Sequence

from argyll.engine.errors import EngineError, InvalidCatalog
from argyll.model.json import JSON
from argyll.model.step import Step

Finding = dict[str, JSON]


def finding(path: str, code: str, message: str, **more: JSON) -> Finding:
    """One entry of a problem's `errors`."""
    return {"path": path, "code": code, "message": message} | more


class WriteIgnored(Exception):
    """Not done and no failure either: the step's owner has others' writes ignored. `step` is what the catalog keeps."""

    def __init__(self, owner: str, step_id: str, step: Step | None) -> None:
        super().__init__(f"step {step_id!r} is owned by {owner!r}, which ignores what others write")
        self.owner, self.step_id, self.step = owner, step_id, step


class StepOwned(EngineError):
    """Steps belong to another owner. `owners` maps their ids to it."""

    status, title = 409, "Step is owned"

    def __init__(self, owners: Mapping[str, str], mend: str) -> None:
        named = ", ".join(f"step {step_id!r} is owned by {owner!r}" for step_id, owner in sorted(owners.items()))
        super().__init__(f"{named}; {mend}")
        self.errors = [
            finding("", "step_owned", f"owned by {owner!r}; {mend}", step_id=step_id, owner=owner)
            for step_id, owner in sorted(owners.items())
        ]


class StepUnowned(EngineError):
    """Steps of nobody differ from what the source wants of them."""

    status, title = 409, "Step belongs to nobody"

    def __init__(self, step_ids: Sequence[str]) -> None:
        mend = "list it under adopts to replace it, or rename yours"
        super().__init__(f"not this source's and defined otherwise: {', '.join(step_ids)}; {mend}")
        self.errors = [
            finding("/steps", "D004", f"step {step_id!r} exists with another definition; {mend}", step_id=step_id)
            for step_id in step_ids
        ]


class PreconditionFailed(EngineError):
    """Steps changed since the caller read them. `found` maps ids to their hash now, None for one that is gone."""

    status, title = 409, "Steps have changed"

    def __init__(self, found: Mapping[str, str | None]) -> None:
        super().__init__(f"changed since they were read: {', '.join(sorted(found))}; read the index and plan again")
        self.errors = [
            finding(
                f"/preconditions/{step_id}",
                "precondition_failed",
                f"step {step_id!r} is now {live or 'gone'}",
                step_id=step_id,
                live_hash=live,
            )
            for step_id, live in sorted(found.items())
        ]


class StaleRevision(EngineError):
    """Somebody else applied a revision of this source in between."""

    status, title = 409, "Source has moved on"

    def __init__(self, source: str, expected: str, applied: str) -> None:
        now = f"at {applied}" if applied else "not applied at all"
        super().__init__(
            f"source {source!r} is {now}, the apply expects previous {expected or 'null'}; read it and plan again"
        )
        self.errors = [finding("/previous", "stale_revision", f"it is {now}", revision=applied or None)]


class ChunksMissing(EngineError):
    """Staged chunks that this node does not have (any more)."""

    status, title = 409, "Chunks are missing"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"not staged here: {', '.join(names)}; send them again and repeat the apply with the same id")
        self.errors = [finding("/chunks", "chunk_missing", f"{name} is not staged", chunk=name) for name in names]


class InvalidRevision(InvalidCatalog):
    """A revision that the analysis rejects."""

    status, title = 422, "Invalid revision"


class NotAllowed(EngineError):
    """Steps that this source may not have."""

    status, title = 422, "Not allowed for this source"

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        texts = "; ".join(f"{found['step_id']}: {found['message']}" for found in findings)
        super().__init__(f"source {source!r} may not have these: {texts}; an admin can widen its allow lists")
        self.errors = list(findings)


class SourceStopped(EngineError):
    """The source is suspended or held back."""

    status, title = 423, "Source is stopped"

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.errors = [finding("/source", code, detail)]


class ApprovalNeeded(EngineError):
    """A person has to agree to what the revision deletes."""

    status, title = 428, "Approval needed"

    def __init__(self, source: str, plan_digest: str, findings: Sequence[Finding]) -> None:
        texts = "; ".join(found["message"] for found in findings)
        super().__init__(f"{texts}; approve it with `argyll source approve {source} --plan {plan_digest}`")
        self.plan_digest = plan_digest
        self.errors = [found | {"plan_digest": plan_digest} for found in findings]


class SourceNotFound(EngineError):
    status, title = 404, "Source not found"


class ApplyNotFound(EngineError):
    status, title = 404, "Apply not found"
