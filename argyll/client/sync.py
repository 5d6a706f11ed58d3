"""The engine's API for programs without asyncio: the methods of `AsyncClient`, blocking.

Each call opens its own connection, so one client may be shared by threads. Never call it from a running event loop.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from argyll.client import calls
from argyll.client.api import DEFAULT_URL, AsyncClient, answered, oversize
from argyll.client.errors import ClientError, Conflict, StepOwned, Unreachable
from argyll.client.retry import RetryPolicy

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from argyll.client.positions import Change
    from argyll.model.json import JSON


class Client:
    """A blocking client of one engine. Parameters, answers and errors are those of `AsyncClient`.

    `timeout_s` bounds connecting, and each wait for bytes, of one attempt.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        timeout_s: float = 30.0,
        *,
        retry: RetryPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
        entropy: Callable[[], float] = random.random,
    ) -> None:
        self.base_url = calls.normal_base_url(base_url)
        self._token = token
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._tls = tls
        self._sleep = sleep
        self._entropy = entropy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open between calls; here so that both clients are used alike."""

    # The engine

    def health(self) -> dict[str, JSON]:
        """Liveness of the node: `{service, status, details}`."""
        return self._send(calls.health())

    def ready(self) -> dict[str, JSON]:
        """Raises `Unavailable` while the node cannot serve."""
        return self._send(calls.ready())

    def engine(self) -> dict[str, JSON]:
        """Catalog and health together: `{last_updated, steps, attributes, health}`."""
        return self._send(calls.engine())

    def cluster(self) -> dict[str, JSON]:
        """Every node's view of step health: `{last_updated, nodes}`."""
        return self._send(calls.cluster())

    def raft(self) -> dict[str, JSON]:
        """The log as the node sees it: `{node_id, role, term, leader_id, has_quorum, peers, ...}`."""
        return self._send(calls.raft())

    def transfer_leadership(self, to: str | None = None) -> dict[str, JSON]:
        """Leadership to another node, the one furthest unless named. Raises `Conflict` on a node that does not lead."""
        return self._send(calls.transfer_leadership(to))

    def cluster_events(self, start: int = 0) -> Iterator[dict[str, JSON]]:
        """The cluster's history from sequence `start` on."""
        return self._events(calls.cluster_events, start)

    def step_health(self) -> dict[str, JSON]:
        """Health of every step on every node, `unknown` where a node has not reported."""
        return self._send(calls.step_health())

    def health_of(self, step_id: str) -> dict[str, JSON]:
        """Health of one step over all nodes, the worst first: `{status, error?}`."""
        return self._send(calls.health_of(step_id))

    # The catalog

    def catalog(self) -> dict[str, JSON]:
        """`{last_updated, steps, attributes}`."""
        return self._send(calls.catalog())

    def catalog_events(self, start: int = 0) -> Iterator[dict[str, JSON]]:
        """The catalog's history from sequence `start` on."""
        return self._events(calls.catalog_events, start)

    def steps(self) -> list[dict[str, JSON]]:
        """Every step of the catalog."""
        return self._send(calls.steps()).get("steps") or []

    def step(self, step_id: str) -> dict[str, JSON]:
        return self._send(calls.step(step_id))

    def register(self, definition: Mapping[str, JSON], *, override: str | None = None) -> dict[str, JSON]:
        """Adds a step: `{step, message}`. The same content again is fine; other content under the id is a `Conflict`.

        A step that a source owns is `StepOwned`, or, where the source ignores what others write, left as it is: the
        answer then has `owned_by`. `override`, a reason that is recorded, writes it all the same.
        """
        return self._send(calls.register(definition, override))

    def update(self, definition: Mapping[str, JSON], *, override: str | None = None) -> dict[str, JSON]:
        """Replaces the step of the same id: `{step, message}`. Running flows keep the old one. Owned ones: `register`."""
        return self._send(calls.update(definition, override))

    def unregister(self, step_id: str, *, override: str | None = None) -> dict[str, JSON]:
        """Removes a step. Owned ones: see `register`."""
        return self._send(calls.unregister(step_id, override))

    def ensure(self, definition: Mapping[str, JSON]) -> dict[str, JSON]:
        """Registers a step, or replaces it; see `AsyncClient.ensure`."""
        try:
            try:
                return self.register(definition)
            except StepOwned:
                raise
            except Conflict:
                return self.update(definition)
        except StepOwned as owned:
            return {"message": owned.detail, "owned_by": owned.owner}

    def apply_catalog(
        self,
        steps: Sequence[Mapping[str, JSON]],
        *,
        owner: str,
        revision: str | None = None,
        expected_sequence: int | None = None,
        dry_run: bool = False,
    ) -> dict[str, JSON]:
        """Makes `steps` the whole of what `owner` has in the catalog; see `AsyncClient.apply_catalog`."""
        return self._send(
            calls.apply_catalog(
                steps, owner=owner, revision=revision, expected_sequence=expected_sequence, dry_run=dry_run
            )
        )

    # Revisions and sources

    def apply_revision(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """See `AsyncClient.apply_revision`."""
        return self._send(calls.apply_revision(request))

    def apply_outcome(self, apply_id: str) -> dict[str, JSON]:
        """See `AsyncClient.apply_outcome`."""
        return self._send(calls.apply_outcome(apply_id))

    def stage(self, apply_id: str, number: int, entries: Sequence[Mapping[str, JSON]]) -> str:
        """See `AsyncClient.stage`."""
        answer = self._send(calls.stage(apply_id, number, entries))
        return answer["chunk"]

    def catalog_index(self) -> dict[str, JSON]:
        """See `AsyncClient.catalog_index`."""
        return self._send(calls.catalog_index())

    def sources(self) -> list[dict[str, JSON]]:
        """See `AsyncClient.sources`."""
        answer = self._send(calls.sources())
        return answer["sources"]

    def source(self, source_id: str) -> dict[str, JSON]:
        """See `AsyncClient.source`."""
        return self._send(calls.source(source_id))

    def configure_source(self, source_id: str, config: Mapping[str, JSON]) -> dict[str, JSON]:
        """See `AsyncClient.configure_source`."""
        return self._send(calls.configure_source(source_id, config))

    def delete_source(self, source_id: str) -> dict[str, JSON]:
        """See `AsyncClient.delete_source`."""
        return self._send(calls.delete_source(source_id))

    def source_history(self, source_id: str, limit: int | None = None) -> list[dict[str, JSON]]:
        """See `AsyncClient.source_history`."""
        answer = self._send(calls.source_history(source_id, limit))
        return answer["applies"]

    def decide_source(self, source_id: str, decision: str, **said: JSON) -> dict[str, JSON]:
        """See `AsyncClient.decide_source`."""
        return self._send(calls.decide_source(source_id, decision, said))

    def roll_back_source(self, source_id: str, **said: JSON) -> dict[str, JSON]:
        """See `AsyncClient.roll_back_source`."""
        return self._send(calls.decide_source(source_id, "rollback", said))

    def report_source(self, source_id: str, report: Mapping[str, JSON]) -> bool:
        """See `AsyncClient.report_source`."""
        answer = self._send(calls.report_source(source_id, report))
        return answer["recorded"]

    # Plans and flows

    def plan(self, goals: calls.Ids, init: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
        """What a flow with these goals and init would run; nothing is started."""
        return self._send(calls.plan(goals, init))

    def start(
        self,
        flow_id: str,
        goals: calls.Ids,
        init: Mapping[str, JSON] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Starts a flow and returns its id as the engine spells it; see `AsyncClient.start`."""
        return self._send(calls.start(flow_id, goals, init, labels))["flow_id"]

    def start_and_wait(
        self,
        flow_id: str,
        goals: calls.Ids,
        init: Mapping[str, JSON] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        timeout_s: float = 60.0,
    ) -> dict[str, JSON]:
        """Starts a flow and returns its state once it is completed or failed. Raises `FlowTimeout`."""
        started = self.start(flow_id, goals, init, labels)
        return self.wait(started, timeout_s=timeout_s, must_exist=False)

    def wait(self, flow_id: str, *, timeout_s: float = 60.0, must_exist: bool = True) -> dict[str, JSON]:
        """The state of a flow once it is completed or failed; see `AsyncClient.wait`."""

        async def waiting() -> dict[str, JSON]:
            async with self._async_twin() as client:
                return await client.wait(flow_id, timeout_s=timeout_s, must_exist=must_exist)

        with asyncio.Runner() as runner:
            return runner.run(waiting())

    def flow(self, flow_id: str) -> dict[str, JSON]:
        """The whole state of a flow."""
        return self._send(calls.flow(flow_id))

    def status(self, flow_id: str) -> str:
        """`active` until everything of the flow has settled, then `completed` or `failed`."""
        return self._send(calls.status(flow_id))["status"]

    def explain(
        self, flow_id: str, *, step: str | None = None, attribute: str | None = None, at: int | None = None
    ) -> dict[str, JSON]:
        """Why the flow is as it is, and what it waits for; see `AsyncClient.explain`."""
        return self._send(calls.explain(flow_id, step, attribute, at))

    def cancel(self, flow_id: str) -> dict[str, JSON]:
        """No new steps start, pending work is cancelled, the flow fails with "cancelled"."""
        return self._send(calls.cancel(flow_id))

    def events(self, flow_id: str, start: int = 0) -> Iterator[dict[str, JSON]]:
        """A flow's history from sequence `start` on, read in pages."""
        return self._events(lambda at: calls.flow_events(flow_id, at), start)

    def flows(
        self,
        *,
        id_prefix: str | None = None,
        labels: Mapping[str, str] | None = None,
        statuses: Sequence[str] | None = None,
        sort: str = "recent_desc",
        page_size: int = calls.FLOW_PAGE_SIZE,
    ) -> Iterator[dict[str, JSON]]:
        """Summaries `{id, status, timestamp, labels?, error?}` of the flows that match, read in pages."""
        cursor: str | None = None
        while True:
            page = self.flows_page(
                id_prefix=id_prefix, labels=labels, statuses=statuses, sort=sort, limit=page_size, cursor=cursor
            )
            yield from page["flows"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def flows_page(
        self,
        *,
        id_prefix: str | None = None,
        labels: Mapping[str, str] | None = None,
        statuses: Sequence[str] | None = None,
        sort: str = "recent_desc",
        limit: int = calls.FLOW_PAGE_SIZE,
        cursor: str | None = None,
    ) -> dict[str, JSON]:
        """One page: `{flows, count, total?, has_more?, next_cursor?}`."""
        return self._send(
            calls.flows_page(
                id_prefix=id_prefix, labels=labels, statuses=statuses, sort=sort, limit=limit, cursor=cursor
            )
        )

    # Watching

    def watch(
        self,
        *aggregate_ids: Sequence[str],
        event_types: Sequence[str] | None = None,
        from_sequence: int | None = None,
        include_state: bool = False,
        on_connection: Callable[[bool], None] | None = None,
    ) -> Iterator[Change]:
        """Changes as they are committed; see `AsyncClient.watch`.

        The connection is served only while the caller waits for the next change. One who dawdles may find it closed by
        the engine: the watch then resumes by sequence.
        """
        with asyncio.Runner() as runner:
            client = self._async_twin()
            changes = client.watch(
                *aggregate_ids,
                event_types=event_types,
                from_sequence=from_sequence,
                include_state=include_state,
                on_connection=on_connection,
            )

            async def following() -> Change:
                return await anext(changes)

            try:
                while True:
                    yield runner.run(following())
            finally:
                runner.run(client.close())

    # Sending

    def _async_twin(self) -> AsyncClient:
        return AsyncClient(self.base_url, self._token, self._timeout_s, retry=self._retry, tls=self._tls)

    def _events(self, page_at: Callable[[int], calls.Call], start: int) -> Iterator[dict[str, JSON]]:
        following: int | None = start
        while following is not None:
            start = following
            events, following = calls.read_events(self._send(page_at(start)), start)
            yield from events

    def _send(self, call: calls.Call) -> dict[str, JSON]:
        failures = 0
        payload = call.payload()
        while True:
            try:
                return self._attempt(call, payload)
            except ClientError as failure:
                failures += 1
                delay_s = self._retry.delay_s(failure, failures, repeatable=call.repeatable, entropy=self._entropy)
                if delay_s is None:
                    raise
                self._sleep(delay_s)

    def _attempt(self, call: calls.Call, payload: bytes | None) -> dict[str, JSON]:
        url = self.base_url + call.path
        connection = self._connection()
        try:
            try:
                connection.connect()
            except OSError as problem:
                raise Unreachable(call.method, url, str(problem), sent=False) from problem
            headers = calls.request_headers(self._token, has_body=payload is not None) | call.headers
            connection.request(call.method, urlsplit(self.base_url).path + call.path, payload, headers)
            response = connection.getresponse()
            body = response.read(calls.MAX_ANSWER_BYTES + 1)
            if len(body) > calls.MAX_ANSWER_BYTES:
                raise oversize(call.method, url)
            return answered(call, url, response.status, response.headers.get("Retry-After"), body)
        except (OSError, http.client.HTTPException) as problem:
            raise Unreachable(call.method, url, str(problem) or type(problem).__name__, sent=True) from problem
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, parts.port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(host, parts.port, timeout=self._timeout_s)
