"""Bodies of requests: what is read, and what is said of what cannot be."""

from typing import Any

import pytest

from argyll.model import json
from argyll.model.limits import MAX_JSON_DEPTH
from argyll.server.bodies import decode_body
from argyll.server.problems import BadRequest
from argyll.server.requests import QueryFlows, check_query, init_candidates, read_query, read_start

START: dict[str, Any] = {"id": "f", "goals": ["g"]}


@pytest.mark.parametrize(
    ("init", "candidates"),
    [
        (None, {}),
        ({}, {}),
        ({"a": "x"}, {"a": ["x"]}),
        ({"a": 0, "b": False, "c": "", "d": {}}, {"a": [0], "b": [False], "c": [""], "d": [{}]}),
        ({"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": [[1, 2]]}, {"a": [[1, 2]]}),
        ({"a": [None]}, {"a": [None]}),
        ({"a": [], "b": None}, {}),
    ],
)
def test_init_is_candidates_by_name(init: Any, candidates: Any):
    assert init_candidates(init) == candidates


def test_big_integers_stay_exact():
    body = b'{"id":"f","goals":["g"],"init":{"n":123456789012345678901234567890}}'
    assert read_start(body).init == {"n": 123456789012345678901234567890}


@pytest.mark.parametrize(
    ("change", "path", "code", "says"),
    [
        ({"gaols": []}, "/gaols", "unknown_field", "`goals`"),
        ({"Goals": []}, "/Goals", "unknown_field", "`goals`"),
        ({"id": 5}, "/id", "wrong_type", "str"),
        ({"goals": "g"}, "/goals", "wrong_type", "array"),
        ({"goals": ["g", 7]}, "/goals/1", "wrong_type", "str"),
        ({"init": []}, "/init", "wrong_type", "object"),
        ({"labels": {"a": "x", "b/c": 1}}, "/labels/b~1c", "wrong_type", "str"),
    ],
)
def test_a_misfit_is_named_by_place_and_mend(change: Any, path: str, code: str, says: str):
    """execution.md 13.24/227"""
    with pytest.raises(BadRequest) as caught:
        read_start(json.encode(START | change))
    (found,) = caught.value.errors
    assert (found["path"], found["code"]) == (path, code)
    assert says in found["message"]
    assert path in caught.value.detail


def test_every_misfit_is_reported_not_only_the_first():
    with pytest.raises(BadRequest) as caught:
        read_start(b'{"goals":1,"labels":{"a":1,"b":2},"x":0}')
    assert sorted(found["path"] for found in caught.value.errors) == ["/goals", "/id", "/labels/a", "/labels/b", "/x"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"x", "line 1, column 1"),
        (b'{\n  "id": x}', "line 2, column 9"),
        (b'{"a":1} trailing', "trailing"),
        (b'"\xff"', "utf-8"),
        (b'"\\ud800"', "not JSON"),
        (b"NaN", "not JSON"),
        (b"1e999", "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"[" * 100_000, "MAX_JSON_DEPTH"),
        (b"[" * (MAX_JSON_DEPTH + 1) + b"]" * (MAX_JSON_DEPTH + 1), "MAX_JSON_DEPTH"),
    ],
)
@pytest.mark.parametrize("read", [decode_body, read_start])
def test_what_is_no_json_is_refused(read: Any, body: bytes, says: str):
    with pytest.raises(BadRequest) as caught:
        read(body)
    assert says in caught.value.detail


def test_depth_counts_nesting_not_brackets():
    deep = b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH
    assert decode_body(deep)
    assert len(decode_body(b"[" + b",".join([b"[]"] * 1000) + b"]")) == 1000


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (QueryFlows(id_prefix="a:b"), "/id_prefix"),
        (QueryFlows(id_prefix="bad!"), "/id_prefix"),
        (QueryFlows(labels={"": "x"}), "/labels"),
        (QueryFlows(labels={"a": ""}), "/labels"),
        (QueryFlows(statuses=["active", "pending"]), "/statuses/1"),
        (QueryFlows(limit=-1), "/limit"),
        (QueryFlows(limit=1001), "/limit"),
        (QueryFlows(sort="x"), "/sort"),
    ],
)
def test_a_query_out_of_range_is_refused(query: QueryFlows, path: str):
    """execution.md 13.8/87, 13.24/228"""
    with pytest.raises(BadRequest) as caught:
        check_query(query)
    assert [found["path"] for found in caught.value.errors] == [path]


@pytest.mark.parametrize(
    "query",
    [
        QueryFlows(),
        QueryFlows(limit=1000),
        QueryFlows(id_prefix="Up-1.x+_-"),
        QueryFlows(statuses=["failed", "failed"]),
    ],
)
def test_a_query_within_range_passes(query: QueryFlows):
    check_query(query)


def test_a_limit_that_is_no_integer_is_refused():
    with pytest.raises(BadRequest):
        read_query(b'{"limit":"x"}')
