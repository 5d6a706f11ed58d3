"""The engine's API for asyncio programs: one method per call, retries, paging, waiting and watching.

Holds one pooled HTTP session; keeps no state of flows or steps. Answers are the API's JSON, unchanged.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Self

import msgspec

from argyll.client import calls
from argyll.client.errors import (
    BadAnswer,
    ClientError,
    Conflict,
    FlowTimeout,
    StepOwned,
    Unreachable,
    error_from_answer,
)
from argyll.client.positions import Change, Positions, WatchEvent, WatchGap, WatchState
from argyll.client.retry import RetryPolicy
from argyll.model.json import decode

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

    import aiohttp

    from argyll.model.json import JSON

DEFAULT_URL = "http://127.0.0.1:8080"
ENDED = frozenset({"completed", "failed"})
"""The statuses of a flow that has its outcome."""

_ENDINGS = ("flow_completed", "flow_failed")
_READ_CHUNK_BYTES = 1 << 16


class AsyncClient:
    """A client of one engine; use it as an async context manager or call `close()`.

    `timeout_s` bounds one attempt of a call. Calls that are safe to repeat are retried per `retry` on transport errors
    and 503. `tls` overrides certificate checking for https. `sleep` and `entropy` (numbers in [0, 1)) are for tests.

    Every method raises `Unreachable`, `BadAnswer`, or an `ApiError`: `Invalid`, `Denied`, `NotFound`, `Conflict`,
    `Unavailable`.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        timeout_s: float = 30.0,
        *,
        retry: RetryPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        entropy: Callable[[], float] = random.random,
    ) -> None:
        self.base_url = calls.normal_base_url(base_url)
        self._token = token
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._tls = tls
        self._sleep = sleep
        self._entropy = entropy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. A later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # The engine

    async def health(self) -> dict[str, JSON]:
        """Liveness of the node: `{service, status, details}`."""
        return await self._send(calls.health())

    async def ready(self) -> dict[str, JSON]:
        """Raises `Unavailable` while the node cannot serve."""
        return await self._send(calls.ready())

    async def engine(self) -> dict[str, JSON]:
        """Catalog and health together: `{last_updated, steps, attributes, health}`."""
        return await self._send(calls.engine())

    async def cluster(self) -> dict[str, JSON]:
        """Every node's view of step health: `{last_updated, nodes}`."""
        return await self._send(calls.cluster())

    async def raft(self) -> dict[str, JSON]:
        """The log as the node sees it: `{node_id, role, term, leader_id, has_quorum, peers, ...}`."""
        return await self._send(calls.raft())

    async def transfer_leadership(self, to: str | None = None) -> dict[str, JSON]:
        """Leadership to another node, the one furthest unless named. Raises `Conflict` on a node that does not lead."""
        return await self._send(calls.transfer_leadership(to))

    async def cluster_events(self, start: int = 0) -> AsyncIterator[dict[str, JSON]]:
        """The cluster's history from sequence `start` on."""
        async for event in self._events(calls.cluster_events, start):
            yield event

    async def step_health(self) -> dict[str, JSON]:
        """Health of every step on every node, `unknown` where a node has not reported."""
        return await self._send(calls.step_health())

    async def health_of(self, step_id: str) -> dict[str, JSON]:
        """Health of one step over all nodes, the worst first: `{status, error?}`."""
        return await self._send(calls.health_of(step_id))

    # The catalog

    async def catalog(self) -> dict[str, JSON]:
        """`{last_updated, steps, attributes}`."""
        return await self._send(calls.catalog())

    async def catalog_events(self, start: int = 0) -> AsyncIterator[dict[str, JSON]]:
        """The catalog's history from sequence `start` on."""
        async for event in self._events(calls.catalog_events, start):
            yield event

    async def steps(self) -> list[dict[str, JSON]]:
        """Every step of the catalog."""
        answer = await self._send(calls.steps())
        return answer.get("steps") or []

    async def step(self, step_id: str) -> dict[str, JSON]:
        return await self._send(calls.step(step_id))

    async def register(self, definition: Mapping[str, JSON], *, override: str | None = None) -> dict[str, JSON]:
        """Adds a step: `{step, message}`. The same content again is fine; other content under the id is a `Conflict`.

        A step that a source owns is `StepOwned`, or, where the source ignores what others write, left as it is: the
        answer then has `owned_by`. `override`, a reason that is recorded, writes it all the same.
        """
        return await self._send(calls.register(definition, override))

    async def update(self, definition: Mapping[str, JSON], *, override: str | None = None) -> dict[str, JSON]:
        """Replaces the step of the same id: `{step, message}`. Running flows keep the old one. Owned ones: `register`."""
        return await self._send(calls.update(definition, override))

    async def unregister(self, step_id: str, *, override: str | None = None) -> dict[str, JSON]:
        """Removes a step. Owned ones: see `register`."""
        return await self._send(calls.unregister(step_id, override))

    async def ensure(self, definition: Mapping[str, JSON]) -> dict[str, JSON]:
        """Registers a step, or replaces it: what a service says of itself when it starts.

        A step that a source owns stays as the source has it, which is no failure: the answer then has `owned_by`.
        """
        try:
            try:
                return await self.register(definition)
            except StepOwned:
                raise
            except Conflict:
                return await self.update(definition)
        except StepOwned as owned:
            return {"message": owned.detail, "owned_by": owned.owner}

    async def apply_catalog(
        self,
        steps: Sequence[Mapping[str, JSON]],
        *,
        owner: str,
        revision: str | None = None,
        expected_sequence: int | None = None,
        dry_run: bool = False,
    ) -> dict[str, JSON]:
        """Makes `steps` the whole of what `owner` has in the catalog, in one commit or not at all.

        Answers `{applied, sequence, created, updated, deleted, unchanged, warnings}`. With `expected_sequence`, a
        catalog that has moved on is a `Conflict`. Never repeated by itself unless it cannot have taken effect.
        """
        return await self._send(
            calls.apply_catalog(
                steps, owner=owner, revision=revision, expected_sequence=expected_sequence, dry_run=dry_run
            )
        )

    # Revisions and sources

    async def apply_revision(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """Applies one revision of a source in one commit, or not at all; the request is that of the API's full form.

        Safe to repeat: an apply that was committed is answered as the first time, with `duplicate`. Raises `Conflict` when
        the plan is not of this catalog, `StepOwned`, `Invalid`, `Stopped`, `ApprovalNeeded`.
        """
        return await self._send(calls.apply_revision(request))

    async def apply_outcome(self, apply_id: str) -> dict[str, JSON]:
        """What became of a revision: `state` is committed, staged or rejected. `NotFound`: send it again."""
        return await self._send(calls.apply_outcome(apply_id))

    async def stage(self, apply_id: str, number: int, entries: Sequence[Mapping[str, JSON]]) -> str:
        """Sends steps of a large revision ahead; the name returned goes into its `chunks`."""
        answer = await self._send(calls.stage(apply_id, number, entries))
        return answer["chunk"]

    async def catalog_index(self) -> dict[str, JSON]:
        """The catalog in short: `{sequence, steps: {id: {live_hash, owner?, ...}}, sources: {id: {revision, ...}}}`."""
        return await self._send(calls.catalog_index())

    async def sources(self) -> list[dict[str, JSON]]:
        """Every source with its status, by id."""
        answer = await self._send(calls.sources())
        return answer["sources"]

    async def source(self, source_id: str) -> dict[str, JSON]:
        """A source: configuration, status on three axes, what was decided about it."""
        return await self._send(calls.source(source_id))

    async def configure_source(self, source_id: str, config: Mapping[str, JSON]) -> dict[str, JSON]:
        """Makes this the source's whole configuration, and shows the source."""
        return await self._send(calls.configure_source(source_id, config))

    async def delete_source(self, source_id: str) -> dict[str, JSON]:
        """Forgets a source. Its steps stay and belong to nobody: `{message, orphaned}`."""
        return await self._send(calls.delete_source(source_id))

    async def source_history(self, source_id: str, limit: int | None = None) -> list[dict[str, JSON]]:
        """Applied revisions, newest first."""
        answer = await self._send(calls.source_history(source_id, limit))
        return answer["applies"]

    async def decide_source(self, source_id: str, decision: str, **said: JSON) -> dict[str, JSON]:
        """Records a decision: refresh, suspend (`reason`, `until`), resume, hold (`revision`, `skip`, `pin`), approve
        (`plan_digest`), each with `actor` and, but for refresh, `reason`. Shows the source.
        """
        return await self._send(calls.decide_source(source_id, decision, said))

    async def roll_back_source(self, source_id: str, **said: JSON) -> dict[str, JSON]:
        """Goes back to revision `to`, or to the one before, and holds it; with `pin` until resume, with `dry_run` not at all."""
        return await self._send(calls.decide_source(source_id, "rollback", said))

    async def report_source(self, source_id: str, report: Mapping[str, JSON]) -> bool:
        """For agents: what was seen, as `{type, ...}`. False when that was known."""
        answer = await self._send(calls.report_source(source_id, report))
        return answer["recorded"]

    # Plans and flows

    async def plan(self, goals: calls.Ids, init: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
        """What a flow with these goals and init would run; nothing is started."""
        return await self._send(calls.plan(goals, init))

    async def start(
        self,
        flow_id: str,
        goals: calls.Ids,
        init: Mapping[str, JSON] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Starts a flow and returns its id as the engine spells it.

        Each init value is one value, lists too; `Candidates([...])` gives several. Starting the same again is fine.
        """
        answer = await self._send(calls.start(flow_id, goals, init, labels))
        return answer["flow_id"]

    async def start_and_wait(
        self,
        flow_id: str,
        goals: calls.Ids,
        init: Mapping[str, JSON] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        timeout_s: float = 60.0,
    ) -> dict[str, JSON]:
        """Starts a flow and returns its state once it is completed or failed: look at `status`, `attributes`, `error`.

        Raises `FlowTimeout` when it takes longer than `timeout_s`; the flow runs on.
        """
        started = await self.start(flow_id, goals, init, labels)
        return await self.wait(started, timeout_s=timeout_s, must_exist=False)

    async def wait(self, flow_id: str, *, timeout_s: float = 60.0, must_exist: bool = True) -> dict[str, JSON]:
        """The state of a flow once it is completed or failed. Raises `FlowTimeout`; `NotFound` for an unknown id.

        `must_exist=False` waits for a flow too that this node has not heard of yet.
        """
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                if must_exist:
                    await self.status(flow_id)
                return await self._ended(flow_id)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise FlowTimeout(flow_id, timeout_s) from None

    async def flow(self, flow_id: str) -> dict[str, JSON]:
        """The whole state of a flow."""
        return await self._send(calls.flow(flow_id))

    async def status(self, flow_id: str) -> str:
        """`active` until everything of the flow has settled, then `completed` or `failed`."""
        answer = await self._send(calls.status(flow_id))
        return answer["status"]

    async def explain(
        self, flow_id: str, *, step: str | None = None, attribute: str | None = None, at: int | None = None
    ) -> dict[str, JSON]:
        """Why the flow is as it is, and what it waits for; in full about one `step` or `attribute`.

        `at` is the sequence of the last event that counts; without it, all do. Raises `NotFound` for an unknown flow,
        step or attribute.
        """
        return await self._send(calls.explain(flow_id, step, attribute, at))

    async def cancel(self, flow_id: str) -> dict[str, JSON]:
        """No new steps start, pending work is cancelled, the flow fails with "cancelled"."""
        return await self._send(calls.cancel(flow_id))

    async def events(self, flow_id: str, start: int = 0) -> AsyncIterator[dict[str, JSON]]:
        """A flow's history from sequence `start` on, read in pages."""
        async for event in self._events(lambda at: calls.flow_events(flow_id, at), start):
            yield event

    async def flows(
        self,
        *,
        id_prefix: str | None = None,
        labels: Mapping[str, str] | None = None,
        statuses: Sequence[str] | None = None,
        sort: str = "recent_desc",
        page_size: int = calls.FLOW_PAGE_SIZE,
    ) -> AsyncIterator[dict[str, JSON]]:
        """Summaries `{id, status, timestamp, labels?, error?}` of the flows that match, read in pages."""
        cursor: str | None = None
        while True:
            page = await self.flows_page(
                id_prefix=id_prefix, labels=labels, statuses=statuses, sort=sort, limit=page_size, cursor=cursor
            )
            for summary in page["flows"]:
                yield summary
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def flows_page(
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
        return await self._send(
            calls.flows_page(
                id_prefix=id_prefix, labels=labels, statuses=statuses, sort=sort, limit=limit, cursor=cursor
            )
        )

    # Watching

    async def watch(
        self,
        *aggregate_ids: Sequence[str],
        event_types: Sequence[str] | None = None,
        from_sequence: int | None = None,
        include_state: bool = False,
        on_connection: Callable[[bool], None] | None = None,
    ) -> AsyncGenerator[Change]:
        """Changes as they are committed: `WatchEvent`, `WatchState` (with `include_state`), `WatchGap`.

        Aggregate ids are `("catalog",)`, `("cluster",)`, `("engine",)` for both, `("flow", id)`, or a prefix such as
        `("flow",)`; none means all. `from_sequence` replays each from there. After a break the watch connects again and
        resumes each aggregate by sequence, without a gap or a duplicate; a prefix, or an aggregate whose position is
        not known, gives a `WatchGap` instead. Wrap in `contextlib.aclosing` to end it early.
        """
        positions = Positions(
            aggregate_ids, event_types=event_types, from_sequence=from_sequence, include_state=include_state
        )
        from argyll.client.watch import Watcher

        watcher = Watcher(
            self._open_session(),
            self.base_url,
            self._token,
            self._tls,
            retry=self._retry,
            sleep=self._sleep,
            entropy=self._entropy,
            on_connection=on_connection,
        )
        async with aclosing(watcher.follow(positions)) as changes:
            async for change in changes:
                yield change

    async def _ended(self, flow_id: str) -> dict[str, JSON]:
        watching = self.watch(("flow", flow_id), event_types=_ENDINGS, include_state=True)
        async with aclosing(watching) as changes:
            async for change in changes:
                match change:
                    case WatchState(data=state):
                        pass
                    case WatchGap():
                        state = await self.flow(flow_id)
                    case WatchEvent(type=kind):
                        state = await self._caught_up(flow_id) if kind in _ENDINGS else {}
                if state.get("status") in ENDED:
                    return state
        raise AssertionError("a watch has no end of its own")

    async def _caught_up(self, flow_id: str) -> dict[str, JSON]:
        """The state of a flow known to have ended: behind a load balancer, the node that is read may be a little late."""
        reads = 0
        while (state := await self.flow(flow_id))["status"] not in ENDED:
            reads += 1
            await self._sleep(self._retry.backoff_s(reads, self._entropy))
        return state

    # Sending

    async def _events(self, page_at: Callable[[int], calls.Call], start: int) -> AsyncIterator[dict[str, JSON]]:
        following: int | None = start
        while following is not None:
            start = following
            events, following = calls.read_events(await self._send(page_at(start)), start)
            for event in events:
                yield event

    async def _send(self, call: calls.Call) -> dict[str, JSON]:
        failures = 0
        payload = call.payload()
        while True:
            try:
                return await self._attempt(call, payload)
            except ClientError as failure:
                failures += 1
                delay_s = self._retry.delay_s(failure, failures, repeatable=call.repeatable, entropy=self._entropy)
                if delay_s is None:
                    raise
                await self._sleep(delay_s)

    async def _attempt(self, call: calls.Call, payload: bytes | None) -> dict[str, JSON]:
        import aiohttp
        from yarl import URL

        session = self._open_session()
        url = self.base_url + call.path
        try:
            async with session.request(
                call.method,
                URL(url, encoded=True),
                data=payload,
                headers=calls.request_headers(self._token, has_body=payload is not None) | call.headers,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                allow_redirects=False,
                ssl=True if self._tls is None else self._tls,
            ) as response:
                body = await _read(response, call.method, url)
                status, retry_after = response.status, response.headers.get("Retry-After")
        except aiohttp.ClientConnectorError as problem:
            raise Unreachable(call.method, url, str(problem), sent=False) from problem
        except TimeoutError as problem:
            raise Unreachable(call.method, url, f"nothing within timeout_s={self._timeout_s:g}", sent=True) from problem
        except (aiohttp.ClientError, OSError) as problem:
            raise Unreachable(call.method, url, str(problem) or type(problem).__name__, sent=True) from problem
        return answered(call, url, status, retry_after, body)

    def _open_session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


async def _read(response: aiohttp.ClientResponse, method: str, url: str) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_READ_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > calls.MAX_ANSWER_BYTES:
            raise oversize(method, url)
    return b"".join(chunks)


def oversize(method: str, url: str) -> BadAnswer:
    return BadAnswer(
        f"{method} {url}: the answer is larger than MAX_ANSWER_BYTES ({calls.MAX_ANSWER_BYTES}): read it in pages"
    )


def answered(call: calls.Call, url: str, status: int, retry_after: str | None, body: bytes) -> dict[str, JSON]:
    """The JSON object of a successful answer. Raises the `ApiError` of any other, `BadAnswer` for what is no object."""
    if not 200 <= status < 300:
        raise error_from_answer(call.method, url, status, retry_after, body)
    if not body.strip():
        return {}
    try:
        answer: JSON = decode(body)
    except msgspec.DecodeError as problem:
        raise BadAnswer(
            f"{call.method} {url}: the answer is no JSON ({problem}): is that an Argyll engine?"
        ) from problem
    if not isinstance(answer, dict):
        raise BadAnswer(f"{call.method} {url}: the answer is no JSON object: is that an Argyll engine?")
    return answer  # pyright: ignore[reportUnknownVariableType]
