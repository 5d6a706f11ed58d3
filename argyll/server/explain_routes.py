"""The route that explains a flow: why its steps did what they did, where values come from, what it waits for.

Reads the history in slices, so that a long one delays nobody; what is said of it is `argyll.flow.explain`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from argyll.analysis.nearest import did_you_mean
from argyll.flow.explain import History, NothingHappened, UnknownAttribute, UnknownStep, explain, left_out
from argyll.model.events import decode_payload
from argyll.server.answers import Answer, json_answer
from argyll.server.problems import BadRequest, Finding, NotFound, finding
from argyll.server.requests import CONSISTENCY, refusal

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine

READ_EVENTS = 250
"""Events read at once: between two reads the loop serves others."""
MAX_EXPLAINED_EVENTS = 1_000_000
"""A longer history is refused; an earlier moment of it (`at`) can still be explained."""


class _Question(NamedTuple):
    step: str
    attribute: str
    at: int | None


class ExplainRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def flow(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/flow/{flow}/explain`, with `step`, `attribute` and `at` (a sequence) as it pleases."""
        (flow_id,) = parameters
        question = _question(request)
        history = History(question.step, question.attribute)
        at_rest = await self._read(flow_id, history, question.at)
        try:
            return json_answer(explain(history, at_rest=at_rest))
        except NothingHappened:
            raise NotFound(f"flow not found: {flow_id}") from None
        except UnknownStep as error:
            raise _no_step(history, str(error)) from error
        except UnknownAttribute as error:
            raise _no_attribute(history, str(error)) from error

    async def _read(self, flow_id: str, history: History, at: int | None) -> bool:
        """Read the events up to and with sequence `at`, all without one. False when `at` is inside an append."""
        while True:
            records = await self._engine.events(("flow", flow_id), history.events, READ_EVENTS)
            for record in records:
                if at is not None and history.events > at:
                    # Events of one append share their moment.
                    return record.timestamp_us != history.now_us
                if history.events >= MAX_EXPLAINED_EVENTS:
                    raise BadRequest(
                        f"the history is longer than MAX_EXPLAINED_EVENTS, {MAX_EXPLAINED_EVENTS}; "
                        f"explain an earlier moment with ?at={MAX_EXPLAINED_EVENTS - 1} or less"
                    )
                history.add(decode_payload(record.type, record.data), record.timestamp_us)
            if len(records) < READ_EVENTS:
                if at is not None and 0 < history.events <= at:
                    message = f"{at} has not happened: the last event so far is {history.events - 1}"
                    raise refusal([finding("at", "bad_value", message)])
                return True
            await asyncio.sleep(0)


def _question(request: BaseRequest) -> _Question:
    query = request.query
    findings: list[Finding] = [
        finding(name, "unknown_field", f"unknown parameter {name[:80]!r}; {did_you_mean(name, _Question._fields)}")
        for name in query
        if name not in (*_Question._fields, CONSISTENCY)
    ]
    text = query.get("at", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        findings.append(finding("at", "bad_value", f"{text[:80]!r} is not a sequence, a number from 0 up"))
    if findings:
        raise refusal(findings)
    return _Question(query.get("step", ""), query.get("attribute", ""), int(text) if text else None)


def _no_step(history: History, step_id: str) -> NotFound:
    assert history.flow is not None
    plan = history.flow.plan
    hint = did_you_mean(step_id, [*plan.steps, *left_out(plan)])
    return NotFound(f"flow {history.flow.id} has no step {step_id[:80]!r}: it is not in the plan; {hint}".rstrip("; "))


def _no_attribute(history: History, name: str) -> NotFound:
    assert history.flow is not None
    flow = history.flow
    known = sorted({known for step in flow.plan.steps.values() for known in step.attributes} | flow.attributes.keys())
    return NotFound(
        f"flow {flow.id} has no attribute {name[:80]!r}: no step speaks of it; {did_you_mean(name, known)}".rstrip("; ")
    )
