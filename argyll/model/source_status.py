"""How a source stands, on three axes that are independent of each other: in sync, in good health, and in which phase.

Pure: what the catalog has of the source and what its agent reported go in, JSON for REST and WebSocket comes out.
"""

from collections.abc import Iterable, Mapping

import msgspec

from argyll.model.catalog import Applied, Catalog, SourceMark
from argyll.model.json import JSON
from argyll.model.revision import live_hash
from argyll.model.source import DEFAULT_CONFIG, Hold, Problem, SourceState
from argyll.model.times import US_PER_S, from_rfc3339, to_rfc3339
from argyll.model.wire import JSONObject

SETTLING_S = 60
"""So long after a revision, steps of which nothing is known yet count as progress; later as healthy."""

_PHASES = {"verify_failed": "rejected", "invalid": "invalid", "blocked": "blocked"}


def is_suspended(state: SourceState, now_us: int) -> bool:
    """Whether nothing is applied because somebody said so."""
    suspension = state.suspension
    return suspension is not None and (not suspension.until or now_us < from_rfc3339(suspension.until))


def current_hold(state: SourceState, mark: SourceMark | None) -> Hold | None:
    """The hold that is in force: one until the next commit ends with the first revision that it does not name."""
    hold = state.hold
    if hold is None or hold.until == "resume" or mark is None:
        return hold
    named = {hold.at, *hold.skip}
    return None if any(a.at_us >= hold.at_us and a.revision not in named for a in mark.applies) else hold


def holds_back(hold: Hold | None, revision: str) -> bool:
    """Whether a hold keeps a revision out."""
    if hold is None or revision == hold.at:
        return False
    return hold.until == "resume" or revision in hold.skip


def drifted(catalog: Catalog, owner: str) -> list[str]:
    """Owned steps that are not as their owner wrote them, ascending."""
    return sorted(
        step_id
        for step_id in catalog.overrides
        if catalog.owners.get(step_id) == owner and not _as_written(catalog, step_id)
    )


def _as_written(catalog: Catalog, step_id: str) -> bool:
    step, origin = catalog.steps.get(step_id), catalog.origins.get(step_id)
    return step is not None and origin is not None and live_hash(step) == origin.live_hash


def source_view(
    source: str, state: SourceState, catalog: Catalog, now_us: int, health: Mapping[str, str]
) -> JSONObject:
    """A source's record and status. `health` maps ids of its steps to healthy, unhealthy or unknown."""
    mark = catalog.sources.get(source)
    last = mark.last if mark is not None else None
    hold = current_hold(state, mark)
    drift = drifted(catalog, source)
    problem = _open_problem(state, last)
    unhealthy = sorted(step_id for step_id, status in health.items() if status == "unhealthy")
    view: JSONObject = {
        "id": source,
        "configured": state.config is not None,
        "config": msgspec.to_builtins(state.config or DEFAULT_CONFIG),
        "sync": _sync(state, last, hold, drift),
        "health": _health(state, last, hold, problem, now_us, health),
        "phase": _phase(state, last, hold, problem, now_us),
        "owned": len(catalog.owned_by(source)),
        "drifted": drift,
        "fighting": state.fighting,
        "unhealthy": unhealthy,
        "refresh": state.refresh,
    }
    if state.observed:
        view["observed"] = {"revision": state.observed, "description": state.description} | _at(state.observed_at_us)
    if last is not None:
        view["applied"] = applied_view(last)
    return view | _decisions(state, hold, now_us) | _troubles(state, problem)


def applied_view(applied: Applied) -> JSONObject:
    """One applied revision."""
    view: JSONObject = msgspec.to_builtins(applied)
    del view["at_us"]
    return view | _at(applied.at_us)


def _at(at_us: int) -> JSONObject:
    return {"at": to_rfc3339(at_us)} if at_us else {}


def _given(**fields: JSON) -> JSONObject:
    return {name: value for name, value in fields.items() if value}


def _sync(state: SourceState, last: Applied | None, hold: Hold | None, drift: Iterable[str]) -> str:
    if list(drift):
        return "out_of_sync"
    if hold is not None:
        return "synced" if last is not None and last.revision == hold.at else "out_of_sync"
    if not state.observed or state.degraded:
        return "unknown"
    return "synced" if last is not None and last.revision == state.observed else "out_of_sync"


def _health(
    state: SourceState,
    last: Applied | None,
    hold: Hold | None,
    problem: Problem | None,
    now_us: int,
    health: Mapping[str, str],
) -> str:
    if is_suspended(state, now_us) or hold is not None:
        return "suspended"
    if state.degraded or problem is not None or state.fighting or "unhealthy" in health.values():
        return "degraded"
    settling = last is not None and now_us - last.at_us < SETTLING_S * US_PER_S
    return "progressing" if settling and "unknown" in health.values() else "healthy"


def _phase(state: SourceState, last: Applied | None, hold: Hold | None, problem: Problem | None, now_us: int) -> str:
    if is_suspended(state, now_us):
        return "suspended"
    if problem is not None:
        return _PHASES[problem.kind]
    if state.degraded:
        return "retry"
    if hold is not None:
        return "held"
    applied = last.revision if last is not None else ""
    return "pending" if state.observed and state.observed != applied else "idle"


def _open_problem(state: SourceState, last: Applied | None) -> Problem | None:
    """The reported problem, unless its revision has been applied since."""
    problem = state.problem
    if problem is None or last is None or problem.revision != last.revision or problem.at_us > last.at_us:
        return problem
    return None


def _decisions(state: SourceState, hold: Hold | None, now_us: int) -> JSONObject:
    view: JSONObject = {}
    if hold is not None:
        view["hold"] = {"revision": hold.at, "skip": hold.skip, "until": hold.until}
        view["hold"] |= _given(actor=hold.actor, reason=hold.reason) | _at(hold.at_us)
    if state.suspension is not None and is_suspended(state, now_us):
        made = state.suspension
        view["suspension"] = _given(until=made.until, actor=made.actor, reason=made.reason) | _at(made.at_us)
    if state.approval is not None:
        made = state.approval
        view["approval"] = {"plan_digest": made.plan_digest} | _given(actor=made.actor, reason=made.reason)
        view["approval"] |= _at(made.at_us)
    return view


def _troubles(state: SourceState, problem: Problem | None) -> JSONObject:
    view: JSONObject = {}
    if problem is not None:
        view["problem"] = {"kind": problem.kind, "revision": problem.revision} | _given(
            code=problem.code,
            message=problem.message,
            plan_digest=problem.plan_digest,
            step_ids=problem.step_ids,
            count=problem.count,
            diagnostics=problem.diagnostics,
        )
        view["problem"] |= _at(problem.at_us)
    if state.degraded:
        view["degraded"] = {"message": state.degraded} | _at(state.degraded_at_us)
    return view
