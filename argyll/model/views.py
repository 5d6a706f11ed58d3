"""How states look to the outside: JSON objects of flows, catalog and cluster as REST and WebSocket show them.

Moments are RFC 3339 and left out while unset; lists are never null (decisions 6, 7; surface.md 1.3).
"""

from collections.abc import Iterable

from msgspec import Raw

from argyll.model.catalog import Catalog, Cluster, Health
from argyll.model.flow import Execution, FlowState, Value, Work
from argyll.model.json import JSON
from argyll.model.times import to_rfc3339
from argyll.model.wire import JSONObject, step_to_json

UNKNOWN_HEALTH = Health("unknown")


def _moments(**moments: int) -> JSONObject:
    return {name: to_rfc3339(at) for name, at in moments.items() if at}


def _given(**fields: JSON) -> JSONObject:
    return {name: value for name, value in fields.items() if value}


def flow_view(flow: FlowState, *, show_tokens: bool = True) -> JSONObject:
    """A flow's state. With `show_tokens` off, receipt tokens are replaced by positions (decisions 37)."""
    view: JSONObject = {"id": flow.id, "status": flow.status}
    view |= _moments(
        created_at=flow.created_at,
        completed_at=flow.completed_at,
        deactivated_at=flow.deactivated_at,
        last_updated=flow.last_updated,
    )
    view["plan"] = Raw(flow.plan.raw)
    view["attributes"] = {name: [_value_view(v) for v in values] for name, values in flow.attributes.items()}
    view["executions"] = {step_id: _execution_view(e, show_tokens) for step_id, e in sorted(flow.executions.items())}
    return view | _given(metadata=flow.metadata, labels=flow.labels, error=flow.error)


def _value_view(value: Value) -> JSONObject:
    return {"value": value.value, "set_at": to_rfc3339(value.set_at)} | _given(step=value.step)


def _execution_view(execution: Execution, show_tokens: bool) -> JSONObject:
    view: JSONObject = {"status": execution.status, "inputs": execution.inputs or {}}
    view |= _moments(started_at=execution.started_at, completed_at=execution.completed_at)
    if execution.outputs is not None:
        view["outputs"] = execution.outputs
    if execution.work_items:
        view["work_items"] = {
            token if show_tokens else f"#{work.index}": _work_view(work) for token, work in execution.work_items.items()
        }
    return view | _given(error=execution.error, unsatisfied=execution.unsatisfied, duration=execution.duration_ms)


def _work_view(work: Work) -> JSONObject:
    view: JSONObject = {"status": work.status, "inputs": work.inputs}
    if work.outputs is not None:
        view["outputs"] = work.outputs
    view |= _given(
        error=work.error,
        retry_count=work.retry_count,
        comp_retry_count=work.comp_retry_count,
        attempt=work.attempt,
        node_id=work.node_id,
    )
    return view | _moments(started_at=work.started_at, completed_at=work.completed_at, next_retry_at=work.next_retry_at)


def catalog_view(catalog: Catalog) -> JSONObject:
    """The catalog: steps and edges by attribute."""
    return _moments(last_updated=catalog.last_updated) | {
        "steps": {step_id: step_to_json(step) for step_id, step in sorted(catalog.steps.items())},
        "attributes": catalog.edges(),
    }


def cluster_view(cluster: Cluster, node_ids: Iterable[str], fill: Iterable[str] = ()) -> JSONObject:
    """The cluster: each known or configured node's health records, `fill` naming steps to show as unknown if silent."""
    nodes: JSONObject = {}
    steps = sorted(fill)
    for node_id in sorted({*cluster.nodes, *node_ids}):
        node = cluster.nodes.get(node_id)
        health = dict.fromkeys(steps, UNKNOWN_HEALTH) | (dict(sorted(node.health.items())) if node else {})
        nodes[node_id] = _moments(last_seen=node.last_seen if node else 0) | {"health": health}
        if node is not None and node.presence:
            nodes[node_id]["presence"] = node.presence
    return _moments(last_updated=cluster.last_updated) | {"nodes": nodes}
