"""What holds for every catalog and every history (decisions 19, 20, 23; execution.md 13.26/260, 263)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argyll.model import json
from tests.unit.flow.campaign import SCRIPTS, Campaign, outputs_of, written_down
from tests.unit.flow.steady import SteadyWorld

QUICK = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))

chances = st.randoms(use_true_random=False) | st.integers(0, 2**64).map(Random)
"""One that hypothesis can shrink, and one that is even."""


def run_history(chance: Random, actions: int) -> Campaign | None:
    """Any catalog, any history: the auditor and the replay check every step of it, and it comes to an end. What fails
    is written down, to be kept in `tests/scenarios/regressions`."""
    campaign = Campaign.by_chance(chance)
    if campaign.plan() is None:
        return None
    with written_down(campaign):
        campaign.start()
        campaign.disturb(actions)
        campaign.come_to_an_end()
    return campaign


@QUICK
@given(chance=chances, actions=st.integers(0, 60))
def test_every_history_is_lawful_and_every_flow_ends(chance: Random, actions: int) -> None:
    """execution.md 13.22/200, 13.26/260"""
    run_history(chance, actions)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@LONG
@given(chance=chances, actions=st.integers(0, 300))
def test_every_history_is_lawful_and_every_flow_ends_in_a_long_campaign(chance: Random, actions: int) -> None:
    run_history(chance, actions)


def end_of(campaign: Campaign, crashes: frozenset[int]) -> SteadyWorld:
    """The catalog and goals of a campaign, run where all answers are determined, by nodes that die at some appends."""
    plan = campaign.plan()
    assert plan is not None
    steps = campaign.world.catalog.steps.values()
    world = SteadyWorld(*steps, crashes=crashes, scripts=SCRIPTS)
    world.begin(plan, campaign.init)
    world.run_to_the_end(outputs_of)
    return world


def check_that_crashes_change_nothing(chance: Random, dies_at: list[float]) -> None:
    """At every moment for itself, and at a few together."""
    campaign = Campaign.by_chance(chance)
    if campaign.plan() is None:
        return
    undisturbed = end_of(campaign, frozenset())
    assert undisturbed.flows["f"].ended
    together = {int(share * undisturbed.moments) for share in dies_at}
    for crashes in [together, *({moment} for moment in range(undisturbed.moments))]:
        with written_down(campaign):
            crashed = end_of(campaign, frozenset(crashes))
            assert crashed.flows["f"].ended
            assert crashed.ends["f"] == undisturbed.ends["f"], f"lost at {crashes}"


deaths = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4)
"""When nodes die, as shares of the undisturbed run."""


@QUICK
@given(chance=chances, dies_at=deaths)
def test_crashes_before_or_after_any_append_change_no_outcome(chance: Random, dies_at: list[float]) -> None:
    """execution.md 13.1/19-22, 13.26/252"""
    check_that_crashes_change_nothing(chance, dies_at)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@LONG
@given(chance=chances, dies_at=deaths)
def test_crashes_before_or_after_any_append_change_no_outcome_in_a_long_campaign(
    chance: Random, dies_at: list[float]
) -> None:
    check_that_crashes_change_nothing(chance, dies_at)


@QUICK
@given(chance=chances, order=st.randoms(use_true_random=False))
def test_goal_order_changes_no_event(chance: Random, order: Random) -> None:
    """execution.md 13.26/263: everything but the goals and the order in which results are merged"""
    campaign = Campaign.by_chance(chance)
    if campaign.plan() is None:
        return
    goals = campaign.goals
    stories: list[list[tuple[str, bytes]]] = []
    for _ in range(2):
        again = campaign.with_goals(list(goals))
        assert again.start()
        again.finish()
        log = again.world.flows["f"].log
        stories.append([(kind, data) for kind, data, _ in log if kind not in ("flow_started", "flow_completed")])
        order.shuffle(goals)
    assert stories[0] == stories[1]


def digest(seeds: int) -> str:
    """One fingerprint of everything that many histories log."""
    total = hashlib.sha256()
    for seed in range(seeds):
        campaign = run_history(Random(seed), 40)
        if campaign is not None:
            for flow_id, flow in campaign.world.flows.items():
                total.update(json.encode([flow_id, [(t, d.decode(), at) for t, d, at in flow.log]]))
    return total.hexdigest()


def test_hash_seeds_change_no_byte() -> None:
    """Two processes with different hash seeds log the same bytes."""
    root = Path(__file__).parents[3]
    program = "from tests.unit.flow.test_properties import digest; print(digest(150))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert digests != {""}
