"""What can have happened: one class an event type, fields in the order and with the names of the wire.

Payloads only; when and where in the history is the envelope's business (`argyll.store.Record`). Fields with a default
are left out of the JSON when unset. Unknown fields are ignored on reading, so an older node can follow a newer one.
"""

from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from argyll.model.json import JSON

Values = dict[str, JSON]


class Payload(Struct, omit_defaults=True):
    """What one event says. `event_type` is its name on the wire."""

    event_type: ClassVar[str] = ""


class Cause(Struct, omit_defaults=True):
    """Which revision of which source changed a step (ours)."""

    source: str
    revision: str


class StepRegistered(Payload):
    event_type = "step_registered"
    step: Values
    cause: Cause | None = None


class StepUpdated(Payload):
    event_type = "step_updated"
    step: Values
    cause: Cause | None = None


class StepUnregistered(Payload):
    event_type = "step_unregistered"
    step_id: str
    cause: Cause | None = None


class CatalogApplied(Payload):
    """Closes the events of one catalog apply (ours): a whole desired set was committed in this append."""

    event_type = "catalog_applied"
    owner: str
    created: list[str]
    updated: list[str]
    deleted: list[str]
    revision: str = ""
    adopted: list[str] = []


class Origin(Struct, omit_defaults=True):
    """Where a step's owner defines it, and what it was when the owner wrote it last.

    `spec_hash` is of the authored form, by the owner's own rules; `live_hash` of what the catalog kept.
    """

    path: str = ""
    doc: int = 0
    line: int = 0
    spec_hash: str = ""
    live_hash: str = ""


class SourceSynced(Payload):
    """Closes the events of one applied revision (ours): everything since was one commit.

    `origins` holds each step that the revision touched and that is now the source's.
    """

    event_type = "source_synced"
    source: str
    revision: str
    apply_id: str
    previous: str = ""
    lineage: str = ""
    plan_digest: str = ""
    created: list[str] = []
    updated: list[str] = []
    deleted: list[str] = []
    adopted: list[str] = []
    transferred: list[str] = []
    orphaned: list[str] = []
    origins: dict[str, Origin] = {}
    actor: str = ""


class StepsAdopted(Payload):
    """Steps that nobody owned now have an owner, unchanged (ours)."""

    event_type = "steps_adopted"
    owner: str
    step_ids: list[str]


class StepsOrphaned(Payload):
    """Steps stay in the catalog without their owner (ours)."""

    event_type = "steps_orphaned"
    owner: str
    step_ids: list[str]


class StepOverride(Payload):
    """Somebody else is about to change an owned step (ours). `action` is registered, updated or unregistered."""

    event_type = "step_override"
    step_id: str
    owner: str
    action: str
    actor: str = ""
    reason: str = ""


class SourceAdded(Payload):
    """The catalog knows a source from here on (ours); what is configured is in the source's own history."""

    event_type = "source_added"
    source: str


class SourceRemoved(Payload):
    """The catalog knows a source no more (ours)."""

    event_type = "source_removed"
    source: str


class StepHealthChanged(Payload):
    event_type = "step_health_changed"
    node_id: str
    step_id: str
    status: str
    error: str = ""


class NodePayload(Payload):
    """Of a node of the cluster (ours)."""

    node_id: str


class NodeJoined(NodePayload):
    """The node takes its share of the flows from here on."""

    event_type = "node_joined"


class NodeLeaving(NodePayload):
    """The node stops: it takes no more work and ends what it has."""

    event_type = "node_leaving"


class NodeLeft(NodePayload):
    """The node is gone, by its own word or because the leader heard nothing of it: what it had under way is anybody's."""

    event_type = "node_left"
    reason: str = ""


class SourcePayload(Payload):
    """Of a source's own history (ours). `actor` says who did it, where a person or an agent did."""

    source: str


class SourceConfigured(SourcePayload):
    event_type = "source_configured"
    config: Values
    actor: str = ""


class SourceDeleted(SourcePayload):
    event_type = "source_deleted"
    actor: str = ""


class SourceObserved(SourcePayload):
    event_type = "source_observed"
    revision: str
    description: str = ""


class SourceVerifyFailed(SourcePayload):
    event_type = "source_verify_failed"
    revision: str
    message: str


class SourceInvalid(SourcePayload):
    """`diagnostics` holds the first of `count`."""

    event_type = "source_invalid"
    revision: str
    count: int
    diagnostics: list[Values] = []


class SourceBlocked(SourcePayload):
    event_type = "source_blocked"
    revision: str
    code: str
    message: str
    plan_digest: str = ""
    step_ids: list[str] = []


class SourceDegraded(SourcePayload):
    event_type = "source_degraded"
    code: str
    message: str


class SourceRecovered(SourcePayload):
    event_type = "source_recovered"


class SourceDrifted(SourcePayload):
    event_type = "source_drifted"
    step_ids: list[str]
    fighting: list[str] = []


class SourceDriftCleared(SourcePayload):
    event_type = "source_drift_cleared"


class SourceSuperseded(SourcePayload):
    event_type = "source_superseded"
    revision: str
    by: str


class SourceRefreshRequested(SourcePayload):
    event_type = "source_refresh_requested"
    actor: str = ""


class SourceSuspended(SourcePayload):
    event_type = "source_suspended"
    reason: str = ""
    actor: str = ""
    until: str = ""


class SourceHeld(SourcePayload):
    """The catalog stays at revision `at`; `until` is next-commit (one that is not in `skip`) or resume."""

    event_type = "source_held"
    at: str
    skip: list[str] = []
    until: str = "next-commit"
    reason: str = ""
    actor: str = ""


class SourceResumed(SourcePayload):
    event_type = "source_resumed"
    reason: str = ""
    actor: str = ""


class SourceApproved(SourcePayload):
    event_type = "source_approved"
    plan_digest: str
    reason: str = ""
    actor: str = ""


class FlowPayload(Payload):
    flow_id: str


class FlowStarted(FlowPayload):
    event_type = "flow_started"
    plan: Raw
    init: dict[str, list[JSON]]
    metadata: Values = {}
    labels: dict[str, str] = {}


class FlowCompleted(FlowPayload):
    event_type = "flow_completed"
    result: Values


class FlowFailed(FlowPayload):
    event_type = "flow_failed"
    error: str


class FlowDeactivated(FlowPayload):
    event_type = "flow_deactivated"
    status: str


class StepPayload(FlowPayload):
    step_id: str


class StepStarted(StepPayload):
    """`work_items` maps each token to the for_each values of its item, in expansion order."""

    event_type = "step_started"
    inputs: Values
    work_items: dict[str, Values]


class StepCompleted(StepPayload):
    """`duration` is in milliseconds since the step started."""

    event_type = "step_completed"
    outputs: Values
    duration: int


class StepFailed(StepPayload):
    event_type = "step_failed"
    error: str
    inputs: Values | None = None
    unsatisfied: list[str] = []


class StepSkipped(StepPayload):
    event_type = "step_skipped"
    reason: str
    inputs: Values | None = None
    unsatisfied: list[str] = []


class AttributeSet(StepPayload):
    event_type = "attribute_set"
    key: str
    value: JSON


class DispatchDeferred(StepPayload):
    event_type = "dispatch_deferred"


class WorkPayload(StepPayload):
    token: str


class WorkStarted(WorkPayload):
    """A node claimed the item. `attempt` counts from 1 over all calls of the item (ours, decisions 24)."""

    event_type = "work_started"
    inputs: Values
    node_id: str = ""
    attempt: int = 0


class WorkSucceeded(WorkPayload):
    event_type = "work_succeeded"
    outputs: Values


class WorkFailed(WorkPayload):
    event_type = "work_failed"
    error: str


class WorkNotCompleted(WorkPayload):
    event_type = "work_not_completed"
    error: str


class WorkRetryScheduled(WorkPayload):
    event_type = "work_retry_scheduled"
    retry_count: int
    next_retry_at: str
    error: str


class WorkCancelled(WorkPayload):
    """The item will never run (again): its step failed or its flow ended (ours, decisions 23)."""

    event_type = "work_cancelled"
    reason: str


class CompStarted(WorkPayload):
    event_type = "comp_started"
    node_id: str = ""
    attempt: int = 0


class CompRetryScheduled(WorkPayload):
    event_type = "comp_retry_scheduled"
    retry_count: int
    next_retry_at: str
    error: str


class CompSucceeded(WorkPayload):
    event_type = "comp_succeeded"


class CompFailed(WorkPayload):
    event_type = "comp_failed"
    error: str


_ALL: tuple[type[Payload], ...] = (
    StepRegistered,
    StepUpdated,
    StepUnregistered,
    CatalogApplied,
    SourceSynced,
    StepsAdopted,
    StepsOrphaned,
    StepOverride,
    SourceAdded,
    SourceRemoved,
    StepHealthChanged,
    NodeJoined,
    NodeLeaving,
    NodeLeft,
    SourceConfigured,
    SourceDeleted,
    SourceObserved,
    SourceVerifyFailed,
    SourceInvalid,
    SourceBlocked,
    SourceDegraded,
    SourceRecovered,
    SourceDrifted,
    SourceDriftCleared,
    SourceSuperseded,
    SourceRefreshRequested,
    SourceSuspended,
    SourceHeld,
    SourceResumed,
    SourceApproved,
    FlowStarted,
    FlowCompleted,
    FlowFailed,
    FlowDeactivated,
    StepStarted,
    StepCompleted,
    StepFailed,
    StepSkipped,
    AttributeSet,
    DispatchDeferred,
    WorkStarted,
    WorkSucceeded,
    WorkFailed,
    WorkNotCompleted,
    WorkRetryScheduled,
    WorkCancelled,
    CompStarted,
    CompRetryScheduled,
    CompSucceeded,
    CompFailed,
)

PAYLOADS: dict[str, type[Payload]] = {payload.event_type: payload for payload in _ALL}
"""Every event type by its name on the wire."""

_decoders = {name: msgspec.json.Decoder(payload) for name, payload in PAYLOADS.items()}


def decode_payload(event_type: str, data: bytes) -> Payload | None:
    """The payload of a stored event, or None when this version does not know the type. Raises `msgspec.DecodeError`."""
    decoder = _decoders.get(event_type)
    return decoder.decode(data) if decoder is not None else None
