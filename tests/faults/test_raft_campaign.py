"""Many simulated histories of a cluster: crashes, power cuts, partitions, pauses, full and lost disks; no promise broken.

`pytest -m nightly tests/faults/test_raft_campaign.py` runs 20,000 of them. A failing seed can be run alone, anywhere.
"""

import pytest

from tests.unit.store.raft.simulation import Settings, Simulation

NORMAL = Settings()
HARSH = Settings(seconds=20, faults_every_s=0.25, max_delay_s=0.6)
SLOW = Settings(seconds=22, max_delay_s=1.5)
FIVE = Settings(nodes=5, faults_every_s=0.3)
NO_SPARE_LOG = Settings(retained_log_bytes=1, faults_every_s=0.3)

CAMPAIGNS = [
    pytest.param(NORMAL, range(1_000, 1_110), id="normal"),
    pytest.param(HARSH, range(2_000, 2_030), id="harsh"),
    pytest.param(SLOW, range(3_000, 3_020), id="slow links"),
    pytest.param(FIVE, range(4_000, 4_020), id="five nodes"),
    pytest.param(NO_SPARE_LOG, range(5_000, 5_020), id="states instead of logs"),
]
NIGHTLY = [
    pytest.param(NORMAL, range(10_000, 20_000), id="normal"),
    pytest.param(HARSH, range(20_000, 24_000), id="harsh"),
    pytest.param(SLOW, range(30_000, 32_000), id="slow links"),
    pytest.param(FIVE, range(40_000, 42_000), id="five nodes"),
    pytest.param(NO_SPARE_LOG, range(50_000, 52_000), id="states instead of logs"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("settings", "seeds"), CAMPAIGNS)
def test_no_history_breaks_a_promise(settings: Settings, seeds: range) -> None:
    for seed in seeds:
        Simulation(seed, settings).run()


@pytest.mark.nightly
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize(("settings", "seeds"), NIGHTLY)
def test_no_history_of_many_breaks_a_promise(settings: Settings, seeds: range) -> None:
    for seed in seeds:
        Simulation(seed, settings).run()
