"""What agents report of a source: how a report reads, and whether it says anything new. Pure."""

from collections.abc import Callable
from typing import TypeAlias, cast

import msgspec
from msgspec import Struct

from argyll.engine.errors import InvalidRequest
from argyll.model.events import (
    Payload,
    SourceBlocked,
    SourceDegraded,
    SourceDriftCleared,
    SourceDrifted,
    SourceInvalid,
    SourceObserved,
    SourceRecovered,
    SourceSuperseded,
    SourceVerifyFailed,
    Values,
)
from argyll.model.json import JSON
from argyll.model.source import ProblemKind, SourceState

MAX_REPORTED_DIAGNOSTICS = 20
"""Findings that the history keeps of an invalid revision; `count` has them all."""

IsNews: TypeAlias = Callable[[SourceState], bool]


class _Report(Struct, forbid_unknown_fields=True, tag_field="type"):
    """What an agent saw."""


class Observed(_Report, tag="observed"):
    revision: str
    description: str = ""


class VerifyFailed(_Report, tag="verify_failed"):
    revision: str
    message: str


class Invalid(_Report, tag="invalid"):
    revision: str
    count: int
    diagnostics: list[Values] = []


class Blocked(_Report, tag="blocked"):
    revision: str
    code: str
    message: str
    plan_digest: str = ""
    step_ids: list[str] = []


class Degraded(_Report, tag="degraded"):
    code: str
    message: str


class Recovered(_Report, tag="recovered"):
    pass


class Drifted(_Report, tag="drifted"):
    step_ids: list[str]
    fighting: list[str] = []


class DriftCleared(_Report, tag="drift_cleared"):
    pass


class Superseded(_Report, tag="superseded"):
    revision: str
    by: str


Report: TypeAlias = (
    Observed | VerifyFailed | Invalid | Blocked | Degraded | Recovered | Drifted | DriftCleared | Superseded
)


def read_report(source: str, value: JSON) -> tuple[Payload, IsNews]:
    """The event of a report, and whether a state does not know it yet. Raises `InvalidRequest`."""
    try:
        report = cast(Report, msgspec.convert(value, Report))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"not a report: {error}") from error
    match report:
        case Observed(revision=revision, description=description):
            return SourceObserved(source, revision, description), lambda state: state.observed != revision
        case VerifyFailed(revision=revision, message=message):
            return SourceVerifyFailed(source, revision, message), _is_new_problem("verify_failed", revision)
        case Invalid(revision=revision, count=count, diagnostics=diagnostics):
            kept = diagnostics[:MAX_REPORTED_DIAGNOSTICS]
            return SourceInvalid(source, revision, count, kept), _is_new_problem("invalid", revision)
        case Blocked():
            blocked = SourceBlocked(
                source, report.revision, report.code, report.message, report.plan_digest, report.step_ids
            )
            return blocked, _is_new_problem("blocked", report.revision, report.code, report.plan_digest)
        case Degraded(code=code, message=message):
            return SourceDegraded(source, code, message), lambda state: state.degraded.partition(" ")[0] != code
        case Recovered():
            return SourceRecovered(source), lambda state: bool(state.degraded)
        case Drifted(step_ids=ids, fighting=fighting):
            seen = sorted(ids), sorted(fighting)
            return SourceDrifted(source, *seen), lambda state: (state.drifted, state.fighting) != seen
        case DriftCleared():
            return SourceDriftCleared(source), lambda state: bool(state.drifted or state.fighting)
        case Superseded(revision=revision, by=by):
            return SourceSuperseded(source, revision, by), lambda state: True


def _is_new_problem(kind: ProblemKind, revision: str, code: str = "", plan_digest: str = "") -> IsNews:
    """The same trouble with the same revision is written once."""

    def is_news(state: SourceState) -> bool:
        known = state.problem
        seen = (known.kind, known.revision, known.code, known.plan_digest) if known is not None else None
        return seen != (kind, revision, code, plan_digest)

    return is_news
