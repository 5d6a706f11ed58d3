"""One command's run over one flow: what it raised so far, already applied, so that later decisions see it."""

from argyll.flow.apply import apply
from argyll.flow.env import Env
from argyll.model.events import Payload
from argyll.model.flow import FlowState
from argyll.model.step import Step

NEVER = 1 << 62


class Transaction:
    """Raises events on a flow. `wake_at` is the earliest moment at which time alone would change something."""

    __slots__ = ("env", "events", "flow", "matches", "wake_at")

    def __init__(self, flow: FlowState, env: Env) -> None:
        self.flow, self.env = flow, env
        self.events: list[Payload] = []
        self.wake_at = NEVER
        self.matches: dict[tuple[str, str], list[bool]] = {}
        """Results of match scripts by (step, attribute), one a candidate: each runs once a command."""

    def emit(self, payload: Payload) -> None:
        """Raise an event: it is applied at once and appended with the rest when the command ends."""
        self.events.append(payload)
        apply(self.flow, payload, self.env.now_us)

    def step(self, step_id: str) -> Step:
        """The definition of a step of the plan."""
        return self.flow.plan.steps[step_id]

    def wake(self, at_us: int) -> None:
        """Ask to look at the flow again at this moment."""
        if at_us < self.wake_at:
            self.wake_at = at_us
