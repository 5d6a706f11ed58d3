"""What is known of steps: probed, compiled or derived; it makes work wait a while and never starves it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from argyll.engine import engine as engine_module
from argyll.engine.health import HealthMonitor
from argyll.model.catalog import Health
from argyll.model.events import DispatchDeferred
from argyll.model.step import Step
from argyll.model.wire import step_from_json

from .conftest import Node, step


def health(node: Node) -> HealthMonitor:
    return node.engine._health


async def sick(node: Node, step_id: str, error: str = "down") -> None:
    await health(node).record({step_id: Health("unhealthy", error)})


async def well(node: Node, step_id: str) -> None:
    await health(node).record({step_id: Health("healthy")})


async def types(node: Node) -> list[str]:
    return [record.type for record in await node.engine.events(("cluster",))]


@pytest.fixture
async def service() -> AsyncIterator[tuple[str, list[str], dict[str, Any]]]:
    """A service that answers its paths with the statuses in a dict: (url, paths asked, statuses)."""
    asked: list[str] = []
    statuses: dict[str, int] = {}

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=statuses.get(request.path, 200))

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", asked, statuses
    await runner.cleanup()


async def test_only_changes_are_recorded(node: Node):
    """execution.md 13.6/64"""
    await sick(node, "a")
    await sick(node, "a")
    await health(node).record({"a": Health("unhealthy", "other"), "b": Health("healthy")})
    assert await types(node) == ["step_health_changed"] * 3
    assert node.engine.cluster.nodes["argyll-1"].health["a"] == Health("unhealthy", "other")


async def test_a_pass_probes_services_once_a_url_and_compiles_scripts(
    node: Node, service: tuple[str, list[str], dict[str, int]], free_port: int
):
    """execution.md 13.24/232"""
    url, asked, statuses = service
    statuses["/bad"] = 500
    await node.register(
        step("good", http={"health_check": f"{url}/good"}),
        step("alike", http={"health_check": f"{url}/good"}),
        step("bad", "async", http={"health_check": f"{url}/bad"}),
        step("gone", http={"health_check": f"http://127.0.0.1:{free_port}/"}),
        step("silent"),
        step("script", "script", script="1"),
    )
    await health(node).check(node.engine.catalog.steps)
    seen = node.engine.cluster.nodes["argyll-1"].health
    assert sorted(asked) == ["/bad", "/good"]
    assert seen["good"] == seen["alike"] == seen["script"] == Health("healthy")
    assert seen["bad"] == Health("unhealthy", "HTTP 500 Internal Server Error")
    assert seen["gone"].status == "unhealthy"
    assert str(free_port) in seen["gone"].error
    assert "silent" not in seen
    before = len(await types(node))
    await health(node).check(node.engine.catalog.steps)
    assert len(await types(node)) == before


async def test_a_service_that_recovers_is_healthy_again(node: Node, service: tuple[str, list[str], dict[str, int]]):
    """execution.md 13.24/232"""
    url, _, statuses = service
    await node.register(step("a", http={"health_check": f"{url}/a"}))
    for status, expected in ((503, "unhealthy"), (204, "healthy"), (404, "unhealthy")):
        statuses["/a"] = status
        await health(node).check(node.engine.catalog.steps)
        assert node.engine.step_health("a").status == expected  # pyright: ignore


async def test_a_script_is_healthy_at_once_and_a_changed_service_unknown(node: Node):
    """execution.md 13.6/68, 13.6/70, 13.24/232"""
    await node.register(step("s", "script", script="1"), step("a"))
    assert node.engine.step_health("s") == Health("healthy")
    assert node.engine.step_health("a") == Health("unknown")
    assert node.engine.step_health("nobody") is None
    await sick(node, "a")
    await node.engine.update_step("a", step("a", http={"endpoint": "http://new/"}))
    assert node.engine.step_health("a") == Health("unknown")


async def test_the_cluster_is_as_well_as_its_worst_node(node: Node):
    """execution.md 13.2/36, 13.6/64, 13.6/69"""
    await node.register(step("a"), step("b"))
    for node_id, a, b in (
        ("n1", Health("healthy"), Health("unknown")),
        ("n2", Health("unhealthy", "x"), Health("unknown", "y")),
    ):
        other = HealthMonitor(
            node.engine._record, node_id, node.engine.scripts, node.engine._planner, lambda: 1, 10.0
        )  # fmt: skip
        await other.record({"a": a, "b": b})
    assert node.engine.step_health("a") == Health("unhealthy", "node n2: x")
    assert node.engine.step_health("b") == Health("unknown", "node n2: y")


async def test_a_flow_step_is_as_well_as_what_it_plans(node: Node):
    """execution.md 13.6/65-67, 13.6/71, 13.24/232"""
    await node.register(
        step("provider", gives=("y",)),
        step("goal", needs=("y",)),
        step("gate", "flow", goals=["goal"]),
        step("outer", "flow", goals=["gate"]),
        step("broken", "flow", goals=["nobody"]),
    )
    assert node.engine.step_health("gate") == Health("healthy")
    assert node.engine.step_health("broken").error.startswith("flow preview failed")  # pyright: ignore
    await health(node).record({"goal": Health("unknown", "never seen")})
    assert node.engine.step_health("gate") == Health("unknown", "step goal: node argyll-1: never seen")
    await sick(node, "provider")
    found = node.engine.step_health("gate")
    assert found == Health("unhealthy", "step provider: node argyll-1: down")
    assert node.engine.step_health("outer").status == "unhealthy"  # pyright: ignore


class Clocked:
    """A monitor whose time a test moves."""

    def __init__(self, node: Node, wait_s: float) -> None:
        self.now_us = 1_000_000
        self.monitor = HealthMonitor(
            node.engine._record, "argyll-1", node.engine.scripts, node.engine._planner, lambda: self.now_us, wait_s
        )
        self.step: Step = step_from_json(step("a"))

    def ask(self, after_s: float = 0.0) -> str:
        self.now_us += int(after_s * 1e6)
        return self.monitor.may_claim(self.step)


async def test_work_of_a_sick_step_waits_a_bounded_time_and_says_so_once(node: Node):
    """execution.md 13.17/161, 13.26/254"""
    clocked = Clocked(node, wait_s=10)
    assert clocked.ask() == "yes"
    await sick(node, "a")
    assert [clocked.ask(), clocked.ask(1), clocked.ask(8.9), clocked.ask(0.2), clocked.ask(100)] == [
        "announce", "wait", "wait", "yes", "yes",
    ]  # fmt: skip
    await well(node, "a")
    assert clocked.ask() == "yes"
    await sick(node, "a")
    assert clocked.ask() == "announce"


async def test_work_waits_for_a_sick_step_and_runs_when_it_is_well(node: Node, monkeypatch: pytest.MonkeyPatch):
    """execution.md 13.19/170, 13.26/254"""
    monkeypatch.setattr(engine_module, "Env", quick_recheck(engine_module.Env))
    await node.register(step("a", gives=("y",)))
    await sick(node, "a")
    await node.start("f", "a")
    await node.start("g", "a")
    assert node.services.calls == []
    await well(node, "a")
    await node.services.called("a", 2)
    announced = [e for flow in ("f", "g") for e in await node.history(flow) if isinstance(e, DispatchDeferred)]
    assert len(announced) == 1
    for _ in range(2):
        node.services.answer("a", {"y": 1})
    assert (await node.ended("f"))["status"] == "completed"


async def test_work_of_a_step_that_stays_sick_runs_all_the_same(node: Node, monkeypatch: pytest.MonkeyPatch):
    """execution.md 13.19/169"""
    monkeypatch.setattr(engine_module, "Env", quick_recheck(engine_module.Env))
    health(node)._unhealthy_wait_us = 5_000
    await node.register(step("a", gives=("y",)))
    await sick(node, "a")
    await node.start("f", "a")
    await node.services.called("a")
    node.services.answer("a", {"y": 1})
    assert (await node.ended("f"))["status"] == "completed"


def quick_recheck(env: Any) -> Callable[..., Any]:
    return lambda **fields: env(claim_recheck_us=1_000, **fields)


async def test_a_script_that_fails_does_not_make_its_step_sick(node: Node):
    """execution.md 13.22/205"""
    await node.register(step("s", "script", script='(raise "no")', gives=("y",)))
    await node.start("f", "s")
    assert (await node.ended("f"))["status"] == "failed"
    assert node.engine.step_health("s") == Health("healthy")


async def test_a_slow_service_does_not_hold_up_the_others(node: Node, monkeypatch: pytest.MonkeyPatch):
    """All probes are under way at once: the first ends only when the last has begun."""
    urls = {f"http://steps/{n}" for n in range(4)}
    begun: set[str] = set()
    all_begun = asyncio.Event()

    async def probe(session: Any, url: str, timeout_s: float) -> str:
        begun.add(url)
        if begun == urls:
            all_begun.set()
        await all_begun.wait()
        return ""

    monkeypatch.setattr("argyll.engine.health.probe", probe)
    await node.register(*(step(f"s{n}", http={"health_check": url}) for n, url in enumerate(sorted(urls))))
    async with asyncio.timeout(10):
        await health(node).check(node.engine.catalog.steps)
    assert len(await types(node)) == 4
