"""The shape of an explanation: plain structs that become the JSON of `GET /engine/flow/{flow}/explain`.

Facts and codes only, no sentences; those are `argyll.draw.story`. Every field that does not apply is left out of the
JSON. The page `docs/explain.md` lists the codes.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from argyll.model.json import JSON, encode
from argyll.model.times import US_PER_MS, to_rfc3339

MAX_ITEMS_LISTED = 10
"""Work items listed of a step, and of those that wait in the same way; the rest is counted."""
MAX_ATTEMPTS_LISTED = 10
"""Attempts listed of a work item, the latest; the rest is counted."""
MAX_VALUES_LISTED = 10
"""Candidate values listed of an attribute; the rest is counted."""
MAX_CAUSES_LISTED = 50
"""Links listed of a chain of causes."""
MAX_ORIGINS_LISTED = 100
"""Values traced back for one question about an attribute."""
MAX_ORIGINS_DEPTH = 25
"""Steps in a row that a value is traced back through."""
MAX_VALUE_BYTES = 1_000
"""A larger value is shown by the beginning of its JSON text; the flow's state has it whole."""
MAX_ERROR_CHARS = 2_000
"""Longer words of a service are cut; the events have them whole."""


class Moment(Struct, frozen=True, omit_defaults=True):
    """When something happened, or will. `event` is the sequence of the event that says so: the evidence."""

    at: str
    after_ms: int
    """Milliseconds since the flow started."""
    event: int | None = None


class Shown(Struct, omit_defaults=True):
    """A value, or the beginning of its JSON text when it is larger than `MAX_VALUE_BYTES`."""

    value: JSON | UnsetType = UNSET
    preview: str = ""
    bytes: int = 0


class Candidate(Struct, omit_defaults=True):
    """One value of an attribute, the `index`-th. `step` is its producer, empty when the flow was started with it."""

    index: int
    value: Shown
    set: Moment
    step: str = ""


class Provider(Struct, omit_defaults=True):
    """A step of the plan that writes an attribute, and what became of it. `gave`: it has set the attribute."""

    step: str
    status: str
    gave: bool = False


InputOutcome = Literal["value", "default", "absent", "waits"]
OptionalWhy = Literal["no_provider", "not_waited", "deadline_passed", "providers_ended", "late"]


class Input(Struct, omit_defaults=True):
    """One input of a step, as it was when the step was decided, or as it is while it is pending.

    `verdict` is of the collect policy: fulfilled, possible, impossible; `undecided` when only a match script, which an
    explanation never runs, could say. `outcome` is what the step received; `used` says whose values these were.
    """

    name: str
    role: str
    inner: str = ""
    collect: str = ""
    verdict: Literal["fulfilled", "possible", "impossible", "undecided", ""] = ""
    match: Literal["matched", "unmatched", "unknown", ""] = ""
    script: str = ""
    """The match script."""
    outcome: InputOutcome | Literal[""] = ""
    why: OptionalWhy | Literal[""] = ""
    converted: bool = False
    """A mapping script stands between the attribute's value and what the step received."""
    received: Shown | None = None
    used: list[Candidate] = []
    candidates: list[Candidate] = []
    more_candidates: int = 0
    providers: list[Provider] = []
    since: Moment | None = None
    """Since when the input is fulfilled."""
    deadline_ms: int = 0
    until: Moment | None = None
    """When waiting for an optional input ends."""


class Attempt(Struct, omit_defaults=True):
    """One call, run or child flow of a work item, or one call that undoes it."""

    number: int
    started: Moment
    outcome: Literal["running", "succeeded", "failed", "not_completed", "taken_over"]
    node_id: str = ""
    ended: Moment | None = None
    error: str = ""
    retry_at: Moment | None = None


ItemWhy = Literal["", "remembered", "step_failed", "flow_ended", "predicate", "late_result"]


class Item(Struct, omit_defaults=True):
    """One work item. `index` counts from 0 in expansion order, `inputs` are its own for_each values."""

    index: int
    status: str
    token: str = ""
    child: str = ""
    """The flow that the item started."""
    inputs: dict[str, Shown] = {}
    why: ItemWhy = ""
    ended: Moment | None = None
    error: str = ""
    attempts: list[Attempt] = []
    earlier_attempts: int = 0
    max_attempts: int = 0
    """All calls that the item may take, those that a lost node cost not counted against it; 0 for no bound."""
    undo: list[Attempt] = []
    undo_why: Literal["", "step_failed", "late_result"] = ""


class Items(Struct, omit_defaults=True):
    """The work items of a step: how many in each status, and those that say most: failed, then open, then the rest."""

    total: int
    by_status: dict[str, int]
    listed: list[Item] = []
    more: int = 0


class Reader(Struct, omit_defaults=True):
    """Why a step of the plan does not want an output (any more)."""

    output: str
    step: str
    status: str
    why: Literal["started", "ended", "has_value", "cannot_complete"]


ReasonCode = Literal[
    "started",
    "waits",
    "match",
    "predicate",
    "not_needed",
    "unreachable",
    "work_failed",
    "script_failed",
    "too_many_items",
    "cancelled",
    "flow_ended",
    "satisfied",
    "missing",
    "blocked",
]


class Cause(Struct, omit_defaults=True):
    """One link from a step that could not run back to what began it: `step` did not give `input` to `reader`.

    Without `step`, nothing in the plan provides the input, or init does.
    """

    reader: str
    input: str
    step: str = ""
    status: str = ""
    code: ReasonCode | Literal["gave_nothing", "gave_value", "no_provider", ""] = ""
    error: str = ""
    at: Moment | None = None
    item: Item | None = None
    inputs: list[Input] = []
    """What its match saw, when that turned it down."""
    script: str = ""
    """Its predicate, when that returned false."""


class Reason(Struct, omit_defaults=True):
    """Why a step is as it is. `inputs` are those it is about, `because` leads to the root cause, nearest first."""

    code: ReasonCode
    error: str = ""
    inputs: list[Input] = []
    names: list[str] = []
    """Attributes that kept a step out of the plan."""
    readers: list[Reader] = []
    item: Item | None = None
    because: list[Cause] = []
    source: Literal["match", "predicate", ""] = ""
    """Which script failed."""
    script: str = ""
    """The predicate that returned false or failed."""
    received: dict[str, Shown] = {}
    """What the predicate saw."""


class StepStory(Struct, omit_defaults=True):
    """One step. `status` is `left_out` for a step that planning considered and did not take."""

    step: str
    status: str
    reason: Reason
    type: str = ""
    goal: bool = False
    wanted_for: dict[str, list[str]] = {}
    """Output to the steps of the plan that read it."""
    decided: Moment | None = None
    """When it was started, skipped, or failed without having started."""
    ended: Moment | None = None
    inputs: list[Input] = []
    """Only when the question names the step."""
    items: Items | None = None
    deferred: Moment | None = None
    """When its start was put off because it was unhealthy on a node; the latest time."""


WaitKind = Literal[
    "webhook",
    "answer",
    "script",
    "retry",
    "child",
    "slot",
    "health",
    "claim",
    "deadline",
    "undo",
    "undo_retry",
    "engine",
]


class WaitingItem(Struct, omit_defaults=True):
    """A work item that is waited for."""

    index: int
    since: Moment
    token: str = ""
    attempt: int = 0
    node_id: str = ""
    due: Moment | None = None
    error: str = ""
    max_attempts: int = 0
    child: str = ""


class Wait(Struct, omit_defaults=True):
    """Something outside that the flow waits for. `count` items of `step` wait alike, the first are in `items`.

    `due` is when time alone ends the wait (the earliest), `timeout_ms` how long the step lets one call take.
    """

    kind: WaitKind
    step: str = ""
    count: int = 0
    items: list[WaitingItem] = []
    since: Moment | None = None
    due: Moment | None = None
    timeout_ms: int = 0
    endpoint: str = ""
    input: str = ""
    providers: list[Provider] = []


class Origin(Struct, omit_defaults=True):
    """How a producing step came by one of its own inputs, and from whom."""

    name: str
    role: str
    outcome: InputOutcome | Literal[""] = ""
    inner: str = ""
    converted: bool = False
    why: OptionalWhy | Literal[""] = ""
    received: Shown | None = None
    key: str = ""
    deadline_ms: int = 0
    values: "list[Traced]" = []


class Traced(Struct, omit_defaults=True):
    """One value and how it came to be. A value already traced elsewhere in the answer has `seen` and no `origins`."""

    attribute: str
    index: int
    value: Shown
    set: Moment
    step: str = ""
    inner: str = ""
    converted: bool = False
    items: int = 0
    """Work items whose outputs it lists, for a for_each step."""
    item: Item | None = None
    origins: list[Origin] = []
    seen: bool = False
    untraced: bool = False
    """The question has led too far (`MAX_ORIGINS_LISTED`, `MAX_ORIGINS_DEPTH`); ask about this attribute itself."""


class AttributeStory(Struct, omit_defaults=True):
    """One attribute: its values with their origin, who writes it, who reads it."""

    name: str
    values: list[Traced] = []
    more_values: int = 0
    providers: list[Provider] = []
    readers: list[str] = []
    constants: dict[str, Shown] = {}
    """Steps for which the name is a constant of their own."""
    because: list[Cause] = []
    """Why it has no value."""


class GoalStory(Struct, omit_defaults=True):
    goal: str
    status: str
    reason: str = ""


class Outcome(Struct, omit_defaults=True):
    """Why the flow ended as it did."""

    code: Literal["goals_done", "goal_failed", "goals_pruned", "cancelled"]
    at: Moment
    goals: list[GoalStory]
    error: str = ""
    because: list[Cause] = []


class Explanation(Struct, omit_defaults=True):
    """The answer. `at` is the event up to which the history was read; nothing later is known here."""

    flow_id: str
    status: str
    goals: list[str]
    started: Moment
    at: Moment
    waiting: list[Wait]
    steps: list[StepStory]
    attributes: list[AttributeStory]
    closed: Moment | None = None
    """When everything had settled, so that nothing can happen any more."""
    outcome: Outcome | None = None
    parent: str = ""
    """The flow that started this one."""
    step: str = ""
    attribute: str = ""
    """What was asked about; neither for an overview of all steps and attributes."""


def moment(at_us: int, start_us: int, event: int | None = None) -> Moment:
    """A moment of a flow that started at `start_us`."""
    return Moment(to_rfc3339(at_us), (at_us - start_us) // US_PER_MS, event)


def shown(value: JSON) -> Shown:
    """A value, cut when it is large."""
    raw = encode(value)
    if len(raw) <= MAX_VALUE_BYTES:
        return Shown(value=value)
    return Shown(preview=raw[:MAX_VALUE_BYTES].decode(errors="ignore"), bytes=len(raw))


def words(error: str) -> str:
    """What a service or script said, cut when it is long."""
    return error if len(error) <= MAX_ERROR_CHARS else error[: MAX_ERROR_CHARS - 1] + "…"
