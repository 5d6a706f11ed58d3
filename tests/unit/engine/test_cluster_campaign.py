"""Nodes cut off, held back, killed and restarted at random over one log, answers lost: every flow completes once, with every
result recorded once, and all nodes tell the same history."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import dispatch, membership
from argyll.engine import flows as flows_module
from argyll.engine.errors import Unavailable
from argyll.model.events import WorkStarted, WorkSucceeded

from .conftest import Services
from .test_cluster_flows import NODES, Several
from .test_refusals import STEPS, answer

FLOWS = 18
TROUBLES = 24


class Campaign:
    """One run: flows started anywhere, and trouble meanwhile."""

    def __init__(self, several: Several, chance: random.Random) -> None:
        self.several, self.chance = several, chance

    async def open(self, *names: str) -> None:
        services = Services()
        for one in STEPS:
            services.handlers[one["id"]] = answer
        await self.several.open(*names, services=services)

    async def start(self, flow_id: str) -> None:
        """On whichever node takes it."""
        while True:
            node = self.several.nodes.get(self.chance.choice(NODES))
            if node is not None and "goal" in node.engine.catalog.steps:
                try:
                    async with asyncio.timeout(0.5):  # a killed node never answers
                        await node.start(flow_id, "goal")
                except (Unavailable, TimeoutError):
                    pass
                else:
                    return
            await asyncio.sleep(0.002)

    async def trouble(self) -> None:
        """One thing at a time goes wrong, and right again."""
        name = self.chance.choice(NODES)
        node = self.several.nodes[name]
        pause_s = self.chance.uniform(0, 0.08)
        match self.chance.randrange(4):
            case 0:
                self.several.kill(name)
                await asyncio.sleep(pause_s)
                await self.open(name)
            case 1:
                node.log.connect(False)
                await asyncio.sleep(pause_s)
                node.log.connect(True)
            case 2:
                node.log.hold(True)
                await asyncio.sleep(pause_s)
                node.log.hold(False)
            case _:
                node.log.loses_answers = True
                await asyncio.sleep(pause_s / 4)
                node.log.commit_lost()


def check(history: list[Any]) -> None:
    types = Counter(type(event).event_type for event in history)
    assert types["flow_completed"] == 1
    assert types["flow_deactivated"] <= 1
    assert types["work_succeeded"] == 1 + 5 + 1 + 1  # source, each, child, goal
    settled: set[str] = set()
    for event in history:
        if isinstance(event, WorkStarted):
            assert event.token not in settled
        elif isinstance(event, WorkSucceeded):
            settled.add(event.token)


@pytest.mark.parametrize("seed", range(4))
async def test_flows_complete_whatever_becomes_of_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int):
    for module, name, value in (
        (membership, "POLL_S", 0.005),
        (membership, "LOST_AFTER_S", 0.02),
        (flows_module, "RECHECK_US", 5_000),
        (flows_module, "NO_QUORUM_RETRY_S", 0.01),
        (dispatch, "RECORD_RETRY_FIRST_S", 0.001),
        (dispatch, "RECORD_RETRY_MAX_S", 0.01),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("argyll.engine.cooperation.FAREWELL_S", 0.1)
    chance = random.Random(seed)
    several = Several(tmp_path)
    campaign = Campaign(several, chance)
    await campaign.open(*NODES)
    await several.nodes["n1"].register(*STEPS)
    starting = [asyncio.ensure_future(campaign.start(f"f{n}")) for n in range(FLOWS)]
    for _ in range(TROUBLES):
        await campaign.trouble()
    await asyncio.gather(*starting)
    for n in range(FLOWS):
        for node in several.nodes.values():
            await node.until(f"f{n}", "flow_completed")
            check(await node.history(f"f{n}"))
        # The hint that nobody gave may still be asked for, so one node may be a little ahead.
        told = [await node.engine.events(("flow", f"f{n}")) for node in several.nodes.values()]
        known = min(map(len, told))
        assert told[0][:known] == told[1][:known] == told[2][:known]
    assert all(node.engine._flows.pending_appends == 0 for node in several.nodes.values())
    await several.close()
