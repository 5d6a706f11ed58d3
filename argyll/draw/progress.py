"""How a flow's steps fare, folded from its events: the words that stand beside a picture while the flow runs.

Holds what a reader is told (attempts, retries, items, last error, duration), not what deciding needs; that is
`argyll.flow`. An event it does not know changes nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from argyll.model.json import JSON, text
from argyll.model.wire import JSONObject

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

MAX_NOTE_CHARS = 72
"""Longer errors and reasons are cut in the picture; the events hold the whole text."""


@dataclass
class StepProgress:
    """One step. `retrying` counts items that wait for their next attempt; moments are milliseconds since the epoch."""

    status: str = "pending"
    items: int = 0
    items_done: int = 0
    calls: int = 0
    retries: int = 0
    retrying: int = 0
    compensating: int = 0
    reason: str = ""
    started_ms: int = 0
    duration_ms: int | None = None

    @property
    def word(self) -> str:
        """The status a reader is told: `retrying` or `compensating` where the engine says active or failed."""
        if self.status == "active" and self.retrying:
            return "retrying"
        if self.status == "failed" and self.compensating:
            return "compensating"
        return self.status

    @property
    def note(self) -> str:
        """What is worth saying beside the status, possibly nothing."""
        parts: list[str] = []
        if self.items > 1:
            parts.append(f"{self.items_done}/{self.items} items")
        if self.retries:
            parts.append(f"{self.retries} {'retry' if self.retries == 1 else 'retries'}")
        if self.duration_ms is not None:
            parts.append(f"{self.duration_ms} ms")
        if self.reason and (self.status != "completed"):
            parts.append(_cut(self.reason))
        return ", ".join(parts)


@dataclass
class Progress:
    """A flow on its way. `apply` takes its events in order."""

    status: str = "active"
    error: str = ""
    deactivated: bool = False
    result: JSONObject = field(default_factory=dict[str, JSON])
    steps: dict[str, StepProgress] = field(default_factory=dict[str, StepProgress])

    @property
    def statuses(self) -> dict[str, str]:
        """Step id to the word that `Rails.rows` takes."""
        return {step_id: step.word for step_id, step in self.steps.items()}

    def apply(self, event_type: str, data: JSONObject, at_ms: int) -> str:
        """Fold one event in and describe it in a line; empty when there is nothing a reader would miss."""
        fold = _FOLDS.get(event_type)
        return fold(self, data, at_ms) if fold is not None else ""

    def step(self, data: JSONObject) -> StepProgress:
        """The progress of the step that an event is about."""
        return self.steps.setdefault(data["step_id"], StepProgress())


def _cut(words: str) -> str:
    """One short line; what a service says cannot move the reader's cursor."""
    line = " ".join(_CONTROL.sub(" ", words).split())
    return line if len(line) <= MAX_NOTE_CHARS else line[: MAX_NOTE_CHARS - 1] + "…"


def _flow_started(progress: Progress, data: JSONObject, at_ms: int) -> str:
    progress.steps = {step_id: StepProgress() for step_id in sorted(data["plan"]["steps"])}
    return f"flow {data['flow_id']} started, goals {', '.join(data['plan']['goals'])}"


def _flow_completed(progress: Progress, data: JSONObject, at_ms: int) -> str:
    progress.status, progress.result = "completed", data["result"]
    return "flow completed"


def _flow_failed(progress: Progress, data: JSONObject, at_ms: int) -> str:
    progress.status, progress.error = "failed", data["error"]
    return f"flow failed: {_cut(data['error'])}"


def _flow_deactivated(progress: Progress, data: JSONObject, at_ms: int) -> str:
    progress.deactivated = True
    return ""


def _step_started(progress: Progress, data: JSONObject, at_ms: int) -> str:
    step = progress.step(data)
    step.status, step.started_ms, step.items = "active", at_ms, len(data["work_items"])
    count = f", {step.items} items" if step.items > 1 else ""
    return f"{data['step_id']} active{count}"


def _step_ended(status: str) -> Callable[[Progress, JSONObject, int], str]:
    def fold(progress: Progress, data: JSONObject, at_ms: int) -> str:
        step = progress.step(data)
        step.status, step.retrying = status, 0
        if status == "completed":
            step.duration_ms = data["duration"]
            return f"{data['step_id']} completed in {step.duration_ms} ms"
        if step.started_ms:
            step.duration_ms = at_ms - step.started_ms
        step.reason = data.get("error") or data.get("reason") or ""
        return f"{data['step_id']} {status}: {_cut(step.reason)}"

    return fold


def _attribute_set(progress: Progress, data: JSONObject, at_ms: int) -> str:
    return f"{data['step_id']} sets {data['key']} = {_cut(text(data['value']))}"


def _work_started(progress: Progress, data: JSONObject, at_ms: int) -> str:
    step = progress.step(data)
    step.calls += 1
    step.retrying = max(0, step.retrying - 1) if data.get("attempt", 1) > 1 else step.retrying
    return ""


def _work_succeeded(progress: Progress, data: JSONObject, at_ms: int) -> str:
    progress.step(data).items_done += 1
    return ""


def _work_failed(progress: Progress, data: JSONObject, at_ms: int) -> str:
    step = progress.step(data)
    step.items_done += 1
    step.reason = data["error"]
    return f"{data['step_id']} work failed: {_cut(data['error'])}"


def _work_retry_scheduled(progress: Progress, data: JSONObject, at_ms: int) -> str:
    step = progress.step(data)
    step.retries += 1
    step.retrying += 1
    step.reason = data["error"]
    return f"{data['step_id']} retrying (retry {data['retry_count']}): {_cut(data['error'])}"


def _comp_started(progress: Progress, data: JSONObject, at_ms: int) -> str:
    progress.step(data).compensating += 1
    return f"{data['step_id']} compensating"


def _comp_ended(outcome: str) -> Callable[[Progress, JSONObject, int], str]:
    def fold(progress: Progress, data: JSONObject, at_ms: int) -> str:
        step = progress.step(data)
        step.compensating = max(0, step.compensating - 1)
        error = data.get("error", "")
        return f"{data['step_id']} {outcome}" + (f": {_cut(error)}" if error else "")

    return fold


_FOLDS: dict[str, Callable[[Progress, JSONObject, int], str]] = {
    "flow_started": _flow_started,
    "flow_completed": _flow_completed,
    "flow_failed": _flow_failed,
    "flow_deactivated": _flow_deactivated,
    "step_started": _step_started,
    "step_completed": _step_ended("completed"),
    "step_failed": _step_ended("failed"),
    "step_skipped": _step_ended("skipped"),
    "attribute_set": _attribute_set,
    "work_started": _work_started,
    "work_succeeded": _work_succeeded,
    "work_failed": _work_failed,
    "work_retry_scheduled": _work_retry_scheduled,
    "comp_started": _comp_started,
    "comp_succeeded": _comp_ended("compensated"),
    "comp_failed": _comp_ended("compensation failed"),
}
