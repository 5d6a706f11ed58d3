"""The simulated cluster keeps its promises, and notices when a known defect is put back."""

from collections.abc import Callable

import pytest

from argyll.store.errors import StoreError
from tests.unit.store.raft.mutations import MUTATIONS, sends_states_early
from tests.unit.store.raft.simulation import Settings, Simulation, Violation

SEEDS = range(12)
MUTATION_SEEDS = 150
"""A defect has to show within so many histories; most show in the first."""


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept(seed: int) -> None:
    stats = Simulation(seed, Settings()).run()

    assert stats["acknowledged"] > 50


def test_a_seed_gives_one_history() -> None:
    assert Simulation(3, Settings()).run() == Simulation(3, Settings()).run()


def test_the_faults_that_are_meant_to_happen_do_happen() -> None:
    total = sum((Simulation(seed, Settings()).run() for seed in range(20, 32)), start=Simulation(32, Settings()).run())

    wanted = {"crashes", "partitions", "resets", "pauses", "disk full", "wipes", "states taken over", "handed over"}
    assert wanted | {"late frames", "unknown", "no leader", "reads"} <= {name for name, count in total.items() if count}


def test_states_sent_without_need_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    sends_states_early(monkeypatch)

    for seed in range(6):
        Simulation(seed, Settings()).run()


@pytest.mark.faults
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_defect_put_back_is_noticed(mutation: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)

        assert any(is_noticed(seed) for seed in range(MUTATION_SEEDS))


def is_noticed(seed: int) -> bool:
    try:
        Simulation(seed, Settings()).run()
    except (Violation, StoreError, AssertionError):
        return True
    return False
