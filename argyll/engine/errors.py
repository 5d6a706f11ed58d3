"""What can go wrong with a request to the engine: one exception a kind, each with its HTTP status and its mend.

The server turns them into problem documents; nothing here knows about HTTP beyond the number.
"""

from collections.abc import Sequence

from argyll.analysis.diagnostics import Diagnostic
from argyll.model.json import JSON


class EngineError(Exception):
    """A request that the engine refuses. `detail` is for people, `errors` lists every finding for programs."""

    status = 500
    title = "Internal error"

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors: list[dict[str, JSON]] = []
        self.retry_after_s = retry_after_s


class InvalidRequest(EngineError):
    """The request makes no sense, whatever the state of the engine."""

    status, title = 400, "Invalid request"

    def __init__(self, detail: str, *, path: str = "", code: str = "") -> None:
        super().__init__(detail)
        if path:
            self.errors = [{"path": path, "code": code, "message": detail}]


class InvalidDefinitions(EngineError):
    """Definitions that the analysis rejects, with all findings (decisions 5)."""

    status, title = 400, "Invalid step"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        rejecting = [found for found in diagnostics if found.rejects]
        super().__init__(f"invalid step: {'; '.join(found.text for found in rejecting)}")
        self.diagnostics = tuple(diagnostics)
        self.errors = [{"path": found.json_pointer, "code": found.code, "message": found.text} for found in rejecting]


class InvalidStep(InvalidDefinitions):
    """One step that the analysis rejects."""


class InvalidCatalog(InvalidDefinitions):
    """A desired set of steps that the analysis rejects; errors also name the step."""

    title = "Invalid catalog"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__(diagnostics)
        rejecting = [found for found in diagnostics if found.rejects]
        for entry, found in zip(self.errors, rejecting, strict=True):
            if found.step_id:
                entry["step_id"] = found.step_id


class IdMismatch(EngineError):
    status, title = 400, "Step ids differ"


class Unplannable(EngineError):
    """The goals exist but cannot be planned."""

    status, title = 400, "Goals cannot be planned"


def _escaped(name: str) -> str:
    """A name as part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


class MissingInputs(EngineError):
    """Init lacks required inputs, or supplies what a goal wants absent."""

    status, title = 400, "Required inputs not provided"

    def __init__(self, detail: str, names: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.errors = [
            {
                "path": f"/init/{_escaped(name)}",
                "code": "required_input",
                "message": f"required input {name!r} is not provided",
            }
            for name in names
        ]


class StepNotFound(EngineError):
    status, title = 404, "Step not found"


class FlowNotFound(EngineError):
    status, title = 404, "Flow not found"


class StepNotInFlow(EngineError):
    status, title = 400, "Step is not part of the flow"


class UnknownToken(EngineError):
    status, title = 400, "Unknown receipt token"


class StepConflict(EngineError):
    """The id is taken by a different definition."""

    status, title = 409, "Step already exists"


class FlowConflict(EngineError):
    """The id is taken by a different flow."""

    status, title = 409, "Flow already exists"


class FlowEnded(EngineError):
    status, title = 409, "Flow has ended"


class TooLarge(EngineError):
    """What the request leads to is more than one append may hold."""

    status, title = 413, "Too large"


class SequenceConflict(EngineError):
    """The catalog moved past the sequence that the request expects."""

    status, title = 409, "Catalog has changed"


class LeadershipStays(EngineError):
    """Leadership was not handed over; the text says why, and which node to ask."""

    status, title = 409, "Leadership stays"


class Unavailable(EngineError):
    """The engine cannot take the request now; the same request may succeed later."""

    status, title = 503, "Unavailable"


class Overloaded(Unavailable):
    title = "Overloaded"


class OutcomeUncertain(Unavailable):
    """Too few nodes answered to say whether the request took effect; it may yet. Sending it again is safe."""

    title = "Outcome uncertain"
