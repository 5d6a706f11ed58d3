"""The page of events: every type, when it is raised, and its fields."""

from typing import get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw
from msgspec.structs import FieldInfo

from argyll.model.events import PAYLOADS, FlowPayload, SourcePayload
from tools.reference.markdown import HEAD, code, cover, paragraphs, table

_WORDS = {
    "step_registered": "A step that was not in the catalog is in it.",
    "step_updated": "A step was replaced. Flows that run keep the definition they were planned with.",
    "step_unregistered": "A step was removed from the catalog.",
    "catalog_applied": "Closes the events of one catalog apply: everything since was one commit of one owner.",
    "source_synced": "Closes the events of one applied revision: everything since was one commit. `origins` says where its "
    "steps are defined.",
    "steps_adopted": "Steps that nobody owned have an owner now, unchanged.",
    "steps_orphaned": "Steps stay without their owner.",
    "step_override": "Somebody other than its owner changes a step; the change follows. `action` is registered, updated or "
    "unregistered.",
    "source_added": "The catalog knows a source from here on.",
    "source_removed": "The catalog knows a source no more.",
    "source_configured": "An admin configured the source; `config` is the whole configuration.",
    "source_deleted": "The source's configuration is gone, and with it what was known and decided.",
    "source_observed": "The source is at another revision than before.",
    "source_verify_failed": "The revision's signatures do not allow it.",
    "source_invalid": "The revision has errors and is not applied; `diagnostics` holds the first of `count`.",
    "source_blocked": "The revision waits for a person; `plan_digest` is what there is to approve.",
    "source_degraded": "The source cannot be read, for longer than a passing fault.",
    "source_recovered": "The source can be read again.",
    "source_drifted": "Steps are not as the source has them; those in `fighting` are changed again each time they are healed.",
    "source_drift_cleared": "The agent sees all steps as the source has them.",
    "source_superseded": "The revision was never applied: a newer one came first.",
    "source_refresh_requested": "Somebody wants the agent to look at the source now.",
    "source_suspended": "Nothing of the source is applied until it is resumed, or until `until`.",
    "source_held": "The catalog stays at revision `at` until a commit that is not in `skip` (next-commit), or until resume.",
    "source_resumed": "The hold or the suspension is over.",
    "source_approved": "A person agreed to the plan with this digest.",
    "step_health_changed": "A node found a step's health to be other than before.",
    "node_joined": "The node takes its share of the flows from here on; a node on its own never says so.",
    "node_leaving": "The node stops: it takes no more work and ends the calls it makes.",
    "node_left": "The node is gone, by its own word or because the leader heard nothing of it. The others take up what it had under way.",
    "flow_started": "A flow begins. The plan is in it, whole, and never changes; later events refer to it.",
    "flow_completed": "Every goal is completed or skipped; `result` holds the goals' outputs.",
    "flow_failed": "A goal failed, every goal was pruned by a gate, or the flow was cancelled.",
    "flow_deactivated": "Nothing of the flow runs or waits any more: late results and compensation are over too.",
    "step_started": "The inputs are chosen and the work items are made; `work_items` maps each token to its own inputs.",
    "step_completed": "Every work item succeeded; `outputs` are the values under the attributes' names.",
    "step_failed": "A work item failed for good, or the step can never start; `unsatisfied` names the inputs at fault.",
    "step_skipped": "The step does not run: its predicate or a gate said no, or nobody needs its outputs any more.",
    "attribute_set": "A step gave an attribute a value.",
    "dispatch_deferred": "This node holds the step's work back because it finds the step unhealthy.",
    "work_started": "A node claimed the item; the call follows this event. `attempt` counts all calls from 1.",
    "work_succeeded": "The item has its outputs.",
    "work_failed": "The item failed for good.",
    "work_not_completed": "A call gave no answer that counts; a retry, a failure or a cancellation follows.",
    "work_retry_scheduled": "The item runs again at `next_retry_at`.",
    "work_cancelled": "The item will not run (again): its step failed or its flow ended.",
    "comp_started": "What the item did is being undone.",
    "comp_retry_scheduled": "The call that undoes the item is made again at `next_retry_at`.",
    "comp_succeeded": "What the item did is undone.",
    "comp_failed": "What the item did could not be undone; a person has to look.",
}

_TYPES = {str: "text", int: "integer", bool: "boolean", Raw: "object", dict: "object"}


def page() -> str:
    """The whole page as Markdown."""
    cover("tools/reference/events.py", PAYLOADS, _WORDS)
    flows = [name for name, payload in PAYLOADS.items() if issubclass(payload, FlowPayload)]
    sources = [name for name, payload in PAYLOADS.items() if issubclass(payload, SourcePayload)]
    others = [name for name in PAYLOADS if name not in flows and name not in sources]
    return paragraphs(
        "# Events",
        HEAD,
        "Everything that happened is an event, and state is nothing but the events applied one after another. Each "
        "aggregate (the catalog, the cluster, each flow, each source) has its own sequence, from 0 without gaps.",
        "The history routes show an event as `{sequence, timestamp, type, aggregate_id, data}`, the "
        "[WebSocket](api.md#websocket) as `{type, sub_id, id, data, timestamp, sequence}`. `data` has the fields below. "
        "Fields marked `?` are left out when they have nothing to say. Readers ignore fields and types they do not know.",
        "## Flows",
        _types(flows),
        "## Catalog and cluster",
        _types(others),
        "## Sources",
        "What agents report and people decide about a [source](../gitops.md). What was applied is in the catalog's history.",
        _types(sources),
    )


def _types(names: list[str]) -> str:
    return table(("Type", "Meaning", "Data"), [(code(name), _WORDS[name], _fields(name)) for name in names])


def _fields(name: str) -> str:
    return ", ".join(_field(field) for field in msgspec.structs.fields(PAYLOADS[name]))


def _field(field: FieldInfo) -> str:
    optional = "" if field.default is NODEFAULT and field.default_factory is NODEFAULT else "?"
    kind = _kind(field.type)
    return code(field.encode_name + optional) + (f" {kind}" if kind else "")


def _kind(annotation: object) -> str:
    """A field's type in words; empty for any JSON value."""
    origin = get_origin(annotation)
    if origin is list:
        return "list"
    if origin is dict:
        return "object"
    named = [word for kind, word in _TYPES.items() if annotation is kind]
    if named:
        return named[0]
    return next((_kind(choice) for choice in get_args(annotation) if choice is not type(None)), "")
