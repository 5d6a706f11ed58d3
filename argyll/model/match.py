"""The verdict over a `match` gate: one table for planner and flow machine (execution.md 3.3).

Runs no script; it only says what results of a script mean under a collect policy.
"""

from collections.abc import Callable, Iterable
from typing import Literal

from argyll.model.json import JSON
from argyll.model.step import Collect, Script

Verdict = Literal["matched", "unmatched", "unknown"]

MatchEvaluator = Callable[[Script, JSON], bool]
"""Runs a match script over one candidate. May raise; what that means is the caller's business."""


def match_verdict(collect: Collect, *, any_match: bool, all_match: bool, settled: bool, contributed: bool) -> Verdict:
    """What a gate says of the candidates so far.

    `any_match` / `all_match` are over the candidates (all of none is true), `settled` says that no more candidates
    can come, `contributed` that every provider gave one.
    """
    if collect == "none":
        return "unmatched" if any_match else _when(settled, "matched")
    if collect == "all":
        if not all_match:
            return "unmatched"
        if settled:
            return "matched" if any_match and contributed else "unmatched"
        return "unknown"
    if collect == "last":
        return _when(settled, "matched" if any_match else "unmatched")
    return "matched" if any_match else _when(settled, "unmatched")


def _when(settled: bool, verdict: Verdict) -> Verdict:
    return verdict if settled else "unknown"


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """A step's gate: unmatched if any input is, else unknown if any is, else matched (also without gates)."""
    seen = set(verdicts)
    for verdict in ("unmatched", "unknown"):
        if verdict in seen:
            return verdict
    return "matched"
