"""Percentiles, and process figures read from a made-up /proc."""

import os
from pathlib import Path

import pytest

from benchmarks.measure import cpu_s, latency, machine_busy_s, memory_mb, percentile, process_tree


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([], 0.5, 0.0),
        ([7.0], 0.5, 7.0),
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.50, 50.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 1.0, 100.0),
        ([1.0, 2.0, 3.0], 0.0, 1.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], fraction: float, expected: float):
    assert percentile(values, fraction) == expected


def test_latencies_come_in_milliseconds_whatever_their_order():
    summary = latency([0.003, 0.001, 0.002])
    assert (summary.count, summary.p50_ms, summary.max_ms) == (3, 2.0, 3.0)


def test_no_latencies_are_all_zero():
    assert latency([]).p99_ms == 0.0


def make_process(proc: Path, pid: int, children: list[int], ticks: int, pss_kb: int) -> None:
    task = proc / str(pid) / "task" / str(pid)
    task.mkdir(parents=True)
    (task / "children").write_text(" ".join(map(str, children)))
    (proc / str(pid) / "stat").write_text(f"{pid} (odd) name) S " + "0 " * 10 + f"{ticks} {ticks} 0 0 20 0\n")
    (proc / str(pid) / "smaps_rollup").write_text(f"header\nRss: 9 kB\nPss: {pss_kb} kB\nPss_Anon: 5 kB\n")


def test_figures_of_a_process_include_its_descendants(tmp_path: Path):
    make_process(tmp_path, 10, [11], ticks=100, pss_kb=1024)
    make_process(tmp_path, 11, [12], ticks=50, pss_kb=512)
    make_process(tmp_path, 12, [], ticks=0, pss_kb=512)
    assert process_tree(10, tmp_path) == [10, 11, 12]
    assert cpu_s(10, tmp_path) == pytest.approx(300 / os.sysconf("SC_CLK_TCK"))
    assert memory_mb(10, tmp_path) == 2.0


def test_a_process_that_is_gone_has_no_figures(tmp_path: Path):
    assert process_tree(10, tmp_path) == []
    assert cpu_s(10, tmp_path) == 0.0
    assert memory_mb(10, tmp_path) == 0.0


def test_a_busy_machine_is_one_that_neither_idles_nor_waits(tmp_path: Path):
    (tmp_path / "stat").write_text("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 0 0 0 0\n")
    assert machine_busy_s(tmp_path) == pytest.approx(21 / os.sysconf("SC_CLK_TCK"))
    assert machine_busy_s(tmp_path / "nowhere") == 0.0
