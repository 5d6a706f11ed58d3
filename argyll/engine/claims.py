"""Whether this node may claim work of a flow's step now (execution.md 7.1, decisions 24 and 28).

The owner of a flow claims its work. Where the step is unhealthy, it lets a node claim that sees it healthy: one
`dispatch_deferred` tells, and if that node does not come, the owner claims after a bounded wait all the same.
"""

from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from argyll.engine.health import HealthMonitor
from argyll.engine.ownership import Ownership, first_choice
from argyll.flow import Claim
from argyll.model.step import Step

ASKED_LIMIT = 65_536
"""Steps of flows that wait for another node; the longest known are forgotten and asked for again."""


class _Asked(Struct):
    node: str
    at_us: int


class Claims:
    """Decides for one node of several. `wait_s` is how long a node that was asked has to come."""

    def __init__(self, ownership: Ownership, health: HealthMonitor, now_us: Callable[[], int], wait_s: float) -> None:
        self._ownership, self._health, self._now_us = ownership, health, now_us
        self._wait_us = int(wait_s * 1e6)
        self._asked: OrderedDict[tuple[str, str], _Asked] = OrderedDict()

    def may_claim(self, flow_id: str, step: Step) -> Claim:
        """Whether this node may start work of a step of a flow; says once that another one is asked."""
        ownership = self._ownership
        if ownership.is_alone:
            return self._health.may_claim(step)
        me, owner = ownership.node_id, ownership.owner(flow_id)
        if step.type == "script":
            # It runs where its command runs; handing it over would cost an append and win nothing.
            return "yes" if owner is not None and self._is_fit(me, step.id) else "wait"
        if owner == me and self._is_fit(me, step.id):
            self._asked.pop((flow_id, step.id), None)
            return "yes"
        nominee = self.nominee(flow_id, step.id)
        if nominee == me:
            return "yes"
        if owner != me:
            return "wait"
        if nominee is None:
            return self._health.may_claim(step)
        return self._ask(flow_id, step.id, nominee)

    def nominee(self, flow_id: str, step_id: str) -> str | None:
        """The node that is to claim a step's work: the owner unless the step is unhealthy there; None where it is
        unhealthy everywhere."""
        owner = self._ownership.owner(flow_id)
        if owner is None or self._is_fit(owner, step_id):
            return owner
        fit = [node for node in self._ownership.owners if self._is_fit(node, step_id)]
        return first_choice(fit, flow_id) if fit else None

    def taken(self, flow_id: str, step_id: str) -> None:
        """Another node claimed work of the step: who was asked has come."""
        self._asked.pop((flow_id, step_id), None)

    def _ask(self, flow_id: str, step_id: str, nominee: str) -> Claim:
        now = self._now_us()
        asked = self._asked.get((flow_id, step_id))
        if asked is not None and asked.node == nominee:
            return "yes" if now - asked.at_us >= self._wait_us else "wait"
        self._asked[flow_id, step_id] = _Asked(nominee, now)
        if len(self._asked) > ASKED_LIMIT:
            self._asked.popitem(last=False)
        return "announce"

    def _is_fit(self, node: str, step_id: str) -> bool:
        return self._health.of(node, step_id).status != "unhealthy"
