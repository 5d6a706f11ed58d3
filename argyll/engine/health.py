"""What this node knows of each step's health, and what the cluster knows (execution.md 11).

Health informs routing and never starves work: an unhealthy step's work waits a bounded time and then runs all the same
(decisions 28). A script's run-time error changes nothing here.
"""

import asyncio
from collections.abc import Callable, Mapping

import aiohttp

from argyll.engine.caller import USER_AGENT, probe
from argyll.engine.cluster import ClusterRecord
from argyll.engine.config import HEALTH_TIMEOUT_S
from argyll.flow import Claim
from argyll.model.catalog import Catalog, Cluster, Health
from argyll.model.events import StepHealthChanged
from argyll.model.step import Step
from argyll.model.views import UNKNOWN_HEALTH
from argyll.planning import PlanError, Planner
from argyll.scripts import CompileError, Scripts

MAX_PROBES = 16
"""Health checks in flight at a time."""

_RANK = {"healthy": 0, "unknown": 1, "unhealthy": 2}


class HealthMonitor:
    """Watches steps, records changes in the cluster aggregate, and says whether this node may claim work."""

    def __init__(
        self,
        record: ClusterRecord,
        node_id: str,
        scripts: Scripts,
        planner: Planner,
        now_us: Callable[[], int],
        unhealthy_wait_s: float,
    ) -> None:
        self._record, self._node_id, self._scripts, self._planner = record, node_id, scripts, planner
        self._now_us = now_us
        self._unhealthy_wait_us = int(unhealthy_wait_s * 1e6)
        self._deferred_since: dict[str, int] = {}

    def may_claim(self, step: Step) -> Claim:
        """Whether this node may start work of a step now; announces once a change that it does not."""
        if self._own(step.id).status != "unhealthy":
            self._deferred_since.pop(step.id, None)
            return "yes"
        now = self._now_us()
        since = self._deferred_since.setdefault(step.id, now)
        if now - since >= self._unhealthy_wait_us:
            return "yes"
        return "announce" if since == now else "wait"

    def of(self, node_id: str, step_id: str) -> Health:
        """What a node says of a step."""
        node = self._record.state.nodes.get(node_id)
        return node.health.get(step_id, UNKNOWN_HEALTH) if node is not None else UNKNOWN_HEALTH

    async def check(self, steps: Mapping[str, Step]) -> None:
        """One pass over all steps: scripts compile, services answer, flow steps follow from what they plan."""
        observed: dict[str, Health] = {}
        for step in steps.values():
            if step.type == "script":
                observed[step.id] = self._compiled(step)
        probed = {step.id: step.http.health_check for step in steps.values() if step.http is not None}
        answers = await _probe_all({url for url in probed.values() if url})
        observed |= {step_id: answers[url] for step_id, url in probed.items() if url}
        await self.record(observed)

    async def record(self, observed: Mapping[str, Health]) -> None:
        """Note what was seen; only changes are appended. Raises `StoreError`."""

        def decide(_: Cluster) -> list[StepHealthChanged]:
            return [
                StepHealthChanged(self._node_id, step_id, health.status, health.error)
                for step_id, health in sorted(observed.items())
                if self._own(step_id) != health
            ]

        await self._record.change(decide)

    async def registered(self, steps: list[Step]) -> None:
        """Steps were registered or changed: scripts are known to compile, the rest is unknown again."""
        observed: dict[str, Health] = {}
        for step in steps:
            if step.type == "script":
                observed[step.id] = self._compiled(step)
            elif self._own(step.id) != UNKNOWN_HEALTH:
                observed[step.id] = UNKNOWN_HEALTH
        await self.record(observed)

    def resolved(self, step_id: str, catalog: Catalog, visiting: tuple[str, ...] = ()) -> Health:
        """The cluster's health of a step: the worst of the nodes, or derived from what a flow step plans."""
        recorded = self._merged(step_id)
        step = catalog.steps.get(step_id)
        if recorded.status != "unknown" or recorded.error or step is None or step.type != "flow":
            return recorded
        if step_id in visiting:
            return UNKNOWN_HEALTH
        try:
            plan = self._planner.plan(step.flow_goals, {}, "preview")
        except PlanError as error:
            return Health("unknown", f"flow preview failed: {error}")
        worst = Health("healthy")
        for child in plan.steps:
            health = self.resolved(child, catalog, (*visiting, step_id))
            if health.status == "unhealthy":
                return Health(
                    "unhealthy", f"step {child}: {health.error}" if health.error else f"step {child} unhealthy"
                )
            if health.status == "unknown" and health.error:
                worst = Health("unknown", f"step {child}: {health.error}")
        return worst

    def _own(self, step_id: str) -> Health:
        return self.of(self._node_id, step_id)

    def _merged(self, step_id: str) -> Health:
        worst: Health | None = None
        for node_id, node in sorted(self._record.state.nodes.items()):
            health = node.health.get(step_id)
            if health is None or node.presence == "left":
                continue
            if health.error:
                health = Health(health.status, f"node {node_id}: {health.error}")
            if worst is None or (_RANK[health.status], bool(health.error)) > (_RANK[worst.status], bool(worst.error)):
                worst = health
        return worst or UNKNOWN_HEALTH

    def _compiled(self, step: Step) -> Health:
        assert step.script is not None
        try:
            self._scripts.compile(step.script.language, step.script.script, step.argument_names)
        except CompileError as error:
            return Health("unhealthy", str(error))
        return Health("healthy")


async def _probe_all(urls: set[str]) -> dict[str, Health]:
    """The health behind each URL, some at a time, so that dead services do not add up their timeouts."""
    answers: dict[str, Health] = {}
    waiting = sorted(urls)

    async def work_off(session: aiohttp.ClientSession) -> None:
        while waiting:
            url = waiting.pop()
            error = await probe(session, url, HEALTH_TIMEOUT_S)
            answers[url] = Health("unhealthy", error) if error else Health("healthy")

    # trust_env stays off: a proxy between engine and service would be probed instead of the service.
    async with aiohttp.ClientSession(headers={"User-Agent": USER_AGENT}) as session:
        await asyncio.gather(*(work_off(session) for _ in range(min(MAX_PROBES, len(waiting)))))
    return answers
