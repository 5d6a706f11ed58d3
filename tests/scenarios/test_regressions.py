"""Histories that once went wrong, or that show a rule better than a sentence: each is played again, with every check.

A failing history of `tests/unit/flow/test_properties.py` prints itself; kept in `regressions/` under a name that says what
it is about, it stays.
"""

from pathlib import Path

import pytest

from tests.unit.flow.campaign import Campaign
from tests.unit.flow.test_properties import end_of

KEPT = sorted(Path(__file__).parent.glob("regressions/*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_history_stays_lawful(path: Path) -> None:
    campaign = Campaign.of_script(path.read_bytes())

    campaign.replay()
    campaign.come_to_an_end()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_crashes_change_nothing_in_a_kept_history(path: Path) -> None:
    campaign = Campaign.of_script(path.read_bytes())
    undisturbed = end_of(campaign, frozenset())

    for moment in range(undisturbed.moments):
        crashed = end_of(campaign, frozenset([moment]))
        assert crashed.flows["f"].ended
        assert crashed.ends["f"] == undisturbed.ends["f"], f"lost at {moment}"


def test_a_history_that_is_written_down_is_the_same_when_played_again() -> None:
    from random import Random

    first = next(c for seed in range(99) if (c := Campaign.by_chance(Random(seed))).plan() is not None)
    first.start()
    first.disturb(60)

    again = Campaign.of_script(first.script)
    again.replay()

    assert [flow.log for flow in again.world.flows.values()] == [flow.log for flow in first.world.flows.values()]
    assert again.script == first.script
