"""From a work item to the call that runs it, and from a succeeded item to the call that undoes it."""

from argyll.engine.caller import Identity, Request, fill_url
from argyll.flow import call_metadata, effective_inputs, with_meta
from argyll.model import json
from argyll.model.flow import FlowState
from argyll.model.json import JSON
from argyll.model.step import Step

Values = dict[str, JSON]


def identity(flow: FlowState, step: Step, token: str, webhook_base: str) -> Identity:
    """Who calls; async steps also say where to answer."""
    url = f"{webhook_base}/webhook/{flow.id}/{step.id}/{token}" if step.type == "async" else ""
    return Identity(flow.id, step.id, token, url)


def arguments(flow: FlowState, step: Step, token: str, who: Identity) -> Values:
    """What an item's service or script is called with: inputs and meta values by inner name."""
    execution = flow.executions[step.id]
    metadata = call_metadata(flow, step.id, token)
    if who.webhook_url:
        metadata["webhook_url"] = who.webhook_url
    return with_meta(step, effective_inputs(execution, execution.work_items[token]), metadata)


def call_request(flow: FlowState, step: Step, token: str, webhook_base: str, default_timeout_ms: int) -> Request:
    """The call of an item. Raises `BadRequest`."""
    http = step.http
    assert http is not None
    who = identity(flow, step, token, webhook_base)
    values = arguments(flow, step, token, who)
    timeout_ms = http.timeout_ms if http.timeout_ms > 0 else default_timeout_ms
    body = None if http.method == "GET" else json.encode(values)
    return Request(http.method, fill_url(http.endpoint, values), body, timeout_ms, who)


def compensation_request(flow: FlowState, step: Step, token: str, default_timeout_ms: int) -> Request:
    """The call that undoes a succeeded item: always POST, with what went in and what came out. Raises `BadRequest`."""
    http = step.http
    assert http is not None
    execution = flow.executions[step.id]
    work = execution.work_items[token]
    inputs = effective_inputs(execution, work)
    url = fill_url(http.compensate, {**inputs, **(work.outputs or {})})
    body = json.encode({"input": inputs, "output": work.outputs})
    timeout_ms = http.timeout_ms if http.timeout_ms > 0 else default_timeout_ms
    return Request("POST", url, body, timeout_ms, Identity(flow.id, step.id, token), reads_body=False)


def child_init(flow: FlowState, step: Step, token: str) -> dict[str, list[JSON]]:
    """What a flow step's item passes to its child: every input, meta values too, as one candidate each."""
    values = arguments(flow, step, token, identity(flow, step, token, ""))
    return {name: [value] for name, value in values.items()}


def child_metadata(flow: FlowState, step_id: str, token: str) -> Values:
    """A child's metadata: its parent's, and who the parent is."""
    return {
        **flow.metadata,
        "parent_flow_id": flow.id,
        "parent_step_id": step_id,
        "parent_work_item_token": token,
    }
