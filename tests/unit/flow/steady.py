"""A world whose surroundings are deterministic: what is answered next, and how, follows from the flows' states alone.

So two runs that come to the same states come to the same end, whatever was lost in between. A call is answered only after
it was made, and word of a child is heard only after it was sent: what is never done again after a crash is missed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argyll.flow import Advance, Call, Compensate, Compensated, Effect, Fail, NotCompleted, Succeed
from argyll.model import json
from argyll.model.flow import FlowState
from argyll.model.plan import Plan
from tests.unit.flow.harness import Flow, World

Key = tuple[Any, ...]
ANSWERS_AT_MOST = 5_000


class NodeLost(Exception):
    """The node died, before or after an append."""


class SteadyWorld(World):
    """`crashes` are the moments at which the node dies, counted from 0: every append has one before it, which loses it,
    and one after it, which loses what would follow."""

    def __init__(self, *steps: Any, crashes: frozenset[int] = frozenset(), **fields: Any) -> None:
        super().__init__(*steps, **fields)
        self.crashes = crashes
        self.moments = 0
        self.lost = False
        self.asked: dict[tuple[str, str, str], int] = {}
        """Calls made since the last crash: attempts by flow, step and token; 0 for an undoing."""
        self.told: set[str] = set()
        """Children whose word is on its way."""
        self.ends: dict[str, dict[str, Any]] = {}
        """How each flow stood when it ended; work that goes on after that may be given up by a crash."""
        self.committing, self.committed = self._count, self._note

    def _note(self, flow: Flow) -> None:
        if flow.status != "active":
            self.ends.setdefault(flow.state.id, outcome(flow))
        self._count(flow)

    def _count(self, flow: Flow) -> None:
        self.moments += 1
        if self.moments - 1 in self.crashes:
            raise NodeLost

    def recover(self) -> None:
        """As a world does; what was under way is gone."""
        self.asked.clear()
        self.told.clear()
        super().recover()

    def perform(self, effect: Effect) -> None:
        """As a world does, but calls and words wait until it is their turn."""
        if isinstance(effect, Call | Compensate):
            work = self.flows[effect.flow_id].item(effect.step_id, effect.token)[1]
            attempt = effect.attempt if isinstance(effect, Call) else 0
            if not attempt or attempt == work.attempt:
                self.asked[effect.flow_id, effect.step_id, effect.token] = attempt
        else:
            super().perform(effect)

    def _tell_parent(self, child: FlowState) -> None:
        self.told.add(child.id)

    def begin(self, plan: Plan, init: dict[str, list[Any]]) -> None:
        """Start the flow; a caller that gets no answer asks again."""
        while "f" not in self.flows or not self.flows["f"].log:
            try:
                self.open("f", plan, init)
            except NodeLost:
                self.lost = True

    def run_to_the_end(self, outputs: Callable[[int], dict[str, Any]]) -> None:
        """Answer, and let time pass, until nothing moves any more; a node that dies comes back as another."""
        for _ in range(ANSWERS_AT_MOST):
            try:
                if self.lost:
                    self.recover()
                    self.lost = False
                elif not self._move(outputs):
                    return
            except NodeLost:
                self.lost = True
                self.node_id = f"n{self.moments}"
        raise AssertionError("the flows never come to rest")

    def _move(self, outputs: Callable[[int], dict[str, Any]]) -> bool:
        if self.effects:
            self.perform(self.effects.popleft())
        elif (turn := min(self._turns(), default=None)) is not None:
            self._answer_one(*turn[-2:], outputs)
        else:
            due = min(flow.wake_at for flow in self.flows.values())
            if due > self.now_us + 10**12:
                return False
            self.now_us = max(due, self.now_us)
            self._wake()
        return True

    def _wake(self) -> None:
        for flow in sorted(self.flows.values(), key=self._place):
            if flow.wake_at <= self.now_us:
                flow.do(Advance())

    def _place(self, flow: Flow) -> Key:
        """Where a flow stands, without its id: a token in it differs from run to run."""
        if flow.state.parent is None:
            return ()
        parent_id, step_id, token = flow.state.parent
        parent = self.flows[parent_id]
        work = parent.item(step_id, token)[1]
        return (*self._place(parent), parent.state.plan.position[step_id], work.index)

    def _turns(self) -> list[Key]:
        """What can be answered now, as (place, position, index, what, flow id, (step, token))."""
        turns: list[Key] = []
        for flow_id in self.told:
            turns.append((self._place(self.flows[flow_id]), 0, 0, "word", flow_id, ("", "")))
        for (flow_id, step_id, token), attempt in self.asked.items():
            flow = self.flows[flow_id]
            work = flow.item(step_id, token)[1]
            place = self._place(flow), flow.state.plan.position[step_id], work.index
            if attempt and work.status == "active" and work.attempt == attempt:
                turns.append((*place, "call", flow_id, (step_id, token)))
            elif not attempt and work.status == "compensating" and not work.next_retry_at:
                turns.append((*place, "undo", flow_id, (step_id, token)))
        return turns

    def _answer_one(self, flow_id: str, item: tuple[str, str], outputs: Callable[[int], dict[str, Any]]) -> None:
        flow, (step_id, token) = self.flows[flow_id], item
        if not step_id:
            self.told.discard(flow_id)
            super()._tell_parent(flow.state)
            return
        attempt = self.asked.pop((flow_id, step_id, token))
        work = flow.item(step_id, token)[1]
        chance = sum(json.canonical([step_id, work.inputs]))
        if not attempt:
            flow.do(Compensated(step_id, token))
        elif work.retry_count < chance % 3 - 1:
            flow.do(NotCompleted(step_id, token, "busy", attempt))
        elif chance % (4 if work.index else 13) == 0:
            flow.do(Fail(step_id, token, "refused"))
        else:
            flow.do(Succeed(step_id, token, outputs(chance)))


def outcome(flow: Flow) -> dict[str, Any]:
    """How a flow stands, without what differs when work is done twice: tokens, attempts, owners."""
    return {
        "status": (flow.status, flow.state.error),
        "values": {name: [(v.value, v.step) for v in values] for name, values in flow.state.attributes.items()},
        "steps": {
            step_id: (
                execution.status,
                execution.error,
                execution.inputs,
                execution.outputs,
                [
                    (item.status, item.inputs, item.outputs, item.error, item.retry_count)
                    for item in flow.items(step_id)
                ],
            )
            for step_id, execution in flow.state.executions.items()
        },
    }
