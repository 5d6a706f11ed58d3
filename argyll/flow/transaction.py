"""One command's run over one flow: what it raised so far, already applied, so that later decisions see it."""

from collections.abc import Iterable

from argyll.flow.apply import apply_to
from argyll.flow.env import Env
from argyll.model.events import (
    Payload,
    StepCompleted,
    StepFailed,
    StepPayload,
    StepSkipped,
    StepStarted,
)
from argyll.model.flow import FlowState
from argyll.model.step import Step

NEVER = 1 << 62


_STEP_MOVES = frozenset((StepStarted, StepCompleted, StepFailed, StepSkipped))
"""Events after which other steps are looked at. A new value is none of them: its step ends with it."""


class Transaction:
    """Raises events on a flow. `wake_at` is the earliest moment at which time alone would change something.

    Invariant: a pending step whose verdict may have changed since it was last looked at is in `review`, one that may
    no longer be needed is in `needs`; so a flow settles in time proportional to what a command touched.
    """

    __slots__ = ("budget", "ended", "env", "events", "flow", "matches", "needs", "review", "wake_at")

    def __init__(self, flow: FlowState, env: Env) -> None:
        self.flow, self.env = flow, env
        self.events: list[Payload] = []
        self.wake_at = NEVER
        self.budget = env.budget
        self.matches: dict[tuple[str, str], list[bool]] = {}
        """Results of match scripts by (step, attribute), one a candidate: each runs once a command."""
        self.review: set[str] = set()
        self.needs: set[str] = set()
        self.ended = False
        """Whether a step ended, so that the flow's outcome may be decided."""

    def emit(self, payload: Payload) -> None:
        """Raise an event: it is applied at once and appended with the rest when the command ends."""
        self.events.append(payload)
        apply_to(self.flow, payload, self.env.now_us)
        kind = type(payload)
        if kind not in _STEP_MOVES:
            return
        assert isinstance(payload, StepPayload)
        around = self.flow.plan.neighbours[payload.step_id]
        self._touch(self.needs, around.upstream)
        if kind is not StepStarted:
            self.ended = True
            self._touch(self.review, around.downstream)
            self._touch(self.needs, around.rivals)

    def _touch(self, worklist: set[str], step_ids: frozenset[str]) -> None:
        for step_id in step_ids:
            if step_id in self.flow.pending:
                worklist.add(step_id)

    def may_start(self) -> bool:
        """Whether the command may start one more step or item; if not, the flow is looked at again at once."""
        if self.budget > 0:
            self.budget -= 1
            return True
        self.wake(self.env.now_us)
        return False

    def touch_all(self) -> None:
        """Look at every pending step: the flow is new, or time itself may have changed a verdict."""
        self.review.update(self.flow.pending)
        self.needs.update(self.flow.pending)
        self.ended = True

    def in_order(self, step_ids: Iterable[str]) -> list[str]:
        """Pending steps among `step_ids`, providers before consumers."""
        pending = self.flow.pending
        steps = [step_id for step_id in step_ids if step_id in pending]
        if len(steps) > 1:
            steps.sort(key=self.flow.plan.position.__getitem__)
        return steps

    def step(self, step_id: str) -> Step:
        """The definition of a step of the plan."""
        return self.flow.plan.steps[step_id]

    def wake(self, at_us: int) -> None:
        """Ask to look at the flow again at this moment."""
        if at_us < self.wake_at:
            self.wake_at = at_us
