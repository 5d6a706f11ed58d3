"""Every call of the engine's REST API as plain data: method, path, body, and whether it may be repeated.

The async and the sync client send the same calls; neither builds a path of its own. Nothing here opens a connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from argyll.client.init import wire_init

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from argyll.model.json import JSON

FLOW_PAGE_SIZE = 200
"""Flow summaries asked for at a time; the engine accepts up to 1000."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""The largest answer a client reads; a flow of 10,000 work items is well below."""

Ids: TypeAlias = "str | Sequence[str]"


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `repeatable`: sending it twice has the effect, and the answer, of sending it once."""

    method: str
    path: str
    body: JSON = None
    repeatable: bool = True
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def payload(self) -> bytes | None:
        """The body as JSON text. Raises ValueError, naming the call, for what JSON cannot say (NaN, a set, ...)."""
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as problem:
            raise ValueError(f"{self.method} {self.path}: the values are not JSON: {problem}") from problem


def normal_base_url(base_url: str) -> str:
    """The engine's root without a trailing slash or `/engine`. Raises ValueError when it is no http(s) URL."""
    trimmed = base_url.strip().rstrip("/").removesuffix("/engine").rstrip("/")
    parts = urlsplit(trimmed)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base URL {base_url!r} is no http(s) URL: write it like http://127.0.0.1:8080")
    return trimmed


def request_headers(token: str | None, *, has_body: bool) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "argyll-client"}
    if has_body:
        headers["Content-Type"] = "application/json"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def health() -> Call:
    return Call("GET", "/health")


def ready() -> Call:
    return Call("GET", "/ready")


def engine() -> Call:
    return Call("GET", "/engine")


def catalog() -> Call:
    return Call("GET", "/engine/catalog")


def cluster() -> Call:
    return Call("GET", "/engine/cluster")


def raft() -> Call:
    return Call("GET", "/engine/raft")


def transfer_leadership(to: str | None) -> Call:
    return Call("POST", "/engine/raft/transfer", {} if to is None else {"to": to}, repeatable=False)


def step_health() -> Call:
    return Call("GET", "/engine/health")


def health_of(step_id: str) -> Call:
    return Call("GET", f"/engine/health/{_segment('step id', step_id)}")


def steps() -> Call:
    return Call("GET", "/engine/step")


def step(step_id: str) -> Call:
    return Call("GET", f"/engine/step/{_segment('step id', step_id)}")


def register(definition: Mapping[str, JSON], override: str | None = None) -> Call:
    return Call("POST", "/engine/step", dict(definition), headers=_override(override))


def update(definition: Mapping[str, JSON], override: str | None = None) -> Call:
    path = f"/engine/step/{_segment('step id', definition.get('id'))}"
    return Call("PUT", path, dict(definition), headers=_override(override))


def unregister(step_id: str, override: str | None = None) -> Call:
    # Not repeatable: the second of two deletes is answered 404.
    path = f"/engine/step/{_segment('step id', step_id)}"
    return Call("DELETE", path, repeatable=False, headers=_override(override))


def _override(reason: str | None) -> dict[str, str]:
    """The header that writes a step in spite of its owner. Raises ValueError for a reason that is no line of ASCII."""
    if reason is None:
        return {}
    if not (reason.strip() and reason.isascii() and reason.isprintable()):
        raise ValueError(f"the reason to override is {reason!r}: give one line of printable ASCII")
    return {"Argyll-Override": reason.strip()}


def apply_catalog(
    definitions: Sequence[Mapping[str, JSON]],
    *,
    owner: str,
    revision: str | None,
    expected_sequence: int | None,
    dry_run: bool,
) -> Call:
    body: dict[str, JSON] = {"owner": owner, "dry_run": dry_run, "steps": [dict(d) for d in definitions]}
    if revision is not None:
        body["revision"] = revision
    if expected_sequence is not None:
        body["expected_sequence"] = expected_sequence
    # A real apply is not repeatable: the second answer would say "unchanged", or "the sequence has moved on".
    return Call("POST", "/engine/catalog/apply", body, repeatable=dry_run)


def apply_revision(request: Mapping[str, JSON]) -> Call:
    # Repeatable: the apply's id makes the second one answer what the first did.
    return Call("POST", "/engine/catalog/apply", dict(request))


def apply_outcome(apply_id: str) -> Call:
    return Call("GET", f"/engine/catalog/apply/{_segment('apply id', apply_id)}")


def stage(apply_id: str, number: int, entries: Sequence[Mapping[str, JSON]]) -> Call:
    path = f"/engine/catalog/staging/{_segment('apply id', apply_id)}/{number}"
    return Call("PUT", path, [dict(entry) for entry in entries])


def catalog_index() -> Call:
    return Call("GET", "/engine/catalog/index")


def sources() -> Call:
    return Call("GET", "/engine/source")


def source(source_id: str) -> Call:
    return Call("GET", _source(source_id))


def configure_source(source_id: str, config: Mapping[str, JSON]) -> Call:
    return Call("PUT", _source(source_id), dict(config))


def delete_source(source_id: str) -> Call:
    return Call("DELETE", _source(source_id), repeatable=False)


def source_history(source_id: str, limit: int | None) -> Call:
    query = f"?{urlencode({'limit': limit})}" if limit is not None else ""
    return Call("GET", f"{_source(source_id)}/history{query}")


def decide_source(source_id: str, decision: str, said: Mapping[str, JSON]) -> Call:
    given = {name: value for name, value in said.items() if value is not None}
    return Call("POST", f"{_source(source_id)}/{decision}", given, repeatable=False)


def report_source(source_id: str, report: Mapping[str, JSON]) -> Call:
    # Repeatable: what is known already is not written again.
    return Call("POST", f"{_source(source_id)}/report", dict(report))


def _source(source_id: str) -> str:
    return f"/engine/source/{_segment('source id', source_id)}"


def plan(goals: Ids, init: Mapping[str, JSON] | None) -> Call:
    return Call("POST", "/engine/plan", {"goals": _ids(goals), "init": wire_init(init)})


def start(flow_id: str, goals: Ids, init: Mapping[str, JSON] | None, labels: Mapping[str, str] | None) -> Call:
    # Repeatable: the same id with the same goals and init is answered as the first time.
    body: dict[str, JSON] = {"id": flow_id, "goals": _ids(goals), "init": wire_init(init)}
    if labels:
        body["labels"] = dict(labels)
    return Call("POST", "/engine/flow", body)


def flow(flow_id: str) -> Call:
    return Call("GET", f"/engine/flow/{_segment('flow id', flow_id)}")


def status(flow_id: str) -> Call:
    return Call("GET", f"/engine/flow/{_segment('flow id', flow_id)}/status")


def cancel(flow_id: str) -> Call:
    return Call("POST", f"/engine/flow/{_segment('flow id', flow_id)}/cancel", {}, repeatable=False)


def explain(flow_id: str, step: str | None, attribute: str | None, at: int | None) -> Call:
    asked = {"step": step, "attribute": attribute, "at": at}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return Call("GET", f"/engine/flow/{_segment('flow id', flow_id)}/explain" + (f"?{query}" if query else ""))


def flows_page(
    *,
    id_prefix: str | None,
    labels: Mapping[str, str] | None,
    statuses: Sequence[str] | None,
    sort: str,
    limit: int,
    cursor: str | None,
) -> Call:
    body: dict[str, JSON] = {"sort": sort, "limit": limit}
    if id_prefix:
        body["id_prefix"] = id_prefix
    if labels:
        body["labels"] = dict(labels)
    if statuses:
        body["statuses"] = list(statuses)
    if cursor is not None:
        body["cursor"] = cursor
    return Call("POST", "/engine/flow/query", body)


def flow_events(flow_id: str, start: int) -> Call:
    return _events(f"/engine/flow/{_segment('flow id', flow_id)}/events", start)


def catalog_events(start: int) -> Call:
    return _events("/engine/catalog/events", start)


def cluster_events(start: int) -> Call:
    return _events("/engine/cluster/events", start)


def read_events(page: dict[str, JSON], start: int) -> tuple[list[dict[str, JSON]], int | None]:
    """The events of a page from sequence `start` on, and where the next page starts, if there is one."""
    events: list[dict[str, JSON]] = page.get("events") or []
    return [event for event in events if event["sequence"] >= start], page.get("next")


def _events(path: str, start: int) -> Call:
    # Without a limit, a page is as large as the engine makes it.
    return Call("GET", f"{path}?{urlencode({'from': start})}")


def _ids(goals: Ids) -> list[str]:
    return [goals] if isinstance(goals, str) else list(goals)


def _segment(what: str, value: JSON) -> str:
    """One path segment. An empty one would address another route, so it is refused here."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} is {value!r}: give a non-empty string")
    return quote(value, safe="")
