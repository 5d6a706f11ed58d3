"""Routes about sources: their configuration and status, what people decide, what agents report, revisions on their way.

What a request means is said by the engine.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from argyll.engine.catalog_staging import MAX_CHUNK_BYTES
from argyll.model.catalog import MAX_REMEMBERED_APPLIES
from argyll.server.answers import Answer, empty_answer, json_answer
from argyll.server.bodies import decode_body, read_body
from argyll.server.problems import BadRequest

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.model.json import JSON
    from argyll.server.config import ServerConfig


class SourceRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config

    async def index(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/catalog/index`: 304 when the caller has it already."""
        text, sequence = await self._engine.index.read()
        tag = f'"c{sequence}"'
        known = re.findall(r'"[^"]*"', request.headers.get("If-None-Match", ""))
        if tag in known:
            return empty_answer(304, [("ETag", tag)])
        return Answer(200, text, headers=[("ETag", tag)])

    async def stage(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`PUT /engine/catalog/staging/{apply}/{number}`: a part of a revision too large for one body."""
        apply_id, number = parameters
        if not (number.isascii() and number.isdigit() and len(number) < 9):
            raise BadRequest(f"{number[:80]!r} is not the number of a part; count from 0")
        body = await read_body(request, "MAX_CHUNK_BYTES", MAX_CHUNK_BYTES, self._config.body_timeout_s)
        return json_answer({"chunk": self._engine.revisions.staging.put(apply_id, int(number), body)})

    async def outcome(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/catalog/apply/{apply}`: what became of it."""
        return json_answer(await self._engine.revisions.outcome(parameters[0]))

    async def sources(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/source`."""
        views = self._engine.sources.views()
        return json_answer({"sources": views, "count": len(views)})

    async def source(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/source/{source}`."""
        return json_answer(self._engine.sources.view(parameters[0]))

    async def configure(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`PUT /engine/source/{source}`."""
        body = await self._body(request)
        return json_answer(await self._engine.configure_source(parameters[0], body, _actor(request)))

    async def delete(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`DELETE /engine/source/{source}`: its steps stay and belong to nobody."""
        orphaned = await self._engine.delete_source(parameters[0], _actor(request))
        return json_answer({"message": "Source deleted", "orphaned": orphaned})

    async def history(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/source/{source}/history`: applied revisions, newest first."""
        text = request.query.get("limit", "") or str(MAX_REMEMBERED_APPLIES)
        if not (text.isascii() and text.isdigit() and len(text) < 9):
            raise BadRequest(f"limit: {text[:80]!r} is not a number from 0 up")
        return json_answer({"applies": self._engine.sources.history(parameters[0], int(text))})

    def decide(self, decision: str) -> Callable[[BaseRequest, tuple[str, ...]], Awaitable[Answer]]:
        """The handler of `POST /engine/source/{source}/<decision>`."""

        async def handle(request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
            body = await self._body(request)
            return json_answer(await self._engine.decide_source(parameters[0], decision, body, _actor(request)))

        return handle

    async def rollback(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/source/{source}/rollback`."""
        return json_answer(
            await self._engine.roll_back_source(parameters[0], await self._body(request), _actor(request))
        )

    async def report(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/source/{source}/report`: what an agent saw."""
        recorded = await self._engine.report_source(parameters[0], await self._body(request))
        return json_answer({"recorded": recorded})

    async def _body(self, request: BaseRequest) -> JSON:
        config = self._config
        body = await read_body(request, "max_request_bytes", config.max_request_bytes, config.body_timeout_s)
        return decode_body(body)


def _actor(request: BaseRequest) -> str:
    """Who asks, where the body does not say."""
    return request.headers.get("User-Agent", "")[:200]
