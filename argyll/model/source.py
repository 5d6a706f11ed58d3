"""A source of steps as the engine keeps it: its configuration, what its agent reported, what people decided about it.

What of it is in the catalog stands in the catalog itself; `argyll.model.source_status` puts the two together.
"""

from typing import Literal

import msgspec
from msgspec import Struct, field

from argyll.model.events import (
    Payload,
    SourceApproved,
    SourceBlocked,
    SourceConfigured,
    SourceDegraded,
    SourceDeleted,
    SourceDriftCleared,
    SourceDrifted,
    SourceHeld,
    SourceInvalid,
    SourceObserved,
    SourceRecovered,
    SourceRefreshRequested,
    SourceResumed,
    SourceSuspended,
    SourceVerifyFailed,
    Values,
)
from argyll.model.json import JSON

ForeignWrites = Literal["reject", "ignore", "allow"]
Lineage = Literal["initial", "fast-forward", "resync", "rewind", "rewritten", "rollback"]
ProblemKind = Literal["verify_failed", "invalid", "blocked"]


class Git(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`credentials` refers to a file or a variable; secrets never stand here."""

    url: str
    ref: str = "HEAD"
    paths: list[str] = []
    credentials: str = ""


class Prune(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How many owned steps one revision may delete without somebody's approval."""

    enabled: bool = True
    max_percent: int = 20
    max_count: int = 50
    floor: int = 3
    """So few are always allowed."""
    allow_empty: bool = False


class Verify(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Which signatures a revision needs; `paths` maps globs to the principals who may change them."""

    mode: Literal["none", "head", "range", "tag"] = "none"
    ssh_allowed_signers: str = ""
    gpg_keyring: str = ""
    paths: dict[str, list[str]] = {}


class Allow(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a source's steps may be; an empty list allows everything. `produce` and `endpoints` hold globs."""

    id_prefixes: list[str] = []
    produce: list[str] = []
    endpoints: list[str] = []
    types: list[str] = []
    languages: list[str] = []


class SourceConfig(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What an admin says of a source. It is never read from the source's own repository."""

    git: Git | None = None
    dir: str = ""
    env: str = ""
    mode: Literal["auto", "manual", "plan-only"] = "auto"
    drift: Literal["report", "heal", "off"] = "report"
    foreign_writes: ForeignWrites = "reject"
    poll_s: float = 30.0
    rewrite: Literal["hold", "follow"] = "hold"
    adopt: bool = False
    """Take steps that nobody owns even when they differ."""
    prune: Prune = field(default_factory=Prune)
    verify: Verify = field(default_factory=Verify)
    allow: Allow = field(default_factory=Allow)
    group: str = ""
    """Sources of one group may hand steps to each other."""
    transfer_from: list[str] = []
    on_delete: Literal["orphan", "prune"] = "orphan"


DEFAULT_CONFIG = SourceConfig()
"""What holds for an owner that nobody configured."""


class Decision(Struct):
    """Something that a person did: approved `plan_digest`, suspended until `until`."""

    actor: str = ""
    reason: str = ""
    at_us: int = 0
    until: str = ""
    plan_digest: str = ""


class Hold(Struct):
    """The catalog stays at revision `at` until a commit that is not in `skip` (next-commit), or until resume."""

    at: str
    skip: list[str]
    until: str
    actor: str = ""
    reason: str = ""
    at_us: int = 0


class Problem(Struct):
    """Why a revision is not applied."""

    kind: ProblemKind
    revision: str
    at_us: int
    message: str = ""
    code: str = ""
    plan_digest: str = ""
    step_ids: list[str] = []
    count: int = 0
    diagnostics: list[Values] = []


class SourceState(Struct):
    """One source's own history, folded. `sequence` counts its events."""

    id: str = ""
    config: SourceConfig | None = None
    """None before the first configuration and after a deletion."""
    configured_at_us: int = 0
    observed: str = ""
    observed_at_us: int = 0
    description: str = ""
    problem: Problem | None = None
    degraded: str = ""
    """Why the source cannot be read; empty while it can."""
    degraded_at_us: int = 0
    drifted: list[str] = []
    fighting: list[str] = []
    """Steps that are no more healed: somebody changes them again each time."""
    hold: Hold | None = None
    suspension: Decision | None = None
    approval: Decision | None = None
    refresh: int = 0
    """How often a look at the source was asked for: an agent compares it with what it saw last."""
    last_updated: int = 0
    sequence: int = 0


def apply_source(state: SourceState, payload: Payload | None, at_us: int) -> None:
    """Fold one event into a source. Total: what it does not know only counts."""
    state.sequence += 1
    state.last_updated = at_us
    _reported(state, payload, at_us)
    _decided(state, payload, at_us)


def read_config(value: JSON) -> SourceConfig:
    """A configuration from JSON, each field checked. Raises `msgspec.ValidationError`."""
    return msgspec.convert(value, SourceConfig)


def _reported(state: SourceState, event: Payload | None, at_us: int) -> None:
    match event:
        case SourceObserved():
            state.observed, state.observed_at_us, state.description = event.revision, at_us, event.description
            if state.problem is not None and state.problem.revision != event.revision:
                state.problem = None
        case SourceVerifyFailed():
            state.problem = Problem("verify_failed", event.revision, at_us, event.message)
        case SourceInvalid():
            state.problem = Problem("invalid", event.revision, at_us, count=event.count, diagnostics=event.diagnostics)
        case SourceBlocked():
            state.problem = Problem(
                "blocked", event.revision, at_us, event.message, event.code, event.plan_digest, event.step_ids
            )
        case SourceDegraded():
            state.degraded, state.degraded_at_us = f"{event.code} {event.message}".strip(), at_us
        case SourceRecovered():
            state.degraded, state.degraded_at_us = "", 0
        case SourceDrifted():
            state.drifted, state.fighting = event.step_ids, event.fighting
        case SourceDriftCleared():
            state.drifted, state.fighting = [], []
        case _:
            pass


def _decided(state: SourceState, event: Payload | None, at_us: int) -> None:
    match event:
        case SourceConfigured():
            state.id, state.config, state.configured_at_us = event.source, _kept_config(event.config), at_us
        case SourceDeleted():
            _reset(state)
        case SourceSuspended():
            state.suspension = Decision(event.actor, event.reason, at_us, until=event.until)
        case SourceHeld():
            state.hold = Hold(event.at, event.skip, event.until, event.actor, event.reason, at_us)
        case SourceResumed():
            state.hold = state.suspension = None
        case SourceApproved():
            state.approval = Decision(event.actor, event.reason, at_us, plan_digest=event.plan_digest)
        case SourceRefreshRequested():
            state.refresh += 1
        case _:
            pass


def _kept_config(value: JSON) -> SourceConfig:
    """A configuration from the history. One that a newer release wrote and this one cannot read counts as the default,
    which is the strictest."""
    try:
        return read_config(value)
    except msgspec.ValidationError:
        return SourceConfig()


def _reset(state: SourceState) -> None:
    """Forget everything but what must never go back."""
    fresh = SourceState(state.id, refresh=state.refresh, sequence=state.sequence, last_updated=state.last_updated)
    for name in state.__struct_fields__:
        setattr(state, name, getattr(fresh, name))
