"""What URLs become and what answers mean: the pure half of calling."""

from typing import Any

import pytest

from argyll.engine.caller import (
    BadRequest,
    Failure,
    Identity,
    Retryable,
    Success,
    body_outcome,
    fill_url,
    nests_too_deep,
    problem_text,
    retry_after,
    status_outcome,
)

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("template", "arguments", "url"),
    [
        ("http://a/x", {"unused": 1}, "http://a/x"),
        ("http://a/{id}", {"id": "c-1"}, "http://a/c-1"),
        ("http://a/{id}/{id}/{n}", {"id": "c", "n": 7}, "http://a/c/c/7"),
        ("http://a/{id}", {"id": "a b/c?d#e%"}, "http://a/a%20b%2Fc%3Fd%23e%25"),
        ("http://a/{id}", {"id": "a$&+:=@"}, "http://a/a$&+:=@"),
        ("http://a/{id}", {"id": "é"}, "http://a/%C3%A9"),
        ("http://a/?q={q}", {"q": "a&b=c+d"}, "http://a/?q=a%26b%3Dc%2Bd"),
        ("http://a/{p}?q={q}", {"p": "x&y", "q": "x&y"}, "http://a/x&y?q=x%26y"),
        ("http://a/{p}/b?q={q}&r={p}", {"p": "?", "q": "1"}, "http://a/%3F/b?q=1&r=%3F"),
        ("http://a/{n}", {"n": 5.0}, "http://a/5"),
        ("http://a/{n}", {"n": 2.5}, "http://a/2.5"),
        ("http://a/{n}", {"n": 12345678901234567890}, "http://a/12345678901234567890"),
        ("http://a/{b}/{z}", {"b": True, "z": None}, "http://a/true/null"),
        ("http://a/{o}", {"o": {"x": [1, "y"]}}, "http://a/%7B%22x%22:%5B1%2C%22y%22%5D%7D"),
        ("http://a/{e}/x", {"e": ""}, "http://a//x"),
    ],
)
def test_placeholders_are_filled_with_encoded_arguments(template: str, arguments: dict[str, Any], url: str):
    """execution.md 13.25/239"""
    assert fill_url(template, arguments) == url


def test_a_missing_argument_is_named():
    """execution.md 13.25/240"""
    with pytest.raises(BadRequest, match=r"\{id\} in http://a/\{id\}"):
        fill_url("http://a/{id}", {"other": 1})


@pytest.mark.parametrize("status", [500, 502, 503, 599, 408, 425, 429])
def test_statuses_that_may_be_better_next_time(status: int):
    """execution.md 13.25/236"""
    outcome = status_outcome(status, "text/plain", b"busy", 1_500)
    assert outcome == Retryable(f"work not completed\nstep returned HTTP error: status {status}", 1_500)


@pytest.mark.parametrize("status", [100, 301, 304, 400, 401, 404, 409, 410, 422, 499])
def test_statuses_that_are_final(status: int):
    """execution.md 13.25/236"""
    assert status_outcome(status, "text/plain", b"", 1_500) == Failure(f"step returned HTTP error: status {status}")


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (PROBLEM, b'{"detail":"d","title":"t","status":422}', "d"),
        (PROBLEM, b'{"title":"t","status":422}', "t"),
        (PROBLEM, b'{"detail":"","title":"t"}', "t"),
        (PROBLEM, b'{"status":422}', "Unprocessable"),
        (PROBLEM, b'{"type":"urn:x"}', "urn:x"),
        ("Application/Problem+JSON; charset=utf-8", b'{"detail":"d"}', "d"),
        ("application/json", b'{"detail":"d"}', ""),
        ("application/problem+json-seq", b'{"detail":"d"}', ""),
        ("", b'{"detail":"d"}', ""),
        (PROBLEM, b"", ""),
        (PROBLEM, b"{", ""),
        (PROBLEM, b"\xff", ""),
        (PROBLEM, b"[1]", ""),
        (PROBLEM, b'{"detail":1,"title":null,"status":"x"}', ""),
        (PROBLEM, b'{"status":9999}', ""),
    ],
)
def test_the_text_of_a_problem_document(content_type: str, body: bytes, text: str):
    """execution.md 13.23/224, 13.25/236"""
    found = problem_text(content_type, body)
    assert found.startswith(text) if text else found == ""


def test_a_problem_explains_the_status():
    """execution.md 13.25/236"""
    outcome = status_outcome(422, PROBLEM, b'{"detail":"no such card"}', 0)
    assert outcome == Failure("step returned HTTP error: status 422: no such card")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", Success({})),
        (b" \n\t", Success({})),
        (b"null", Success({})),
        (b"{}", Success({})),
        (b' {"a":12345678901234567890,"b":null} ', Success({"a": 12345678901234567890, "b": None})),
        (b"[]", Failure("invalid output JSON: expected an object, got list")),
        (b'"text"', Failure("invalid output JSON: expected an object, got str")),
        (b"7", Failure("invalid output JSON: expected an object, got int")),
    ],
)
def test_what_a_good_answer_means(body: bytes, outcome: Any):
    """execution.md 13.25/237"""
    assert body_outcome(body) == outcome


@pytest.mark.parametrize("body", [b"{", b"{}{}", b"<html>", b"\xff\xfe", b'{"a":"\xff"}', b"[" * 100])
def test_a_broken_answer_may_be_better_next_time(body: bytes):
    """execution.md 13.25/237"""
    outcome = body_outcome(body)
    assert isinstance(outcome, Retryable)
    assert outcome.error.startswith("work not completed\ninvalid output JSON")


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("3", 3_000),
        (" 3 ", 3_000),
        ("-3", 0),
        ("1.5", 0),
        ("soon", 0),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Jan 1970", 0),
    ],
)
def test_how_long_a_service_asks_to_wait(header: str | None, wait_ms: int):
    assert retry_after(header, 1_000.0) == wait_ms


def test_the_identity_of_a_call():
    """execution.md 13.26/257"""
    assert Identity("f", "s", "t").headers() == {
        "Argyll-Flow-ID": "f",
        "Argyll-Step-ID": "s",
        "Argyll-Receipt-Token": "t",
    }
    assert Identity("f", "s", "t", "http://w").headers()["Argyll-Webhook-URL"] == "http://w"


@pytest.mark.parametrize(
    ("body", "too_deep"),
    [
        (b'{"a":' + b"[" * 98 + b"]" * 98 + b"}", False),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", True),
        (b'{"a":"' + b"[" * 1_000 + b'"}', False),
        (b'{"a":"\\"' + b"[" * 1_000 + b'"}', False),
        (b"[" * 101, True),
    ],
)
def test_an_answer_nested_too_deep_is_a_failure(body: bytes, too_deep: bool) -> None:
    assert nests_too_deep(body) is too_deep
    if too_deep:
        assert "nested deeper than 100" in body_outcome(body).error
