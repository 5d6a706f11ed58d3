"""What is sent for what is asked: paths, bodies, init wrapping, retries. No network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.client import (
    ApiError,
    Candidates,
    Conflict,
    Denied,
    Invalid,
    NotFound,
    RetryPolicy,
    Unavailable,
    Unreachable,
    calls,
)
from argyll.client.errors import ClientError, error_from_answer
from argyll.client.init import wire_init


@pytest.mark.parametrize(
    ("given_init", "wire"),
    [
        (None, {}),
        ({"name": "Argyll"}, {"name": ["Argyll"]}),
        ({"items": [1, 2, 3]}, {"items": [[1, 2, 3]]}),
        ({"items": []}, {"items": [[]]}),
        ({"nested": [[1]]}, {"nested": [[[1]]]}),
        ({"quote": Candidates([12, 14])}, {"quote": [12, 14]}),
        ({"quote": Candidates([])}, {"quote": []}),
        ({"coupon": None, "zero": 0, "no": False, "empty": ""}, {"zero": [0], "no": [False], "empty": [""]}),
    ],
)
def test_every_init_value_is_one_value_unless_candidates_are_meant(given_init, wire):
    assert wire_init(given_init) == wire


@pytest.mark.parametrize(
    ("base_url", "normal"),
    [
        ("http://h:8080", "http://h:8080"),
        ("http://h:8080/", "http://h:8080"),
        ("http://h:8080/engine", "http://h:8080"),
        ("https://h/argyll/engine/", "https://h/argyll"),
    ],
)
def test_a_base_url_is_taken_with_or_without_its_usual_tails(base_url, normal):
    assert calls.normal_base_url(base_url) == normal


@pytest.mark.parametrize("base_url", ["", "localhost:8080", "ftp://h", "http://"])
def test_a_base_url_that_is_none_says_how_to_write_one(base_url):
    with pytest.raises(ValueError, match=r"write it like http://127\.0\.0\.1:8080"):
        calls.normal_base_url(base_url)


@pytest.mark.parametrize("build", [calls.step, calls.unregister, calls.flow, calls.cancel, calls.health_of])
def test_an_empty_id_never_addresses_another_route(build):
    with pytest.raises(ValueError, match="non-empty"):
        build("")


def test_ids_are_one_path_segment_whatever_they_hold():
    assert calls.flow("parent:step:tok/en").path == "/engine/flow/parent%3Astep%3Atok%2Fen"


def test_a_single_goal_is_a_list_of_one():
    assert calls.plan("complete-order", None).body == {"goals": ["complete-order"], "init": {}}


def test_what_json_cannot_say_is_refused_before_it_is_sent():
    with pytest.raises(ValueError, match="POST /engine/plan: the values are not JSON"):
        calls.plan("g", {"x": float("nan")}).payload()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (405, ApiError),
        (409, Conflict),
        (413, Invalid),
        (422, Invalid),
        (429, Unavailable),
        (500, ApiError),
        (503, Unavailable),
        (599, ApiError),
    ],
)
def test_each_refusal_has_its_exception(status, kind):
    error = error_from_answer("GET", "http://h/x", status, None, b"")
    assert type(error) is kind
    assert error.status == status


def test_a_problem_document_is_told_with_all_its_findings():
    body = (
        b'{"title":"Invalid step","status":400,"detail":"2 findings","errors":'
        b'[{"path":"http.endpoint","code":"ARG106","message":"is empty"},{"path":"type","code":"ARG104","message":"snyc?"}]}'
    )
    error = error_from_answer("POST", "http://h/engine/step", 400, None, body)
    assert error.detail == "2 findings"
    assert [finding["code"] for finding in error.errors] == ["ARG106", "ARG104"]
    assert "POST http://h/engine/step: 400 Bad Request: 2 findings" in str(error)
    assert "http.endpoint: is empty [ARG106]" in str(error)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>oops</html>", b"\xff\xfe", b'{"errors":"x"}', b'{"detail":7}'])
def test_an_answer_that_is_no_problem_document_is_an_error_all_the_same(body):
    error = error_from_answer("GET", "http://h/x", 404, None, body)
    assert isinstance(error, NotFound)
    assert error.detail
    assert error.errors == []


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), (None, None), ("soon", None), ("-1", None), ("inf", None)]
)
def test_retry_after_is_read_in_seconds(header, seconds):
    assert error_from_answer("GET", "u", 503, header, b"").retry_after_s == seconds


def _unavailable(status=503, retry_after=None):
    return error_from_answer("GET", "u", status, retry_after, b"")


@pytest.mark.parametrize(
    ("failure", "repeatable", "retried"),
    [
        (Unreachable("GET", "u", "refused", sent=False), False, True),
        (Unreachable("GET", "u", "reset", sent=True), True, True),
        (Unreachable("GET", "u", "reset", sent=True), False, False),
        (_unavailable(503), True, True),
        (_unavailable(503), False, False),
        (_unavailable(429), False, True),
        (_unavailable(503, "3600"), True, False),
        (error_from_answer("GET", "u", 500, None, b""), True, False),
        (error_from_answer("GET", "u", 409, None, b""), True, False),
        (ClientError("x"), True, False),
    ],
)
def test_only_what_is_safe_and_hopeful_is_tried_again(failure, repeatable, retried):
    delay_s = RetryPolicy().delay_s(failure, 1, repeatable=repeatable, entropy=lambda: 0.5)
    assert (delay_s is not None) == retried


def test_the_engine_is_not_asked_again_before_it_said():
    delay_s = RetryPolicy().delay_s(_unavailable(503, "2"), 1, repeatable=True, entropy=lambda: 0.0)
    assert delay_s == 2.0


def test_attempts_end():
    policy = RetryPolicy(attempts=3)
    delays = [policy.delay_s(_unavailable(), n, repeatable=True, entropy=lambda: 0.0) for n in (1, 2, 3)]
    assert delays == [0.0, 0.0, None]


@given(failures=st.integers(1, 10_000), draw=st.floats(0, 1, exclude_max=True))
def test_backoff_never_exceeds_its_cap(failures, draw):
    policy = RetryPolicy(base_s=0.1, cap_s=2.0)
    assert 0 <= policy.backoff_s(failures, lambda: draw) <= min(2.0, 0.1 * 2 ** min(failures - 1, 32))
