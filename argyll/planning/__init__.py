"""From goals, init and catalog to an immutable plan, and why a step is in or out."""

from argyll.model.match import MatchEvaluator, Verdict, combine, match_verdict
from argyll.planning.cache import Planner
from argyll.planning.errors import (
    ChildInputUnreachable,
    CircularFlow,
    FlowTooDeep,
    NoGoals,
    PlanError,
    PlanTooLarge,
    UnknownGoals,
)
from argyll.planning.planner import MAX_PLAN_STEPS, make_plan

__all__ = [
    "MAX_PLAN_STEPS",
    "ChildInputUnreachable",
    "CircularFlow",
    "FlowTooDeep",
    "MatchEvaluator",
    "NoGoals",
    "PlanError",
    "PlanTooLarge",
    "Planner",
    "UnknownGoals",
    "Verdict",
    "combine",
    "make_plan",
    "match_verdict",
]
