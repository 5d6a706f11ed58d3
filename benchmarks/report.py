"""How results look in a terminal: one table of measurements, the recovery, the goals with met or missed.

Pure text from records; printing is left to the caller.
"""

from collections.abc import Sequence
from typing import Final

from benchmarks.results import Measurement, Recovery, Results, Verdict, verdicts

OTHERS_ALARM_CORES: Final = 0.25
"""Above this much of the machine taken by other programs, figures are marked as disturbed."""

_HEADER: Final = (
    "load", "in flight", "target", "flows/s", "of floor", "p50 ms", "p99 ms", "us/flow", "steps", "client", "gap us", "MB", "failed",
)  # fmt: skip


def render(results: Results) -> str:
    """The whole report."""
    sections = [f"{results.machine}; us/flow, steps, client: CPU of the target, the step service and this client"]
    if results.profiled:
        sections.append("Profiled: slower than real, goals not judged.")
    if results.measurements:
        sections.append(table(_HEADER, [_row(results, one) for one in results.measurements]))
    sections += _remarks(results)
    if results.recovery is not None:
        sections.append(recovery_text(results.recovery))
    judged = verdicts(results)
    if judged:
        sections.append(table(("goal", "wanted", "measured", ""), [_verdict_row(verdict) for verdict in judged]))
    return "\n\n".join(sections)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; numbers to the right, words to the left."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(cell in ("", "-") or cell[0].isdigit() for cell in column[1:]) for column in columns]
    lines = [_line(cells, widths, numeric) for cells in (header, *rows)]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def progress_line(one: Measurement) -> str:
    """One measurement as it is done."""
    what = f"{one.workload} {one.in_flight:>4} {one.target:<18}"
    return f"{what} {one.flows_per_s:>9,.1f}/s  p50 {one.latency.p50_ms:.2f} ms" + (
        f"  {one.failures} failed" if one.failures else ""
    )


def recovery_text(recovery: Recovery) -> str:
    """W5 in words."""
    return (
        f"W5: killed with {recovery.open_flows:,} of {recovery.flows:,} flows open, {recovery.answers_before_kill:,} calls "
        f"answered and {recovery.calls_in_service:,} in the step service.\n"
        f"Healthy {recovery.healthy_s:.2f} s after the restart, all done after {recovery.all_done_s:.2f} s; "
        f"{recovery.failed_flows} flows failed, {recovery.unfinished_flows} never ended, {recovery.unmade_calls} calls never "
        f"made.\n{recovery.repeated_calls:,} calls made twice, {recovery.repeated_tokens:,} of them under the same receipt token."
    )


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(padded).rstrip()


def _row(results: Results, one: Measurement) -> list[str]:
    share = results.share_of_floor(one)
    return [
        one.workload,
        f"{one.in_flight:,}",
        one.target,
        f"{one.flows_per_s:,.0f}" if one.flows_per_s >= 100 else f"{one.flows_per_s:.1f}",
        "-" if share is None else f"{share:.2f}",
        f"{one.latency.p50_ms:.2f}",
        f"{one.latency.p99_ms:.2f}",
        f"{one.cpu_us_per_flow['target']:,.0f}",
        f"{one.cpu_us_per_flow['steps']:,.0f}",
        f"{one.cpu_us_per_flow['client']:,.0f}",
        f"{one.step_gap_p50_us:,.0f}" if one.step_gap_p50_us else "-",
        f"{one.memory_mb:.0f}",
        f"{one.failures:,}",
    ]


def _verdict_row(verdict: Verdict) -> list[str]:
    return [verdict.subject, verdict.wanted, verdict.measured, "met" if verdict.met else "MISSED"]


def _remarks(results: Results) -> list[str]:
    disturbed = [one for one in results.measurements if one.other_cores > OTHERS_ALARM_CORES]
    failed = [one for one in results.measurements if one.failures]
    remarks = [f"{one.workload}, {one.target}: {one.failures} failed, the first: {one.first_failure}" for one in failed]
    if disturbed:
        worst = max(one.other_cores for one in disturbed)
        remarks.append(
            f"Other programs took up to {worst:.2f} cores during {len(disturbed)} of {len(results.measurements)} measurements: "
            "trust the shares more than the figures, and repeat on a quiet machine."
        )
    return remarks
