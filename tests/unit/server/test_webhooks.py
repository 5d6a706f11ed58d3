"""Outcomes of asynchronous work (surface.md 1.8)."""

from typing import Any

import pytest

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("content_type", "body", "call"),
    [
        ("application/json", b'{"a":1}', ("complete", {"a": 1})),
        ("", b"{}", ("complete", {})),
        ("text/plain", b"null", ("complete", {})),
        (PROBLEM, b'{"detail":"d","title":"t","status":503}', ("fail", "d")),
        (f"{PROBLEM}; charset=utf-8", b'{"title":"t","status":503}', ("fail", "t")),
        ("Application/Problem+JSON", b'{"status":503}', ("fail", "Service Unavailable")),
        (f'{PROBLEM}; a="b;c"', b'{"detail":"d","extra":[1]}', ("fail", "d")),
        (PROBLEM, b'{"status":7}', ("fail", "the step reported a problem without saying which")),
        (PROBLEM, b"null", ("fail", "the step reported a problem without saying which")),
        (f"{PROBLEM}; charset", b'{"detail":"d"}', ("complete", {"detail": "d"})),
        (f"{PROBLEM}x", b'{"detail":"d"}', ("complete", {"detail": "d"})),
    ],
)
async def test_a_report_reaches_the_engine(api: Any, content_type: str, body: bytes, call: tuple[str, Any]):
    """execution.md 13.23/224, 13.24/230"""
    api.engine.commit(("flow", "p:s:t"), "flow_started")
    status, answer, headers = await api.call(
        "POST", "/webhook/p:s:t/step/t", body, headers={"Content-Type": content_type}
    )
    assert (status, answer, headers["Content-Length"]) == (200, None, "0")
    assert api.engine.calls == [(call[0], "p:s:t", "step", "t", call[1])]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b""),
        ("application/json", b"[1]"),
        ("application/json", b"5"),
        ("application/json", b"{"),
        (PROBLEM, b"[]"),
        (PROBLEM, b"oops"),
        (PROBLEM, b'{"detail":5}'),
        (PROBLEM, b'{"status":"x"}'),
    ],
)
async def test_a_report_that_cannot_be_read_is_400(api: Any, content_type: str, body: bytes):
    """execution.md 13.24/230"""
    api.engine.commit(("flow", "f"), "flow_started")
    assert (await api.call("POST", "/webhook/f/s/t", body, headers={"Content-Type": content_type}))[0] == 400
    assert api.engine.calls == []


@pytest.mark.parametrize("path", ["/webhook/nope/s/t", "/webhook/f/s/other"])
async def test_a_report_on_what_is_not_there_is_400_not_404(api: Any, path: str):
    """execution.md 13.24/230"""
    api.engine.commit(("flow", "f"), "flow_started")
    status, body, _ = await api.call("POST", path, {})
    assert (status, body["status"], body["instance"]) == (400, 400, path)
