"""Why a plan cannot be made: one exception a kind of failure that a caller can treat differently."""

from collections.abc import Sequence


class PlanError(Exception):
    """The goals cannot be planned. `str()` is the text for people."""


class NoGoals(PlanError):
    """No goal was named."""


class UnknownGoals(PlanError):
    """Goals that no step of the catalog is called."""

    def __init__(self, missing: Sequence[str], wanted_by: str = "") -> None:
        self.missing = tuple(missing)
        by = f" (goal of flow step {wanted_by!r})" if wanted_by else ""
        super().__init__(f"step not found: {', '.join(missing)}{by}")


class CircularFlow(PlanError):
    """A flow step that is part of its own child plan."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"circular flow composition: {' -> '.join(path)}")


class FlowTooDeep(PlanError):
    """Flow steps nest deeper than `MAX_PLAN_DEPTH`."""


class PlanTooLarge(PlanError):
    """The plan and the child plans in it hold more than `MAX_PLAN_STEPS` steps."""


class ChildInputUnreachable(PlanError):
    """A child plan needs an input that its flow step can never pass (decisions 17)."""

    def __init__(self, step_id: str, names: Sequence[str]) -> None:
        self.step_id, self.names = step_id, tuple(names)
        listed = ", ".join(names)
        super().__init__(
            f"flow step {step_id!r} can never supply {listed} to its child flow; "
            f"add a required input mapped to {listed}, or give it a default"
        )
