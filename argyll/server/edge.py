"""The edge: every request comes in here, finds its handler, and leaves as an answer or a problem.

The one table of routes is here; what a route does is in the module of its kind.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from aiohttp.web import BaseRequest, StreamResponse

from argyll.engine.errors import EngineError
from argyll.engine.errors import Unavailable as NotServing
from argyll.server.answers import Answer, Header, empty_answer
from argyll.server.browsers import is_foreign_origin, is_local
from argyll.server.catalog_routes import CatalogRoutes
from argyll.server.explain_routes import ExplainRoutes
from argyll.server.flow_routes import FlowRoutes
from argyll.server.history_routes import HistoryRoutes
from argyll.server.node_routes import NodeRoutes
from argyll.server.problems import (
    BadRequest,
    ForeignPage,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unexpected,
    finding,
    problem_answer,
)
from argyll.server.requests import CONSISTENCY
from argyll.server.router import Router
from argyll.server.socket_routes import SocketRoutes
from argyll.server.source_routes import SourceRoutes
from argyll.server.webhook_routes import WebhookRoutes
from argyll.store import NoLeader, OutcomeUnknown, StoreError

if TYPE_CHECKING:
    from argyll.engine import Engine
    from argyll.server.config import ServerConfig
    from argyll.server.hub import Hub

logger = logging.getLogger(__name__)

NOT_SERVING_RETRY_S = 5.0
"""When a client may ask a node again whose disk has failed; a person has to act first."""

NO_LEADER_RETRY_S = 1.0

Handler: TypeAlias = Callable[[BaseRequest, tuple[str, ...]], Awaitable[StreamResponse]]

_CORS_METHODS: Header = ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
_CORS_HEADERS: Header = ("Access-Control-Allow-Headers", "Content-Type, Authorization")
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._"


def build_router(engine: Engine, hub: Hub, config: ServerConfig) -> Router[Handler]:
    """The table of all routes (surface.md 1.2 and decisions 14, 31, 34)."""
    node = NodeRoutes(engine, hub, config)
    catalog = CatalogRoutes(engine, config)
    flows = FlowRoutes(engine, config)
    history = HistoryRoutes(engine, config)
    sources = SourceRoutes(engine, config)
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", "/health", node.health),
        ("GET", "/ready", node.ready),
        ("GET", "/engine", node.overview),
        ("GET", "/engine/", node.overview),
        ("GET", "/engine/cluster", node.cluster),
        ("GET", "/engine/cluster/events", history.cluster),
        ("GET", "/engine/raft", node.raft),
        ("POST", "/engine/raft/transfer", node.transfer),
        ("GET", "/engine/health", node.steps_health),
        ("GET", "/engine/health/{step}", node.step_health),
        ("GET", "/engine/catalog", catalog.catalog),
        ("GET", "/engine/catalog/events", history.catalog),
        ("POST", "/engine/catalog/apply", catalog.apply),
        ("GET", "/engine/catalog/apply/{apply}", sources.outcome),
        ("GET", "/engine/catalog/index", sources.index),
        ("PUT", "/engine/catalog/staging/{apply}/{number}", sources.stage),
        ("GET", "/engine/source", sources.sources),
        ("GET", "/engine/source/{source}", sources.source),
        ("PUT", "/engine/source/{source}", sources.configure),
        ("DELETE", "/engine/source/{source}", sources.delete),
        ("GET", "/engine/source/{source}/history", sources.history),
        ("POST", "/engine/source/{source}/refresh", sources.decide("refresh")),
        ("POST", "/engine/source/{source}/suspend", sources.decide("suspend")),
        ("POST", "/engine/source/{source}/resume", sources.decide("resume")),
        ("POST", "/engine/source/{source}/hold", sources.decide("hold")),
        ("POST", "/engine/source/{source}/approve", sources.decide("approve")),
        ("POST", "/engine/source/{source}/rollback", sources.rollback),
        ("POST", "/engine/source/{source}/report", sources.report),
        ("GET", "/engine/step", catalog.steps),
        ("POST", "/engine/step", catalog.register),
        ("GET", "/engine/step/{step}", catalog.step),
        ("PUT", "/engine/step/{step}", catalog.update),
        ("DELETE", "/engine/step/{step}", catalog.unregister),
        ("POST", "/engine/plan", flows.preview),
        ("GET", "/engine/flow", flows.all_flows),
        ("POST", "/engine/flow", flows.start),
        ("POST", "/engine/flow/query", flows.query),
        ("GET", "/engine/flow/{flow}", flows.flow),
        ("GET", "/engine/flow/{flow}/status", flows.status),
        ("GET", "/engine/flow/{flow}/events", history.flow),
        ("GET", "/engine/flow/{flow}/explain", ExplainRoutes(engine).flow),
        ("POST", "/engine/flow/{flow}/cancel", flows.cancel),
        ("GET", "/engine/ws", SocketRoutes(engine, hub, config).events),
        ("POST", "/webhook/{flow}/{step}/{token}", WebhookRoutes(engine, config).report),
    )
    router: Router[Handler] = Router()
    for method, path, handler in table:
        router.add(method, path, handler)
    return router


class Edge:
    """Takes requests from aiohttp's low-level server; no middleware, no application."""

    def __init__(self, router: Router[Handler], engine: Engine, config: ServerConfig) -> None:
        self._router = router
        self._engine = engine
        self._origins = config.cors_origins
        self._loopback_only = is_local(config.host)
        self._last_failure = ""

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """The answer to a request. Never raises but for a client that is gone."""
        path = request.raw_path.partition("?")[0]
        if not path.startswith("/"):
            # A proxy's absolute form, `GET http://host/path`.
            path = request.rel_url.raw_path
        try:
            if "Origin" in request.headers:
                self._keep_pages_out(request)
            found = self._router.find(request.method, path)
            if CONSISTENCY in request.raw_path and request.method in ("GET", "HEAD"):
                await self._be_consistent(request)
            answer = await (found[0](request, found[1]) if found is not None else self._astray(request, path))
        except (Problem, EngineError) as error:
            answer = problem_answer(error, path)
        except (NoLeader, OutcomeUnknown) as error:
            answer = problem_answer(NotServing(str(error), retry_after_s=NO_LEADER_RETRY_S), path)
        except StoreError as error:
            self._log_failure(error)
            answer = problem_answer(NotServing(str(error), retry_after_s=NOT_SERVING_RETRY_S), path)
        except Exception as error:
            if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
                raise
            logger.exception("%s %s failed", request.method, path)
            answer = problem_answer(Unexpected("a mistake of ours, not of the request; see the node's log"), path)
        if self._origins and isinstance(answer, Answer):
            answer.extra += self._cors(request)
        return answer

    def _log_failure(self, error: StoreError) -> None:
        """Tell once what is wrong with the disk: every request after it fails for the same reason."""
        if str(error) != self._last_failure:
            self._last_failure = str(error)
            logger.error("the store refuses: %s", error)

    def _keep_pages_out(self, request: BaseRequest) -> None:
        origin, host = request.headers["Origin"], request.headers.get("Host", "")
        if is_foreign_origin(origin, host, self._origins, loopback_only=self._loopback_only):
            raise ForeignPage(f"a page of {origin[:200]} asks; pages may only if they are among cors_origins")

    async def _astray(self, request: BaseRequest, path: str) -> Answer:
        """What no route answers: OPTIONS, a slash too many, a wrong method, an unknown path."""
        allowed = self._router.allowed(path)
        if request.method == "OPTIONS":
            return empty_answer(headers=[("Allow", ", ".join([*allowed, "OPTIONS"]))])
        if allowed:
            shown = ", ".join([*allowed, "OPTIONS"])
            raise MethodNotAllowed(f"{request.method} is not for {path}; it takes {shown}", headers=[("Allow", shown)])
        bare = path.rstrip("/")
        if bare != path and self._router.allowed(bare):
            _, question, query = request.raw_path.partition("?")
            location = quote(bare, safe=_SAFE_IN_PATH) + question + quote(query, safe=_SAFE_IN_PATH + "?")
            return empty_answer(301 if request.method in ("GET", "HEAD") else 307, [("Location", location)])
        raise NotFound(f"no route {path}; the API begins at /engine")

    async def _be_consistent(self, request: BaseRequest) -> None:
        """Wait as long as the wanted consistency asks for (decisions 35). Raises `BadRequest`, `Unavailable`."""
        wanted = request.query.get(CONSISTENCY, "local")
        if wanted == "linearizable":
            await self._engine.read_barrier()
        elif wanted != "local":
            message = f"{wanted[:80]!r} is not one of local, linearizable"
            raise BadRequest(f"{CONSISTENCY}: {message}", errors=[finding(CONSISTENCY, "bad_value", message)])

    def _cors(self, request: BaseRequest) -> list[Header]:
        if "*" in self._origins:
            return [("Access-Control-Allow-Origin", "*"), _CORS_METHODS, _CORS_HEADERS]
        origin = request.headers.get("Origin", "")
        if origin not in self._origins:
            return [("Vary", "Origin")]
        return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin"), _CORS_METHODS, _CORS_HEADERS]
