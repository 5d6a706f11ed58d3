"""Lists of flows and pages of history."""

from typing import Any

import aiohttp
import pytest

from argyll.store import FlowRow, InvalidCursor

AT = "2026-01-02T03:04:05.000006Z"
AT_US = 1_767_323_045_000_006


def rows(count: int) -> list[FlowRow]:
    return [FlowRow(f"f{n:05}", "active", AT_US, {}, None) for n in range(count)]


async def test_no_flows_is_an_empty_list_without_extras(api: Any):
    assert (await api.call("GET", "/engine/flow"))[1] == []
    assert (await api.call("POST", "/engine/flow/query", {}))[1] == {"flows": [], "count": 0}


async def test_rows_show_labels_and_error_when_there_are_any(api: Any):
    api.engine.rows = [FlowRow("a", "failed", AT_US, {"k": "v"}, "broke"), *rows(1)]
    assert (await api.call("GET", "/engine/flow"))[1] == [
        {"id": "a", "status": "failed", "timestamp": AT, "labels": {"k": "v"}, "error": "broke"},
        {"id": "f00000", "status": "active", "timestamp": AT},
    ]


async def test_a_page_says_how_many_there_are_and_where_to_go_on(api: Any):
    api.engine.rows = rows(5)
    _, page, _ = await api.call("POST", "/engine/flow/query", {"limit": 2})
    assert [row["id"] for row in page["flows"]] == ["f00000", "f00001"]
    assert (page["count"], page["total"], page["has_more"], page["next_cursor"]) == (2, 5, True, "2")
    _, last, _ = await api.call("POST", "/engine/flow/query", {"limit": 2, "cursor": "4"})
    assert (last["count"], last["total"]) == (1, 5)
    assert "has_more" not in last
    assert "next_cursor" not in last


@pytest.mark.parametrize("count", [1000, 1001, 2500])
async def test_all_flows_come_however_many(api: Any, count: int):
    api.engine.rows = rows(count)
    expected = [row.id for row in api.engine.rows]
    listed = (await api.call("GET", "/engine/flow"))[1]
    _, queried, _ = await api.call("POST", "/engine/flow/query", {"limit": 0})
    assert [row["id"] for row in listed] == [row["id"] for row in queried["flows"]] == expected
    assert (queried["count"], queried["total"]) == (count, count)
    assert "has_more" not in queried


async def test_head_of_a_long_list_has_no_body(api: Any):
    api.engine.rows = rows(1500)
    answer = await api.raw(b"HEAD /engine/flow HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_long_list_that_fails_half_way_breaks_off(api: Any):
    api.engine.rows = rows(2500)
    query = api.engine.query_flows

    def fail_later(wanted: Any) -> Any:
        if wanted.cursor == "2000":
            raise OSError("disk")
        return query(wanted)

    api.engine.query_flows = fail_later
    with pytest.raises(aiohttp.ClientError):
        await api.call("GET", "/engine/flow")


async def test_a_foreign_cursor_is_400(api: Any):
    """execution.md 13.8/84, 13.24/228"""
    api.engine.fail_with = InvalidCursor("@@")
    status, body, _ = await api.call("POST", "/engine/flow/query", {"cursor": "@@"})
    assert status == 400
    assert "@@" in body["detail"]


async def test_history_has_the_rest_envelope(api: Any):
    api.engine.commit(("catalog",), "step_registered", data=b'{"step":{}}')
    assert (await api.call("GET", "/engine/catalog/events"))[1] == {
        "events": [
            {
                "sequence": 0,
                "timestamp": AT,
                "type": "step_registered",
                "aggregate_id": ["catalog"],
                "data": {"step": {}},
            }
        ],
        "count": 1,
    }
    assert (await api.call("GET", "/engine/cluster/events"))[1] == {"events": [], "count": 0}


@pytest.mark.parametrize(
    ("query", "sequences", "following"),
    [
        ("", [0, 1, 2, 3, 4], None),
        ("?from=3", [3, 4], None),
        ("?from=5", [], None),
        ("?limit=2", [0, 1], 2),
        ("?from=2&limit=3", [2, 3, 4], None),
        ("?from=2&limit=2", [2, 3], 4),
    ],
)
async def test_history_is_paged(api: Any, query: str, sequences: list[int], following: int | None):
    """execution.md 13.24/233"""
    api.engine.commit(("flow", "x"), *["work_started"] * 5)
    _, body, _ = await api.call("GET", "/engine/flow/x/events" + query)
    assert [event["sequence"] for event in body["events"]] == sequences
    assert body.get("next") == following


@pytest.mark.parametrize("query", ["from=-1", "from=x", "limit=0", "limit=4", "limit=1.5", "from=" + "9" * 30])
async def test_a_page_that_cannot_be_is_400(start: Any, query: str):
    api = await start(max_events_page=3)
    status, body, _ = await api.call("GET", f"/engine/catalog/events?{query}")
    assert status == 400
    assert body["errors"][0]["path"] == query.split("=")[0]


async def test_a_page_ends_at_its_size_and_says_where_to_go_on(start: Any):
    api = await start(max_events_page_bytes=1_000)
    api.engine.commit(("flow", "x"), *["work_started"] * 5, data=b'{"pad":"%b"}' % (b"x" * 600))
    seen: list[int] = []
    following = 0
    while following is not None:
        _, body, _ = await api.call("GET", f"/engine/flow/x/events?from={following}")
        assert body["count"] == len(body["events"]) <= 2
        seen += [event["sequence"] for event in body["events"]]
        following = body.get("next")
    assert seen == [0, 1, 2, 3, 4]
