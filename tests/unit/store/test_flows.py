"""The flow list against a plain sorted list: order, filters, totals, cursors, children, index changes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.store import Append, FlowPage, FlowQuery, FlowRow, IndexUpdate, InvalidCursor, NewEvent, Store
from argyll.store import flows as flows_module

EVENT = [NewEvent("e", b"{}")]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await Store.in_memory()
    yield opened
    await opened.close()


async def put(store: Store, flow_id: str, timestamp_us: int, update: IndexUpdate) -> None:
    aggregate = ("flow", flow_id)
    await store.append(Append(aggregate, store.next_sequence(aggregate), timestamp_us, EVENT, update))


def ids(page: FlowPage) -> list[str]:
    return [row.id for row in page.flows]


async def test_active_flows_come_first_then_by_time_then_by_id(store: Store) -> None:
    """execution.md 13.8/83"""
    for flow_id, time, status in [
        ("d", 1, "failed"),
        ("c", 9, "active"),
        ("b", 2, "completed"),
        ("a", 2, "failed"),
        ("e", 3, "active"),
    ]:
        await put(store, flow_id, time, IndexUpdate(status))
    assert ids(store.query_flows(FlowQuery())) == ["e", "c", "d", "a", "b"]
    assert ids(store.query_flows(FlowQuery(sort="recent_desc"))) == ["c", "e", "a", "b", "d"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 10])
async def test_pages_may_end_among_equal_times(store: Store, limit: int) -> None:
    """execution.md 13.8/83"""
    for number in range(12):
        await put(store, f"f{number:02}", 10 + number // 4, IndexUpdate("completed"))
    for sort, expected in (
        ("recent_asc", list(range(12))),
        ("recent_desc", [*range(8, 12), *range(4, 8), *range(4)]),
    ):
        rows, _ = walk(store, FlowQuery(limit=limit, sort=sort))
        assert [row.id for row in rows] == [f"f{number:02}" for number in expected]


async def test_rows_show_status_time_labels_and_error(store: Store) -> None:
    """execution.md 13.4/54"""
    await put(store, "a", 1, IndexUpdate("active", {"team": "x", "tier": "1"}))
    await put(store, "a", 2, IndexUpdate(labels={"tier": "", "new": "y"}))
    assert store.query_flows(FlowQuery()).flows == [FlowRow("a", "active", 1, {"team": "x", "new": "y"}, None)]
    await put(store, "a", 3, IndexUpdate("failed", error="no stock"))
    assert store.query_flows(FlowQuery()).flows == [FlowRow("a", "failed", 3, {"team": "x", "new": "y"}, "no stock")]
    assert store.flow_status("a") == "failed"


async def test_children_are_never_listed_but_known(store: Store) -> None:
    """execution.md 13.8/86"""
    await put(store, "root", 1, IndexUpdate("active"))
    await put(store, "root:step:1", 2, IndexUpdate("active", {"k": "v"}, root=False))
    await put(store, "root:step:2", 2, IndexUpdate("active", root=False))
    await put(store, "root:step:2", 3, IndexUpdate("completed"))
    page = store.query_flows(FlowQuery())
    assert (ids(page), page.total) == (["root"], 1)
    assert store.query_flows(FlowQuery(labels={"k": "v"})).total == 0
    assert store.query_flows(FlowQuery(id_prefix="root")).total == 1
    assert store.active_flows() == ["root", "root:step:1"]
    assert store.flow_status("root:step:2") == "completed"
    assert store.flow_status("unknown") is None


async def test_a_status_shows_before_and_after_its_row_is_written(store: Store) -> None:
    """execution.md 13.4/54"""
    await put(store, "a", 1, IndexUpdate("active"))
    assert store.flow_status("a") == "active"
    assert store.active_flows() == ["a"]
    await put(store, "a", 2, IndexUpdate("completed"))
    assert store.flow_status("a") == "completed"
    assert store.active_flows() == []
    assert store.flow_status("a") == "completed"


async def test_a_flow_started_and_ended_in_one_append(store: Store) -> None:
    await put(store, "a", 5, IndexUpdate("completed", {"k": "v"}))
    assert store.active_flows() == []
    assert store.query_flows(FlowQuery(labels={"k": "v"})).flows == [FlowRow("a", "completed", 5, {"k": "v"}, None)]


async def test_an_empty_list(store: Store) -> None:
    empty = FlowPage([], 0, has_more=False, next_cursor=None)
    for query in (FlowQuery(), FlowQuery(id_prefix="a"), FlowQuery(labels={"a": "b"}), FlowQuery(limit=1)):
        assert store.query_flows(query) == empty


@pytest.mark.parametrize("cursor", ["@@", "bm90IGpzb24", "e30", "eyJpZCI6ImEiLCJncm91cCI6NywicmVjZW50IjoxfQ", "ü", "a"])
async def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    """execution.md 13.8/84"""
    with pytest.raises(InvalidCursor, match="start again without a cursor"):
        store.query_flows(FlowQuery(cursor=cursor))


@pytest.mark.parametrize("limit", [-1, 1001])
async def test_the_page_limit(store: Store, limit: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 1000"):
        store.query_flows(FlowQuery(limit=limit))


async def test_flows_that_come_while_paging_are_neither_repeated_nor_hide_others(store: Store) -> None:
    for n in range(6):
        await put(store, f"old{n}", 10 + n, IndexUpdate("completed"))
    page = store.query_flows(FlowQuery(limit=3))
    seen = ids(page)
    for n in range(3):
        await put(store, f"early{n}", n, IndexUpdate("completed"))
    while page.next_cursor:
        page = store.query_flows(FlowQuery(limit=3, cursor=page.next_cursor))
        seen += ids(page)
    assert seen == [f"old{n}" for n in range(6)]


@dataclass
class Flow:
    id: str
    status: str
    timestamp_us: int
    labels: dict[str, str] = field(default_factory=dict)


IDS = st.text("ab-", min_size=1, max_size=4)
LABELS = st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw"))
STATUS = st.sampled_from(["active", "completed", "failed"])
CHANGES = st.lists(st.tuples(IDS, STATUS, st.integers(0, 3), LABELS), max_size=40)
QUERIES = st.builds(
    FlowQuery,
    id_prefix=st.sampled_from(["", "a", "ab", "b-", "z"]),
    labels=LABELS,
    statuses=st.lists(STATUS, max_size=3).map(tuple),
    limit=st.integers(0, 4),
    sort=st.sampled_from(["recent_asc", "recent_desc"]),
)


def expected_rows(flows: dict[str, Flow], query: FlowQuery) -> list[FlowRow]:
    matching = [
        flow
        for flow in flows.values()
        if flow.id.startswith(query.id_prefix)
        and flow.labels.items() >= query.labels.items()
        and (not query.statuses or flow.status in query.statuses)
    ]
    sign = -1 if query.sort == "recent_desc" else 1
    matching.sort(key=lambda flow: (flow.status != "active", sign * flow.timestamp_us, flow.id))
    return [FlowRow(flow.id, flow.status, flow.timestamp_us, flow.labels, None) for flow in matching]


def walk(store: Store, query: FlowQuery) -> tuple[list[FlowRow], set[int]]:
    rows: list[FlowRow] = []
    totals: set[int] = set()
    cursor = None
    while True:
        fields: dict[str, Any] = {name: getattr(query, name) for name in query.__struct_fields__}
        page = store.query_flows(FlowQuery(**fields | {"cursor": cursor}))
        assert page.has_more == (page.next_cursor is not None)
        assert not query.limit or len(page.flows) <= query.limit
        rows += page.flows
        totals.add(page.total)
        cursor = page.next_cursor
        if cursor is None:
            return rows, totals


@pytest.mark.parametrize("few", [0, 2000], ids=["along the list", "by prefix"])
@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, flush_after=st.integers(0, 40), queries=st.lists(QUERIES, min_size=1, max_size=6))
def test_pages_are_what_sorting_everything_gives(
    few: int, changes: list[tuple[str, str, int, dict[str, str]]], flush_after: int, queries: list[FlowQuery]
) -> None:
    """execution.md 13.8/79, 13.8/83"""

    async def run() -> None:
        store = await Store.in_memory()
        flows: dict[str, Flow] = {}
        for position, (flow_id, status, timestamp_us, labels) in enumerate(changes):
            await put(store, flow_id, timestamp_us, IndexUpdate(status, labels))
            known = flows.get(flow_id)
            flows[flow_id] = Flow(flow_id, status, timestamp_us, (known.labels if known else {}) | labels)
            if position == flush_after:
                store.active_flows()
        for query in queries:
            expected = expected_rows(flows, query)
            assert walk(store, query) == (expected, {len(expected)})
        await store.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows_module, "FEW", few)
        asyncio.run(run())
