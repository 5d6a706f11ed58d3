"""What has to happen in the world because events were committed.

Computed from events and state only, never remembered: recovery asks the same questions of the state alone.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from argyll.model import events as ev
from argyll.model.flow import FlowState
from argyll.model.ids import child_flow_id


class Effect(Struct, frozen=True):
    flow_id: str


class Call(Effect, frozen=True):
    """Call the service of a sync or async step for one item, or run its script with a full budget."""

    step_id: str
    token: str
    attempt: int


class StartChild(Effect, frozen=True):
    """Start the child flow of an item, or deliver its outcome when it has already ended."""

    step_id: str
    token: str
    child_id: str


class Compensate(Effect, frozen=True):
    """Call the compensation of one item."""

    step_id: str
    token: str


class TellParent(Effect, frozen=True):
    """Deliver the outcome of a deactivated child flow to the item that started it."""


def effects_of(flow: FlowState, events: Iterable[ev.Payload]) -> Iterator[Effect]:
    """What the committed `events` of a flow cause, given the state right after them."""
    for event in events:
        if isinstance(event, ev.WorkStarted):
            work = flow.executions[event.step_id].work_items[event.token]
            if work.status == "active":
                yield _of_started(flow, event.step_id, event.token, event.attempt)
        elif isinstance(event, ev.CompStarted):
            yield Compensate(flow.id, event.step_id, event.token)
        elif isinstance(event, ev.FlowDeactivated) and flow.parent is not None:
            yield TellParent(flow.id)


def _of_started(flow: FlowState, step_id: str, token: str, attempt: int) -> Effect:
    if flow.plan.steps[step_id].type == "flow":
        return StartChild(flow.id, step_id, token, child_flow_id(flow.id, step_id, token))
    return Call(flow.id, step_id, token, attempt)


def waiting_children(flow: FlowState) -> Iterator[Effect]:
    """Children that active items wait for: driven again after a restart, in case their word was lost (decisions 25)."""
    for step_id, execution in flow.executions.items():
        if execution.active and flow.plan.steps[step_id].type == "flow":
            for token, work in execution.work_items.items():
                if work.status == "active":
                    yield StartChild(flow.id, step_id, token, child_flow_id(flow.id, step_id, token))


def child_outcome(parent: FlowState, step_id: str, child: FlowState) -> tuple[dict[str, object] | None, str]:
    """(outputs, error) that an ended child means for the item that started it; outputs is None when it failed.

    Outputs are the first value of every attribute of the child; a mapped output that is not among them fails the item
    (execution.md 8.10).
    """
    if child.status != "completed":
        return None, child.error or "child flow failed"
    outputs = {name: values[0].value for name, values in child.attributes.items() if values}
    for name, spec in parent.plan.steps[step_id].outputs.items():
        if spec.mapping is not None and spec.mapping.name and spec.inner_name(name) not in outputs:
            return None, f"flow output missing: {spec.inner_name(name)}"
    return outputs, ""
