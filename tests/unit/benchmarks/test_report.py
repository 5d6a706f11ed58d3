"""Tables, goals, the picture and the command line."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from argyll.model.json import decode
from benchmarks.__main__ import FULL_PACE, QUICK_PACE, parse_options, write_results
from benchmarks.measure import Latency
from benchmarks.plot import svg
from benchmarks.report import render, table
from benchmarks.results import Measurement, Recovery, Results, Verdict, verdicts


def measurement(workload: str, in_flight: int, target: str, flows_per_s: float, p50_ms: float = 1.0) -> Measurement:
    return Measurement(
        workload=workload,
        in_flight=in_flight,
        target=target,
        flows_per_s=flows_per_s,
        rounds_per_s=[flows_per_s],
        latency=Latency(count=10, p50_ms=p50_ms, p90_ms=p50_ms, p99_ms=p50_ms, max_ms=p50_ms),
        cpu_us_per_flow={"target": 100.0, "steps": 10.0, "client": 10.0},
        memory_mb=30.0,
        step_gap_p50_us=0.0,
        other_cores=0.0,
        failures=0,
    )


def results(*measurements: Measurement, recovery: Recovery | None = None, profiled: bool = False) -> Results:
    return Results("2026-01-01T00:00:00", "2 cores <here> & now", profiled, {}, list(measurements), recovery)


def recovery(all_done_s: float = 1.0, repeated_calls: int = 0, unfinished_flows: int = 0) -> Recovery:
    return Recovery(
        flows=1000,
        open_flows=900,
        answers_before_kill=2500,
        calls_in_service=880,
        healthy_s=0.4,
        all_done_s=all_done_s,
        failed_flows=0,
        unfinished_flows=unfinished_flows,
        repeated_calls=repeated_calls,
        repeated_tokens=repeated_calls,
        unmade_calls=0,
    )


def met(judged: list[Verdict]) -> dict[str, bool]:
    return {verdict.subject: verdict.met for verdict in judged}


def test_a_table_puts_numbers_to_the_right_and_words_to_the_left():
    text = table(("name", "n"), [("a", "1"), ("longer", "1,000")])
    assert text.splitlines() == ["name        n", "------  -----", "a           1", "longer  1,000"]


def test_a_rate_is_judged_by_figure_and_by_share_of_the_floor():
    slow_machine = results(measurement("w1", 64, "engine", 4000), measurement("w1", 64, "floor", 10_000))
    assert met(verdicts(slow_machine)) == {"W1, 64 in flight": False, "W1, 64 in flight: share of the floor": True}


def test_without_a_floor_there_is_no_share_to_judge():
    assert met(verdicts(results(measurement("w1", 64, "engine", 6000)))) == {"W1, 64 in flight": True}


def test_the_floor_alone_meets_and_misses_nothing():
    assert verdicts(results(measurement("w1", 64, "floor", 10_000))) == []


@pytest.mark.parametrize(("p50_ms", "expected"), [(1.9, True), (2.0, True), (2.1, False)])
def test_a_latency_goal_is_an_upper_limit(p50_ms: float, expected: bool):
    assert met(verdicts(results(measurement("w1", 1, "engine", 500, p50_ms)))) == {"W1, 1 in flight: p50": expected}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (recovery(all_done_s=2.9, repeated_calls=900), (True, True, True)),
        (recovery(repeated_calls=901), (True, False, True)),
        (recovery(all_done_s=3.1), (False, True, True)),
        (recovery(unfinished_flows=1), (True, True, False)),
    ],
)
def test_recovery_is_judged_by_time_repeats_and_losses(outcome: Recovery, expected: tuple[bool, bool, bool]):
    assert tuple(met(verdicts(results(recovery=outcome))).values()) == expected


def test_a_profiled_run_is_not_judged():
    profiled = results(measurement("w1", 64, "engine", 6000), profiled=True)
    assert verdicts(profiled) == []
    assert "not judged" in render(profiled)


def test_the_report_shows_shares_goals_recovery_and_disturbance():
    noisy = Measurement(**{**as_dict(measurement("w1", 64, "engine", 3000)), "other_cores": 0.9, "failures": 2})
    text = render(results(noisy, measurement("w1", 64, "floor", 10_000), recovery=recovery()))
    for part in ("0.30", "MISSED", "met", "Healthy 0.40 s", "0.90 cores", "2 failed"):
        assert part in text


def as_dict(one: Measurement) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_the_picture_is_well_formed_and_has_a_bar_for_each_measurement():
    picture = svg(results(measurement("w1", 1, "engine <&>", 500), measurement("w1", 1, "floor", 1000)))
    root = ElementTree.fromstring(picture)
    bars = root.findall("{http://www.w3.org/2000/svg}rect")[1:]
    assert [float(bar.get("width", "0")) for bar in bars] == [190.0, 380.0]


def test_a_picture_of_nothing_is_well_formed():
    assert ElementTree.fromstring(svg(results())).tag.endswith("svg")


def test_results_are_written_where_asked(tmp_path: Path):
    write_results(results(measurement("w1", 1, "floor", 9.0)), tmp_path / "a" / "r.json", tmp_path / "b" / "r.svg")
    assert decode((tmp_path / "a" / "r.json").read_bytes())["measurements"][0]["flows_per_s"] == 9.0
    assert (tmp_path / "b" / "r.svg").read_text().startswith("<svg")


def test_without_arguments_everything_runs_in_full():
    options = parse_options([])
    assert options.workloads == ["w1", "w2", "w3", "w4", "w5"]
    assert (options.pace, options.with_engine, options.profile) == (FULL_PACE, True, False)


def test_chosen_workloads_run_in_their_own_order():
    options = parse_options(["w4", "w1", "--quick", "--only-floor"])
    assert (options.workloads, options.pace, options.with_engine) == (["w1", "w4"], QUICK_PACE, False)


def test_an_unknown_workload_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parse_options(["w9"])
    assert "unknown workload w9: choose from w1, w2, w3, w4, w5" in capsys.readouterr().err
