"""Routes about the node itself: liveness, readiness, the overview, the cluster and the health of steps.

All of them read what is in memory; none waits for the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from argyll.model import json
from argyll.server.answers import Answer, json_answer
from argyll.server.overview import engine_overview
from argyll.server.problems import NotFound, Unavailable

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.server.hub import Hub

READY_RETRY_S = 1.0


class NodeRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine, hub: Hub) -> None:
        self._engine = engine
        self._hub = hub

    async def health(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /health`: 200 while the process answers, whatever the state of the log."""
        state = self._engine.raft_state
        leader_id = self._engine.node_id if state == "leader" else ""
        body = {
            "service": "argyll-engine",
            "status": "healthy",
            "details": {
                "backend": {"type": "raft", "state": state, "leader_address": "", "leader_id": leader_id},
                "websocket": {"clients": self._hub.connections},
            },
        }
        return json_answer(body, headers=[("X-Argyll-Raft-State", state)])

    async def ready(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /ready`: 503 until the node can serve."""
        if not self._engine.ready:
            raise Unavailable(
                f"the node cannot serve yet (log state: {self._engine.raft_state}); try again shortly",
                retry_after_s=READY_RETRY_S,
            )
        return json_answer({"status": "ready"})

    async def overview(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine`."""
        body, _ = engine_overview(self._engine)
        return Answer(200, body)

    async def cluster(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/cluster`: what nodes reported, nothing filled in."""
        view = await self._engine.view(("cluster",))
        return Answer(200, view[0] if view is not None else b'{"nodes":{}}')

    async def steps_health(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/health`: the cluster with unreported steps as unknown."""
        return json_answer(self._engine.health_view())

    async def step_health(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/health/{step}`: the worst that any node says."""
        (step_id,) = parameters
        health = self._engine.step_health(step_id)
        if health is None:
            raise NotFound(f"step not found: {step_id}")
        return Answer(200, json.encode(health))
