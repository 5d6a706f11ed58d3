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


class StepRegistered(Payload):
    event_type = "step_registered"
    step: Values


class StepUpdated(Payload):
    event_type = "step_updated"
    step: Values


class StepUnregistered(Payload):
    event_type = "step_unregistered"
    step_id: str


class CatalogApplied(Payload):
    """Closes the events of one catalog apply (ours): a whole desired set was committed in this append."""

    event_type = "catalog_applied"
    owner: str
    created: list[str]
    updated: list[str]
    deleted: list[str]
    revision: str = ""


class StepHealthChanged(Payload):
    event_type = "step_health_changed"
    node_id: str
    step_id: str
    status: str
    error: str = ""


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
    StepHealthChanged,
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
