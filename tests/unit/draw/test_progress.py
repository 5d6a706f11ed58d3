"""Progress tells how a flow fares, from its events alone."""

import pytest

from argyll.draw import Progress
from argyll.draw.progress import MAX_NOTE_CHARS
from argyll.model.json import JSON

PLAN = {"goals": ["b"], "steps": {"a": {}, "b": {}}}


def started(*events: tuple[str, dict[str, JSON]]) -> tuple[Progress, list[str]]:
    progress = Progress()
    progress.apply("flow_started", {"flow_id": "f", "plan": PLAN, "init": {}}, 1_000)
    return progress, [
        progress.apply(kind, {"flow_id": "f"} | data, 1_000 + at) for at, (kind, data) in enumerate(events)
    ]


STEP = {"step_id": "a"}
START = ("step_started", STEP | {"inputs": {}, "work_items": {"t1": {}, "t2": {}}})
WORK = STEP | {"token": "t1"}
RETRY = ("work_retry_scheduled", WORK | {"retry_count": 1, "next_retry_at": "2026-01-01T00:00:00Z", "error": "busy"})


def test_a_started_flow_has_every_step_pending():
    progress, _ = started()
    assert progress.statuses == {"a": "pending", "b": "pending"}


def test_an_item_that_waits_for_its_next_attempt_makes_the_step_retrying():
    progress, lines = started(START, RETRY)
    assert progress.statuses["a"] == "retrying"
    assert lines[-1] == "a retrying (retry 1): busy"


def test_the_next_attempt_makes_it_active_again():
    progress, _ = started(START, RETRY, ("work_started", WORK | {"inputs": {}, "node_id": "n", "attempt": 2}))
    assert progress.statuses["a"] == "active"


def test_a_completed_step_tells_items_retries_and_duration():
    progress, lines = started(
        START,
        RETRY,
        ("work_succeeded", WORK | {"outputs": {}}),
        ("work_succeeded", WORK | {"token": "t2", "outputs": {}}),
        ("step_completed", STEP | {"outputs": {}, "duration": 340}),
    )
    assert (progress.steps["a"].word, progress.steps["a"].note) == ("completed", "2/2 items, 1 retry, 340 ms")
    assert lines[-1] == "a completed in 340 ms"


@pytest.mark.parametrize(
    ("event", "word", "line"),
    [
        (("step_skipped", STEP | {"reason": "outputs not needed"}), "skipped", "a skipped: outputs not needed"),
        (("step_failed", STEP | {"error": "404 gone"}), "failed", "a failed: 404 gone"),
    ],
)
def test_a_step_that_does_not_complete_says_why(event: tuple[str, dict[str, JSON]], word: str, line: str):
    progress, lines = started(event)
    assert (progress.statuses["a"], lines[-1]) == (word, line)


def test_compensation_shows_while_it_runs_and_ends_in_failed():
    progress, _ = started(START, ("step_failed", STEP | {"error": "no"}), ("comp_started", WORK))
    assert progress.statuses["a"] == "compensating"
    assert progress.apply("comp_succeeded", {"flow_id": "f"} | WORK, 2_000) == "a compensated"
    assert progress.statuses["a"] == "failed"


def test_the_flow_ends_with_result_or_error_and_is_deactivated_last():
    done, _ = started(("flow_completed", {"result": {"x": 1}}), ("flow_deactivated", {"status": "completed"}))
    assert (done.status, done.result, done.deactivated) == ("completed", {"x": 1}, True)
    failed, lines = started(("flow_failed", {"error": "step a failed"}))
    assert (failed.status, failed.deactivated, lines[-1]) == ("failed", False, "flow failed: step a failed")


def test_long_errors_are_cut_to_one_line_that_cannot_control_a_terminal():
    _, lines = started(("flow_failed", {"error": "x\n\x1b[2J\x9b" * 500}))
    assert lines[-1].isprintable()
    assert len(lines[-1]) <= MAX_NOTE_CHARS + len("flow failed: ")


def test_an_event_of_a_later_version_changes_nothing():
    progress, lines = started(("step_teleported", STEP))
    assert (progress.statuses["a"], lines) == ("pending", [""])
