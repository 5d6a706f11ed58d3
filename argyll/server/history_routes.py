"""Routes that answer with events: the history of a flow, of the catalog and of the cluster, in pages (decisions 33).

A page is bounded in number and size, and an event's JSON text is copied, never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from argyll.model import json
from argyll.server.answers import Answer
from argyll.server.envelopes import rest_event
from argyll.server.problems import Finding, NotFound, finding
from argyll.server.requests import refusal

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.server.config import ServerConfig
    from argyll.store import Aggregate

READ_EVENTS = 1_000
"""Events read from the store at once: between two reads the loop serves others, and the size is looked at."""


class HistoryRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config

    async def flow(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/flow/{flow}/events`."""
        (flow_id,) = parameters
        aggregate = ("flow", flow_id)
        start, limit = self._page(request)
        events, following = await self._read(aggregate, start, limit)
        if not events and not await self._engine.events(aggregate, 0, 1):
            raise NotFound(f"flow not found: {flow_id}")
        return _answer(events, following)

    async def catalog(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/catalog/events`."""
        return _answer(*await self._read(("catalog",), *self._page(request)))

    async def cluster(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/cluster/events`."""
        return _answer(*await self._read(("cluster",), *self._page(request)))

    def _page(self, request: BaseRequest) -> tuple[int, int]:
        """First sequence and number of events that the query string asks for."""
        most = self._config.max_events_page
        findings: list[Finding] = []
        values = {"from": 0, "limit": most}
        for name in values:
            text = request.query.get(name, "")
            if not text:
                continue
            if text.isascii() and text.isdigit() and len(text) < 19:
                values[name] = int(text)
            else:
                findings.append(finding(name, "bad_value", f"{text[:80]!r} is not a number from 0 up"))
        if not findings and not 1 <= values["limit"] <= most:
            message = f"{values['limit']} is not within 1 and max_events_page, {most}"
            findings.append(finding("limit", "bad_value", message))
        if findings:
            raise refusal(findings)
        return values["from"], values["limit"]

    async def _read(self, aggregate: Aggregate, start: int, limit: int) -> tuple[list[bytes], int | None]:
        """Events of one page, and where the next one starts if there is one."""
        name = json.encode(aggregate)
        events: list[bytes] = []
        size = 0
        while True:
            # One more than wanted tells whether there is a next page.
            wanted = min(READ_EVENTS, limit - len(events) + 1)
            records = await self._engine.events(aggregate, start, wanted)
            for record in records:
                if len(events) == limit or (size >= self._config.max_events_page_bytes):
                    return events, record.sequence
                events.append(rest_event(name, record))
                size += len(events[-1])
            if len(records) < wanted:
                return events, None
            start = records[-1].sequence + 1


def _answer(events: list[bytes], following: int | None) -> Answer:
    end = b"" if following is None else b',"next":%d' % following
    return Answer(200, b'{"events":[%b],"count":%d%b}' % (b",".join(events), len(events), end))
