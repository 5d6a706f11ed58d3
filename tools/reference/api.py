"""The page of HTTP routes, from the server's own table."""

import ast
import inspect

from argyll.server.edge import build_router
from tools.reference.markdown import HEAD, code, cover, paragraphs, table

_WORDS = {
    "GET /health": "Liveness: 200 while the process answers; `X-Argyll-Raft-State` is the node's role.",
    "GET /ready": "Readiness: 503 with `Retry-After` until the node can serve, and while too few nodes are reached to record anything.",
    "GET /engine": "Catalog and cluster in one answer.",
    "GET /engine/": "The same.",
    "GET /engine/cluster": "What each node reported about the health of steps.",
    "GET /engine/cluster/events": "History of the cluster, in pages.",
    "GET /engine/raft": "The log as this node sees it: role, term, indexes, and of each other node its lag and last contact.",
    "POST /engine/raft/transfer": "Leadership to the node `to`, or to the one that is furthest; 409 on a node that does not lead.",
    "GET /engine/health": "The cluster with steps nobody reported on as `unknown`.",
    "GET /engine/health/{step}": "The worst that any node says of a step.",
    "GET /engine/catalog": "Every step, and who writes and reads each attribute.",
    "GET /engine/catalog/events": "History of the catalog, in pages.",
    "POST /engine/catalog/apply": "Make an owner's steps exactly the given set, or apply a revision of a source, in one commit "
    "or not at all.",
    "GET /engine/catalog/apply/{apply}": "What became of a revision's apply: `committed`, `staged` or `rejected`; 404 when it has to "
    "be sent again.",
    "GET /engine/catalog/index": "Each step's hash and owner, and each source's revision, with an `ETag`.",
    "PUT /engine/catalog/staging/{apply}/{number}": "A part of a revision that is too large for one body; answers its name.",
    "GET /engine/source": "Every source with its status.",
    "GET /engine/source/{source}": "A source's configuration and status.",
    "PUT /engine/source/{source}": "Configure a source.",
    "DELETE /engine/source/{source}": "Forget a source; its steps stay and belong to nobody.",
    "GET /engine/source/{source}/history": "Applied revisions, newest first; `limit` says how many.",
    "POST /engine/source/{source}/refresh": "Ask the agent to look now.",
    "POST /engine/source/{source}/suspend": "Apply nothing until it is resumed, or until the moment `until`.",
    "POST /engine/source/{source}/resume": "End a suspension and a hold.",
    "POST /engine/source/{source}/hold": "Stay at a revision until a new one comes, or with `pin` until resume.",
    "POST /engine/source/{source}/approve": "Agree to the plan with a `plan_digest`.",
    "POST /engine/source/{source}/rollback": "Go back to an earlier revision (`to`, or the one before) and hold it.",
    "POST /engine/source/{source}/report": "For agents: what they saw. Answers whether it was news.",
    "GET /engine/step": "Every step, by id.",
    "POST /engine/step": "Register a step. 201; 409 when the id is taken by another definition. A step that has an owner: "
    "[below](#steps-that-have-an-owner).",
    "GET /engine/step/{step}": "One step.",
    "PUT /engine/step/{step}": "Replace a step.",
    "DELETE /engine/step/{step}": "Remove a step. Flows that run keep it.",
    "POST /engine/plan": "What would run for goals and init values, and why; starts nothing.",
    "GET /engine/flow": "Every flow that no other flow started: active ones first, newest first.",
    "POST /engine/flow": "Start a flow. 201 once it is on disk; the same start again is 201 too, another one with that id 409.",
    "POST /engine/flow/query": "Flows by id prefix, labels and status, in pages.",
    "GET /engine/flow/{flow}": "A flow's state: plan, values, every step and work item.",
    "GET /engine/flow/{flow}/status": "Only `active`, `completed` or `failed`; active until the flow is deactivated.",
    "GET /engine/flow/{flow}/events": "History of a flow, in pages.",
    "GET /engine/flow/{flow}/explain": "Why steps ran, failed or were skipped, where values come from, what is waited for "
    "([explain](../explain.md)).",
    "POST /engine/flow/{flow}/cancel": "No new work starts, running work may finish, the flow fails with `cancelled`.",
    "GET /engine/ws": "WebSocket: states and events as they are committed.",
    "POST /webhook/{flow}/{step}/{token}": "The outcome of asynchronous work: outputs, or a problem document.",
}

_RULES = """## Rules for all routes

- Bodies are one JSON value of at most the [limit of their kind](configuration.md#http-and-websocket); a larger one is 413. Unknown fields are 400.
- A refusal is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, `instance`, `error` (the same text as
  `detail`) and, where there are several findings, `errors`: a list of `{path, code, message}` with all of them.
- A known path with a wrong method is 405 with `Allow`. GET routes answer HEAD. 503 carries `Retry-After`.
- A GET shows what the node knows. With `?consistency=linearizable` it first waits until that is everything any node has acknowledged;
  with too few nodes that is 503. A write may be sent to any node, and that node shows it once it has answered.
- 503 of kind `outcome-uncertain` means that a write may still be committed; every other one means that nothing was recorded.
- Moments are RFC 3339 in UTC with microseconds; one that has not come yet is left out. Lists are never null.
- There is no authentication yet: bind a loopback address, or put a proxy that asks before the node."""

_FLOW = """## Starting a flow

```sh
curl -s http://127.0.0.1:8080/engine/flow -d '{
  "id": "order-17",
  "goals": ["complete-order"],
  "init": {"customer_id": "c-1", "items": [[{"sku": "kilt", "quantity": 1}]]},
  "labels": {"shop": "north"}
}'
```

`init` maps a name to its candidate values: a list is the list of candidates, anything else is one candidate. So a list
that is a value is wrapped, as `items` above; `[]` and `null` mean that nothing is given. The command line and the Python
client wrap by themselves. `POST /engine/plan` takes the same `goals` and `init`."""

_APPLY = """## Applying a catalog

`{"owner": "shop", "steps": [...], "revision": "1f2e...", "expected_sequence": 12, "dry_run": false}`; the last three may be left
out. Steps of this owner that are not in the set are removed, steps of other owners are not touched. The answer has `applied`,
`sequence`, the ids `created`, `updated`, `deleted` and `adopted`, the number `unchanged`, and `warnings`. With `dry_run` nothing is
changed and the answer says what would be. A stale `expected_sequence` is 409. An owner that is suspended or held is 423, and one that
is configured as a [source](../gitops.md#sources) is held to its limits (422, 428) as below."""

_REVISION = """## Applying a revision

The full form of `POST /engine/catalog/apply` carries what changes rather than everything, and says what it was planned on. What an
agent sends:

```json
{"source": "payments", "revision": "9f2c1e4", "previous": "71b0aa2", "apply_id": "mzxw6ytb", "lineage": "fast-forward",
 "steps": [{"step": {"id": "charge-card"}, "path": "steps/pay.yaml", "doc": 0, "line": 3, "spec_hash": "..."}],
 "deletes": ["old-step"], "orphans": [], "adopts": [], "transfers": {"x": "other-source"}, "moved": {"old-step": "charge-card"},
 "preconditions": {"charge-card": null, "old-step": "5d1e9c..."}, "dry_run": false, "plan_digest": null, "prune_ack": null,
 "actor": "agent:host1"}
```

| Field | Meaning |
| --- | --- |
| `source`, `revision` | Whose steps, and what they are after this |
| `previous` | The revision that the source has now, null for none; anything else is 409 `stale_revision` |
| `apply_id` | The same for every attempt at the same apply: a repetition gets the first answer with `duplicate: true` and changes nothing |
| `lineage` | How it follows the one before: `initial`, `fast-forward`, `resync`, `rewind`, `rewritten`, `rollback` |
| `steps` | What is created, replaced or taken over, each with the place where it is written and a hash of the agent's own |
| `chunks` | Names of staged parts whose steps belong to this; 409 `chunk_missing` names those to send again |
| `deletes`, `orphans` | Owned steps that go, and owned steps that stay and belong to nobody |
| `adopts` | Steps of nobody to replace though they differ (else 409 `D004`); equal ones are adopted by themselves |
| `transfers` | Steps to take over with their owner; both sources are of one `group`, or `transfer_from` has the owner |
| `moved` | Deleted id to new id: no loss |
| `preconditions` | For every id of `steps` and `deletes` its `live_hash` of the index, null for one that is not there; 409 `precondition_failed` lists what changed |
| `expected_sequence` | Optional: the whole catalog must be at this sequence |
| `plan_digest` | Optional: refuse when the plan is another one |
| `prune_ack` | The digest of the plan that a person approved |
| `dry_run` | Say what would happen, `blocked` and `plan_digest` included |

The catalog is checked as it will be, then everything is one commit: steps in an order in which no step comes before what it needs, and
`source_synced` at the end. The answer has `applied`, `duplicate`, `sequence`, `plan_digest`, the ids `created`, `updated`, `deleted`,
`adopted`, `transferred` and `orphaned`, `live_hashes`, `blocked` and `warnings`.

| Status | Means |
| --- | --- |
| 409 | The plan is not of this catalog: read the index, plan again (`step_owned` and `D004` need a person) |
| 422 | The definitions are wrong, or not allowed for this source: a new revision is needed |
| 423 | The source is suspended or held |
| 428 | Somebody has to approve `plan_digest`: `B001` too many deletions, `B002` nothing would be left (only the configuration allows that), `B003` others lose a provider or a goal, `B004` very many changes |

When the answer is lost, `GET /engine/catalog/apply/{apply}` tells what became of it; repeating the same request is as good."""

_OWNED = """## Steps that have an owner

What a catalog apply writes belongs to its owner. A POST, PUT or DELETE of such a step by anybody else is a 409 that names the owner
(`step_owned`), unless it changes nothing. The owner's [source](../gitops.md#the-engines-side) may say otherwise: with `foreign_writes:
ignore` the write is left out and answered 200 with the kept step, `owned_by` and the header `Argyll-Ignored`; with `allow` it is made
and recorded as `step_override`. The header `Argyll-Override` with a reason always writes, and always records. Another owner's apply that
holds such a step is 409. Steps of nobody that equal what an owner applies become the owner's (`adopted`)."""

_PAGES = """## Pages

History routes take `from` (a sequence, 0 unless given) and `limit`; the answer has `events`, `count` and, when there are more,
`next`: the `from` of the next page.

`POST /engine/flow/query` takes `id_prefix`, `labels` (all must be equal), `statuses`, `sort` (`recent_asc`, `recent_desc`), `limit`
and `cursor`; the answer has `flows`, `count`, `total` and, when there are more, `has_more` and `next_cursor`."""

_SOCKET = """## WebSocket

Send `{"type": "subscribe", "data": {...}}` with:

| Field | Meaning |
| --- | --- |
| `sub_id` | A name of your choice; every answer carries it |
| `aggregate_ids` | A list of `["catalog"]`, `["cluster"]`, `["flow", "order-17"]`, `["source", "payments"]`, or a prefix such as `["flow"]` for all flows; none means everything |
| `event_types` | Only these types; none given means all |
| `include_state` | Answer first with the state and the sequence it is of, then with the events after it |
| `from_sequence` | Replay history from there, then go on live, without a gap or a repeat |

The answer is `{"type": "subscribed", "sub_id", "items": [{"id", "data", "sequence"}]}`, one item for each state. Events come as `{"type", "sub_id", "id", "data", "timestamp", "sequence"}`, with the moment in milliseconds since the epoch. `{"type":
"unsubscribe", "data": {"sub_id": ...}}` ends a subscription. A message that cannot be understood is answered `{"type": "error", "error":
...}` and the socket stays open. `{"type": "subscribe",
"data": {"aggregate_id": ["flow", "order-17"]}}` is the short form for one aggregate with its state. A reader that falls too far behind is closed with code 1013 and may come back with
`from_sequence`; a node that stops closes with 1001."""

_SERVICES = """## What a step service sees

A `sync` or `async` step is called with its method and URL. A body is the JSON object of the step's inputs by their inner
names; a GET has none, its inputs stand in the URL. Every call, compensation included, carries `Argyll-Flow-ID`, `Argyll-Step-ID` and
`Argyll-Receipt-Token`, an async one also `Argyll-Webhook-URL`. The token names the work item: it is the same for every retry, so a service that
remembers it does the work once.

| Answer | Means |
| --- | --- |
| 2xx with a JSON object, or empty | `sync`: these are the outputs. `async`: accepted, the webhook brings the outputs |
| 4xx but 408, 425, 429 | The work failed for good; a problem document's `detail` is the error |
| 408, 425, 429, 5xx, no answer, a broken body | Tried again; `Retry-After` is honoured up to the step's `max_backoff` |

The webhook takes a JSON object of outputs (200), or a problem document for a failure. The same report again is 200 and changes
nothing. Compensation is a POST of `{"input": ..., "output": ...}` to the step's `compensate` URL."""


def page() -> str:
    """The whole page as Markdown."""
    names = _routes()
    cover("tools/reference/api.py", names, _WORDS)
    rows = [(code(name.split()[0]), code(name.split()[1]), _WORDS[name]) for name in names]
    return paragraphs(
        "# HTTP API",
        HEAD,
        table(("Method", "Path", "What"), rows),
        _RULES,
        _FLOW,
        _APPLY,
        _REVISION,
        _OWNED,
        _PAGES,
        _SOCKET,
        _SERVICES,
    )


def _routes() -> list[str]:
    """`METHOD /path` of every route in the table's order, read from its source: a router keeps no list."""
    source = ast.parse(inspect.getsource(build_router))
    names: list[str] = []
    for node in ast.walk(source):
        if isinstance(node, ast.Tuple):
            texts = [part.value for part in node.elts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            if len(texts) == 2:
                names.append(" ".join(texts))
    return names
