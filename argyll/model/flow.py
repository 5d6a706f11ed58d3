"""The state of a flow: what its events add up to.

Mutable in place and changed only by `argyll.flow.apply`. The fields after the marked line in each class are derived:
they repeat what the others say in the shape that deciding needs, are rebuilt by the appliers and never shown.
"""

from typing import Literal

from msgspec import Struct, field

from argyll.model.json import JSON
from argyll.model.plan import Plan

FlowStatus = Literal["active", "completed", "failed"]
ExecutionStatus = Literal["pending", "active", "completed", "skipped", "failed"]
WorkStatus = Literal[
    "pending",
    "active",
    "not_completed",
    "succeeded",
    "failed",
    "cancelled",
    "compensating",
    "compensated",
    "compensation_failed",
]

STEP_TERMINAL = frozenset(("completed", "skipped", "failed"))

REASON_PREDICATE = "predicate returned false"
REASON_MATCH = "required match did not match"
REASON_NOT_NEEDED = "outputs not needed"
REASON_UNREACHABLE = "required input no longer available"
REASON_CANCELLED = "cancelled"


class Value(Struct):
    """One value of an attribute. `step` is the producer, empty for init."""

    value: JSON
    set_at: int
    step: str = ""


class Work(Struct):
    """One work item. Moments are microseconds since the epoch, 0 when unset."""

    inputs: dict[str, JSON]
    status: WorkStatus = "pending"
    outputs: dict[str, JSON] | None = None
    error: str = ""
    retry_count: int = 0
    comp_retry_count: int = 0
    attempt: int = 0
    node_id: str = ""
    started_at: int = 0
    completed_at: int = 0
    next_retry_at: int = 0
    # derived
    index: int = 0
    """Position in expansion order."""


class Execution(Struct):
    """How one step of the plan fares. `error` also carries the reason of a skip."""

    status: ExecutionStatus = "pending"
    inputs: dict[str, JSON] | None = None
    outputs: dict[str, JSON] | None = None
    work_items: dict[str, Work] = field(default_factory=dict[str, Work])
    error: str = ""
    unsatisfied: list[str] = field(default_factory=list[str])
    started_at: int = 0
    completed_at: int = 0
    duration_ms: int = 0
    # derived
    ready: dict[str, None] = field(default_factory=dict[str, None])
    """Pending items without a retry time, in expansion order: what can be claimed next."""
    waiting: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    """Heap of (next_retry_at, index, token); an entry counts only while its item is pending with that time."""
    active: int = 0
    """Items in status active; never more than the parallelism."""
    open: int = 0
    """Items that still can change the step's outcome: pending, active or not_completed."""
    first_failed: str = ""
    """Token of the first item that failed."""
    compensating: dict[str, None] = field(default_factory=dict[str, None])


class FlowState(Struct):
    """A flow. `sequence` is the number of events applied, so the sequence of the next one."""

    id: str
    plan: Plan
    status: FlowStatus = "active"
    metadata: dict[str, JSON] = field(default_factory=dict[str, JSON])
    labels: dict[str, str] = field(default_factory=dict[str, str])
    init: dict[str, list[JSON]] = field(default_factory=dict[str, list[JSON]])
    attributes: dict[str, list[Value]] = field(default_factory=dict[str, list[Value]])
    executions: dict[str, Execution] = field(default_factory=dict[str, Execution])
    created_at: int = 0
    completed_at: int = 0
    deactivated_at: int = 0
    last_updated: int = 0
    error: str = ""
    sequence: int = 0
    # derived
    pending: dict[str, None] = field(default_factory=dict[str, None])
    """Steps in status pending, in the plan's order."""
    running: dict[str, None] = field(default_factory=dict[str, None])
    """Steps in status active."""
    unsettled: int = 0
    """Items anywhere in the flow that are pending, active, not_completed or compensating: deactivation waits for 0."""

    @property
    def parent(self) -> tuple[str, str, str] | None:
        """(flow id, step id, token) of the work item that started this flow, or None."""
        meta = self.metadata
        if "parent_flow_id" not in meta:
            return None
        return meta["parent_flow_id"], meta["parent_step_id"], meta["parent_work_item_token"]
