"""`argyll source` asks the engine the right thing, says it to people, and exits by the table."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from click.testing import Result

from argyll.cli.exitcodes import ExitCode

Run = Callable[..., Result]
Engine = Any

VIEW: dict[str, Any] = {
    "id": "pay", "configured": True, "config": {"dir": "/srv"}, "sync": "synced", "health": "healthy", "phase": "idle",
    "owned": 2, "drifted": [], "fighting": [], "unhealthy": [], "refresh": 0,
    "observed": {"revision": "9f2c1e4aaaaaaaaa", "description": "", "at": "2026-01-01T00:00:00Z"},
    "applied": {"revision": "9f2c1e4aaaaaaaaa", "sequence": 12, "at": "2026-01-01T00:00:01Z", "lineage": "fast-forward",
                "created": 1, "updated": 0, "deleted": 0},
}  # fmt: skip
BLOCKED = VIEW | {
    "sync": "out_of_sync", "health": "degraded", "phase": "blocked", "drifted": ["a"],
    "problem": {"kind": "blocked", "revision": "b1", "code": "B001", "message": "8 of 20", "plan_digest": "sha256:1"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def pay(engine: Engine) -> None:
    engine.on("GET /engine/source", {"sources": [VIEW], "count": 1})
    engine.on("GET /engine/source/pay", VIEW)
    engine.on("GET /engine/source/pay/history", {"applies": [VIEW["applied"]]})
    for decision in ("refresh", "suspend", "resume", "approve"):
        engine.on(f"POST /engine/source/pay/{decision}", VIEW)


def test_list_and_history_are_tables(run: Run):
    assert run("source", "list").stdout.splitlines()[1].split() == [
        "pay", "synced", "healthy", "idle", "9f2c1e4aaaaa", "2",
    ]  # fmt: skip
    assert "fast-forward" in run("source", "history", "pay").stdout


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (VIEW, ExitCode.OK),
        (VIEW | {"sync": "out_of_sync"}, ExitCode.CHANGES),
        (BLOCKED, ExitCode.FAILED),
    ],
)
def test_status_exits_by_what_it_shows(run: Run, engine: Engine, view: Any, code: ExitCode):
    engine.on("GET /engine/source/pay", view)
    assert run("source", "status", "pay").exit_code == code
    assert json.loads(run("source", "status", "pay", "-o", "json").stdout) == view


def test_status_says_what_waits_for_whom(run: Run, engine: Engine):
    hold = {"revision": "71b0aa2", "skip": [], "until": "next-commit", "actor": "ann", "at": "2026-01-01T00:00:00Z"}
    engine.on("GET /engine/source/pay", BLOCKED | {"hold": hold})
    lines = run("source", "status", "pay").stdout.splitlines()
    assert lines[0] == "pay   out_of_sync / degraded / blocked   2 steps"
    assert "drifted   a" in lines
    assert "hold      71b0aa2, until next-commit, by ann" in lines
    assert lines[-1] == "next      argyll source approve pay --plan sha256:1"


def test_what_get_prints_is_what_apply_takes(run: Run, engine: Engine):
    text = run("source", "get", "pay", "-o", "yaml").stdout
    assert yaml.safe_load(text) == {"apiVersion": "argyll/v1", "kind": "Source", "id": "pay", "dir": "/srv"}
    engine.on("PUT /engine/source/pay", VIEW)
    assert run("source", "apply", "-", input=text).exit_code == 0
    assert engine.body_of("PUT /engine/source/pay") == {"dir": "/srv"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("id: pay", ExitCode.INVALID),
        ("kind: Source", ExitCode.INVALID),
        ("kind: Source\nid: pay\napiVersion: other", ExitCode.INVALID),
        ("a: [", ExitCode.INVALID),
        ("", ExitCode.NOT_FOUND),
    ],
)
def test_what_is_no_source_is_not_sent(run: Run, engine: Engine, text: str, code: ExitCode):
    assert run("source", "apply", "-", input=text).exit_code == code
    assert engine.asked == []


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("refresh", "pay"), {}),
        (("suspend", "pay", "--reason", "freeze"), {"reason": "freeze"}),
        (("suspend", "pay", "--until", "2026-01-02T03:04:05Z"), {"until": "2026-01-02T03:04:05Z"}),
        (("resume", "pay"), {}),
        (("approve", "pay", "--plan", "sha256:1", "--reason", "ok"), {"plan_digest": "sha256:1", "reason": "ok"}),
    ],
)
def test_decisions_send_what_was_said_and_nothing_else(run: Run, engine: Engine, arguments: Any, sent: Any):
    assert run("source", *arguments).exit_code == 0
    assert engine.body_of(f"POST /engine/source/pay/{arguments[0]}") == sent


def test_rollback_says_where_it_is_now(run: Run, engine: Engine):
    answer = {"revision": "71b0aa2", "sequence": 20, "created": [], "updated": ["a"], "deleted": ["b"]}
    engine.on("POST /engine/source/pay/rollback", answer)
    result = run("source", "rollback", "pay", "--to", "71b")
    assert "back at 71b0aa2 (sequence 20): 0 created, 1 updated, 1 deleted; held" in result.stdout
    assert engine.body_of("POST /engine/source/pay/rollback") == {"to": "71b"}


def test_a_mistyped_source_is_9_with_the_nearest_name(run: Run):
    for command in (("status",), ("suspend",), ("rollback",), ("history",), ("delete",)):
        result = run("source", *command, "pai")
        assert result.exit_code == ExitCode.NOT_FOUND
        assert "did you mean 'pay'?" in result.stderr
