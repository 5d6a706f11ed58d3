"""Routes about plans and flows: previewing, starting, cancelling, reading and listing.

Shapes are checked here; whether a flow may start is decided by the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

from aiohttp.web import StreamResponse
from msgspec.structs import replace

from argyll.model import json
from argyll.model.limits import MAX_FLOWS_PAGE
from argyll.model.times import to_rfc3339
from argyll.server.answers import JSON_TYPE, Answer, json_answer
from argyll.server.bodies import read_body
from argyll.server.problems import BadRequest, NotFound
from argyll.server.requests import QueryFlows, check_query, init_candidates, read_preview, read_query, read_start
from argyll.store import FlowQuery, InvalidCursor

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.model.flow import FlowStatus
    from argyll.model.json import JSON
    from argyll.server.config import ServerConfig
    from argyll.store import FlowPage, FlowRow


logger = logging.getLogger(__name__)


class FlowRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config

    async def _body(self, request: BaseRequest) -> bytes:
        config = self._config
        return await read_body(request, "max_request_bytes", config.max_request_bytes, config.body_timeout_s)

    async def preview(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/plan`."""
        wanted = read_preview(await self._body(request))
        return Answer(200, self._engine.preview(wanted.goals, init_candidates(wanted.init)).raw)

    async def start(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/flow`: the hot path."""
        wanted = read_start(await self._body(request))
        flow_id = await self._engine.start_flow(
            wanted.id, wanted.goals, init_candidates(wanted.init), wanted.labels or {}
        )
        # A normal id holds nothing that JSON would escape.
        return Answer(201, b'{"message":"Flow started","flow_id":"%b"}' % flow_id.encode())

    async def cancel(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/flow/{flow}/cancel` (decisions 31)."""
        await self._engine.cancel_flow(parameters[0])
        return json_answer({"message": "Flow cancelled", "flow_id": parameters[0]})

    async def flow(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/flow/{flow}`."""
        view = await self._engine.flow_view(parameters[0])
        if view is None:
            raise _no_flow(parameters[0])
        return Answer(200, view[0])

    async def status(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/flow/{flow}/status`: as the list shows it, active until the flow is deactivated."""
        (flow_id,) = parameters
        status = self._engine.flow_status(flow_id)
        if status is None:
            raise _no_flow(flow_id)
        return json_answer({"id": flow_id, "status": status})

    async def all_flows(self, request: BaseRequest, parameters: tuple[str, ...]) -> StreamResponse:
        """`GET /engine/flow`: every root flow, active ones first, newest first."""
        pages = _Pages(self._engine, FlowQuery(sort="recent_desc", limit=MAX_FLOWS_PAGE))
        if not pages.page.has_more:
            return Answer(200, b"[%b]" % pages.rows())
        return await pages.stream(request, b"[", lambda count: b"]")

    async def query(self, request: BaseRequest, parameters: tuple[str, ...]) -> StreamResponse:
        """`POST /engine/flow/query`."""
        wanted = read_query(await self._body(request))
        check_query(wanted)
        pages = _Pages(self._engine, _flow_query(wanted))
        page = pages.page
        if wanted.limit or not page.has_more:
            return Answer(200, b'{"flows":[%b],%b}' % (pages.rows(), _page_end(page)))
        return await pages.stream(
            request, b'{"flows":[', lambda count: b'],"count":%d,"total":%d}' % (count, page.total)
        )


def _no_flow(flow_id: str) -> NotFound:
    return NotFound(f"flow not found: {flow_id}")


def _flow_query(wanted: QueryFlows) -> FlowQuery:
    """The store's query. Limit 0 means all, which is read page by page."""
    return FlowQuery(
        id_prefix=wanted.id_prefix or "",
        labels=wanted.labels or {},
        statuses=cast("tuple[FlowStatus, ...]", tuple(dict.fromkeys(wanted.statuses or ()))),
        limit=wanted.limit or MAX_FLOWS_PAGE,
        cursor=wanted.cursor or None,
        sort=cast("Literal['recent_asc', 'recent_desc']", wanted.sort or "recent_asc"),
    )


def _row(row: FlowRow) -> bytes:
    shown: dict[str, JSON] = {"id": row.id, "status": row.status, "timestamp": to_rfc3339(row.timestamp_us)}
    if row.labels:
        shown["labels"] = row.labels
    if row.error:
        shown["error"] = row.error
    return json.encode(shown)


def _page_end(page: FlowPage) -> bytes:
    end: dict[str, JSON] = {"count": len(page.flows)}
    if page.total:
        end["total"] = page.total
    if page.has_more:
        end |= {"has_more": True, "next_cursor": page.next_cursor}
    return json.encode(end)[1:-1]


class _Pages:
    """All rows of a query. What fits a page is one answer; more is streamed, so neither memory nor the loop suffers."""

    def __init__(self, engine: Engine, query: FlowQuery) -> None:
        self._engine = engine
        self._query = query
        self.page = self._read(query)

    def _read(self, query: FlowQuery) -> FlowPage:
        try:
            return self._engine.query_flows(query)
        except InvalidCursor as error:
            raise BadRequest(str(error)) from error

    def rows(self) -> bytes:
        """The first page's rows, joined."""
        return b",".join(map(_row, self.page.flows))

    async def stream(self, request: BaseRequest, head: bytes, tail: Callable[[int], bytes]) -> StreamResponse:
        """Write every page. A flow that ended between two pages stands where it was first seen."""
        response = StreamResponse(headers={"Content-Type": JSON_TYPE})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await self._write(response, head, tail)
        except ConnectionError:
            raise
        except Exception:
            logger.exception("the list of flows broke off")
            # The status is long sent: only a broken connection still says that the list is not whole.
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the list broke off") from None
        return response

    async def _write(self, response: StreamResponse, head: bytes, tail: Callable[[int], bytes]) -> None:
        seen: set[str] = set()
        page, glue = self.page, head
        while True:
            rows = [row for row in page.flows if row.id not in seen]
            seen.update(row.id for row in rows)
            if rows:
                await response.write(glue + b",".join(map(_row, rows)))
                glue = b","
            if not page.has_more:
                break
            await asyncio.sleep(0)
            page = self._read(replace(self._query, cursor=page.next_cursor))
        await response.write(tail(len(seen)))
