"""The page of settings and limits, from the tables that the engine, the server, the store and the scripts use."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import structs

from argyll.engine import (
    caller,
    catalog_apply,
    catalog_guards,
    catalog_revisions,
    catalog_sets,
    catalog_sources,
    catalog_staging,
    config,
)
from argyll.engine.config import SETTINGS, EngineConfig
from argyll.model import catalog as model_catalog
from argyll.model import limits
from argyll.model.step import DEFAULT_WORK
from argyll.scripts.interface import DEFAULT_LIMITS, MAX_SCRIPT_CHARS, Limits
from argyll.server.config import ServerConfig
from argyll.store import StoreOptions
from tools.reference.markdown import HEAD, code, cover, paragraphs, table

_PLACE = "tools/reference/configuration.py"

_SETTINGS = {
    "data_dir": "Where everything is kept. One node has it at a time.",
    "node_id": "This node's name in events and health.",
    "api_host": "Address the API listens on.",
    "api_port": "Port the API listens on.",
    "webhook_base_url": "Base of the URLs that async steps call back, as the services see this node; empty means the API's address.",
    "log_level": "How much is written to standard error.",
    "step_timeout_ms": "How long a call may take when the step does not say.",
    "step_client": "How steps are called: `plain` uses connections of its own for `http://` and aiohttp for the rest, `aiohttp` always.",
    "flow_cache_entries": "Flows whose state is kept in memory; others are read from disk when needed.",
    "memo_cache_entries": "Remembered results of memoizable steps.",
    "max_concurrent_calls": "Step calls in flight on a node; more wait their turn.",
    "max_pending_appends": "Appends waiting for the disk before new flows are refused with 503.",
    "script_workers": "Processes for scripts that are too long for the event loop; started when first needed.",
    "script_steps": "Steps of one evaluation in such a process.",
    "script_time_ms": "Its time, in milliseconds.",
    "script_memory_bytes": "What a Lua script may allocate there.",
    "drain_s": "How long a stopping node waits for calls in flight, in seconds.",
    "health_period_s": "Time between two looks at every step's health, in seconds.",
    "unhealthy_wait_s": "How long work of an unhealthy step waits before it runs all the same, in seconds.",
    "fsync": "Where the disk is waited for: `auto` measures it at start, `thread` never blocks the loop, `inline` is for quick disks.",
    "raft_servers": "Every node of a cluster, this one too, by name and by the address at which the others reach it. Fewer than two: a node on its own.",
    "raft_address": "Where this node listens for the others; empty means at its address among the servers.",
    "raft_tls_cert": "This node's certificate for mutual TLS between nodes; it names the node's id as a DNS name.",
    "raft_tls_key": "Its key.",
    "raft_tls_ca": "The authority whose certificates are the cluster's.",
    "max_retries": "Calls after the first one when the step does not say; `-1` in a step is unlimited.",
    "init_backoff_ms": "Wait before the first retry.",
    "max_backoff_ms": "Wait that no retry exceeds.",
    "backoff_type": "How waits grow.",
}

_SERVER = {
    "host": "As `api_host`.",
    "port": "As `api_port`.",
    "cors_origins": "Origins that browsers may call from; none means that no CORS header is sent.",
    "access_log": "A line for every request.",
    "max_step_bytes": "Body of a step.",
    "max_catalog_bytes": "Body of a catalog apply.",
    "max_request_bytes": "Every other body.",
    "body_timeout_s": "A body must have arrived so long after its head, in seconds.",
    "keepalive_s": "An idle connection is closed after so long, in seconds.",
    "max_events_page": "Events in one history answer.",
    "max_events_page_bytes": "A history answer ends with the event that reaches this size, and says where to go on.",
    "ws_connections": "WebSockets on one node.",
    "ws_subscriptions": "Subscriptions on one WebSocket.",
    "ws_message_bytes": "What a client may send in one message.",
    "ws_queue_messages": "Messages waiting for one WebSocket; a reader further behind is closed with 1013.",
    "ws_queue_bytes": "The same in bytes.",
    "ws_ping_s": "Time between two pings, in seconds.",
    "ws_close_s": "How long a closing WebSocket waits for the other side, in seconds.",
}

_STORE = {
    "fsync": "As the setting above.",
    "segment_bytes": "Size of one file of the log.",
    "max_append_bytes": "All events of one command together.",
    "max_in_flight_bytes": "Bytes waiting for the disk.",
    "max_in_flight_appends": "Appends waiting for the disk.",
    "flush_appends": "Rows go to `state.db` when so many wait.",
    "flush_delay_ms": "Or after so long, in milliseconds. The log makes them durable before.",
    "checkpoint_bytes": "Bytes written to `state.db` between two of its checkpoints.",
    "cached_aggregates": "Aggregates whose next sequence stays in memory.",
}
_NOT_OPTIONS = frozenset(("now_us", "new_session"))
"""Fields of the store's options that are ways in for tests, nothing to set."""

_MODEL = {
    "MAX_STEP_BODY_BYTES": "One step, as a body and as canonical JSON.",
    "MAX_REQUEST_BODY_BYTES": "Any other request body.",
    "MAX_CATALOG_APPLY_BYTES": "One catalog apply.",
    "MAX_RESPONSE_BYTES": "What is read of a step's response; a larger one fails the work.",
    "MAX_JSON_DEPTH": "Nesting of JSON in requests.",
    "MAX_FLOW_ID_BYTES": "Id of a flow.",
    "MAX_GOALS": "Goals of one flow.",
    "MAX_INIT_KEYS": "Names in init.",
    "MAX_LABELS": "Labels of a flow.",
    "MAX_WORK_ITEMS": "Work items of one step; one more fails the step.",
    "MAX_DEADLINE_MS": "`deadline` of an optional input.",
    "MAX_EVENTS_PAGE": "Events in one history answer.",
    "MAX_FLOWS_PAGE": "Flows in one list answer.",
    "MAX_PLAN_DEPTH": "Nesting of flow steps.",
}

_ENGINE = {
    "MAX_APPLY_STEPS": "Steps in one catalog apply.",
    "MAX_UNAPPROVED_CHANGES": "Steps that one revision may change without an approval, unless it is the source's first.",
    "MAX_STAGED_APPLIES": "Revisions whose parts a node keeps; the oldest goes first.",
    "MAX_STAGED_BYTES": "All parts together; the oldest revision goes first.",
    "MAX_CHUNKS": "Parts of one revision.",
    "MAX_CHUNK_BYTES": "One part, without its compression.",
    "MAX_REJECTIONS": "Refused revisions that a node remembers.",
    "MAX_REMEMBERED_APPLIES": "Applied revisions of a source that repetitions and rollbacks find.",
    "MAX_SOURCES": "Sources with a record.",
    "MAX_NAME_CHARS": "A revision, a source's id, an actor.",
    "MAX_CONNECTIONS": "Open connections from a node to step services.",
    "HEALTH_TIMEOUT_S": "How long a health URL may take, in seconds.",
}

_SCRIPTS = {
    "steps": "Calls, loop turns or visited nodes; counted the same every time.",
    "wall_ms": "Time, in milliseconds.",
    "depth": "Nested calls.",
    "size": "Elements of one collection.",
    "text": "Characters of one string.",
    "output": "Characters of one result, all strings together.",
    "memory": "Bytes a Lua script may allocate.",
}

_INTRO = f"""A setting is given as a flag of `argyll serve` (where there is one), as an environment variable, or under its name in the YAML
file of `--config`; the first of these that has it wins. A value that cannot be used is an error that names where it came
from. A file looks like this:

```yaml
api_port: 9000
data_dir: /var/lib/argyll
max_retries: {DEFAULT_WORK.max_retries}
```"""

_LIMITS = """Everything that could grow without end has a limit, and the error that a limit causes names it. These are fixed in this
release unless the table above has them."""


def page() -> str:
    """The whole page as Markdown."""
    return paragraphs(
        "# Configuration",
        HEAD,
        "## Settings of a node",
        _INTRO,
        _settings(),
        "The command line takes the engine's address from `--engine`, then `ARGYLL_ENGINE`, then `http://127.0.0.1:8080`.",
        "## Limits",
        _LIMITS,
        "### Model",
        _limits(_MODEL, ((name, getattr(limits, name)) for name in dir(limits) if name.startswith("MAX_"))),
        "### Engine",
        _limits(_ENGINE, ((name, _engine_limit(name)) for name in _ENGINE)),
        "### HTTP and WebSocket",
        _limits(_SERVER, ((field.name, field.default) for field in dataclasses.fields(ServerConfig))),
        "### Store",
        _limits(_STORE, ((f.name, f.default) for f in structs.fields(StoreOptions) if f.name not in _NOT_OPTIONS)),
        "### One evaluation of a script",
        f"A script's text has at most {MAX_SCRIPT_CHARS:,} characters. A script that uses up a limit fails like any other.",
        _limits(_SCRIPTS, ((field.name, getattr(DEFAULT_LIMITS, field.name)) for field in dataclasses.fields(Limits))),
    )


def _settings() -> str:
    cover(_PLACE, (setting.field for setting in SETTINGS), _SETTINGS)
    rows = [
        (code(s.field), code(s.variable), code(_default(s.field, of_work=s.of_work)), s.accepts, _SETTINGS[s.field])
        for s in SETTINGS
    ]
    return table(("Name", "Variable", "Default", "Accepts", "Meaning"), rows)


def _default(field: str, *, of_work: bool) -> str:
    if field == "data_dir":
        return "~/.local/share/argyll/<node_id>"
    value = getattr(DEFAULT_WORK if of_work else EngineConfig(data_dir=Path()), field)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _engine_limit(name: str) -> object:
    homes: Iterable[object] = (
        catalog_sets, catalog_apply, catalog_guards, catalog_revisions, catalog_sources, catalog_staging, model_catalog,
        caller, config,
    )  # fmt: skip
    return next(getattr(home, name) for home in homes if hasattr(home, name))


def _limits(words: dict[str, str], values: Iterable[tuple[str, object]]) -> str:
    known = dict(values)
    cover(_PLACE, known, words)
    return table(("Limit", "Default", "What"), [(code(n), code(_shown(known[n])), words[n]) for n in words])


def _shown(value: object) -> str:
    for kind, show in _SHOWN:
        if isinstance(value, kind):
            return show(value)
    return str(value)


_SHOWN: tuple[tuple[type, Callable[[object], str]], ...] = (
    (bool, lambda value: "on" if value else "off"),
    (int, lambda value: f"{value:,}"),
    (float, lambda value: f"{value:g}"),
    (tuple, lambda value: "" if not value else str(value)),
)
