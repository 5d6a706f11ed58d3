"""`GET /engine/flow/{flow}/explain`: what it reads of the history, what it answers, what it refuses."""

import asyncio
from typing import Any

import pytest

from argyll.client import AsyncClient, Client, NotFound
from argyll.server import explain_routes
from argyll.store import Record
from tests.unit.flow.harness import Flow, World, gives, output, required, sync

FLOW = ("flow", "f")


@pytest.fixture
def flow(api: Any) -> Flow:
    """A finished flow in the engine's log."""
    world = World(
        sync("order", {"order": output()}),
        sync("ship", {"order": required(), "parcel": output()}),
        answers={"order": gives(order=7), "ship": gives(parcel="p")},
    )
    flow = world.start("ship")
    api.engine.histories[FLOW] = [Record(n, at_us, kind, data) for n, (kind, data, at_us) in enumerate(flow.log)]
    return flow


async def explained(api: Any, query: str = "") -> Any:
    status, body, _ = await api.call("GET", f"/engine/flow/f/explain{query}")
    assert status == 200, body
    return body


async def test_the_overview_tells_every_step_and_attribute(api: Any, flow: Flow):
    body = await explained(api)
    assert [step["step"] for step in body["steps"]] == ["order", "ship"]
    assert [told["name"] for told in body["attributes"]] == ["order", "parcel"]
    assert (body["status"], body["waiting"], body["at"]["event"]) == ("completed", [], len(flow.log) - 1)


async def test_a_step_and_an_attribute_are_told_in_full(api: Any, flow: Flow):
    body = await explained(api, "?step=ship&attribute=order")
    assert (body["step"], body["attribute"]) == ("ship", "order")
    assert body["steps"][0]["inputs"][0]["used"][0]["step"] == "order"
    assert body["attributes"][0]["values"][0]["step"] == "order"


async def test_an_earlier_moment_counts_no_later_event(api: Any, flow: Flow):
    called = flow.story.index("work_started:order")
    body = await explained(api, f"?at={called}")
    assert body["at"]["event"] == called
    assert [wait["kind"] for wait in body["waiting"]] == ["answer"]


async def test_a_long_history_is_read_in_slices(api: Any, flow: Flow, monkeypatch: pytest.MonkeyPatch):
    whole = await explained(api)
    for slice_ in (1, 2, len(flow.log)):
        monkeypatch.setattr(explain_routes, "READ_EVENTS", slice_)
        assert await explained(api) == whole
        assert (await explained(api, "?at=3"))["at"]["event"] == 3


async def test_whether_a_moment_is_inside_an_append_is_seen_at_the_next_event(api: Any, flow: Flow):
    # The whole flow happened within one microsecond of its world, so only the last event is surely at rest.
    inside = await explained(api, "?at=0")
    assert "outcome" not in inside["steps"][1]["reason"]["inputs"][0]
    records = api.engine.histories[FLOW]
    api.engine.histories[FLOW] = [records[0], *(r._replace(timestamp_us=r.timestamp_us + 1) for r in records[1:])]
    outside = await explained(api, "?at=0")
    assert outside["steps"][1]["reason"]["inputs"][0]["outcome"] == "waits"


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?step=shipp", 404, "flow f has no step 'shipp': it is not in the plan; did you mean `ship`?"),
        ("?attribute=parcle", 404, "flow f has no attribute 'parcle': no step speaks of it; did you mean `parcel`?"),
        ("?at=99", 400, "at: 99 has not happened: the last event so far is 12"),
        ("?at=-1", 400, "at: '-1' is not a sequence, a number from 0 up"),
        ("?at=1e3", 400, "at: '1e3' is not a sequence, a number from 0 up"),
        ("?steps=ship", 400, "steps: unknown parameter 'steps'; did you mean `step`?"),
    ],
)
async def test_what_cannot_be_asked_names_place_and_mend(api: Any, flow: Flow, query: str, status: int, words: str):
    answered, body, _ = await api.call("GET", f"/engine/flow/f/explain{query}")
    assert (answered, body["detail"]) == (status, words)


@pytest.mark.parametrize("query", ["", "?step=s", "?at=3"])
async def test_an_unknown_flow_is_not_found(api: Any, query: str):
    status, body, _ = await api.call("GET", f"/engine/flow/nobody/explain{query}")
    assert (status, body["detail"]) == (404, "flow not found: nobody")


async def test_a_history_beyond_the_limit_can_be_explained_up_to_it(
    api: Any, flow: Flow, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(explain_routes, "MAX_EXPLAINED_EVENTS", 4)
    status, body, _ = await api.call("GET", "/engine/flow/f/explain")
    assert status == 400
    assert body["detail"] == (
        "the history is longer than MAX_EXPLAINED_EVENTS, 4; explain an earlier moment with ?at=3 or less"
    )
    assert (await explained(api, "?at=3"))["at"]["event"] == 3


async def test_both_clients_ask_the_same_and_escape_what_they_ask_about(api: Any, flow: Flow):
    url = api.server.url
    async with AsyncClient(url) as client:
        answer = await client.explain("f", step="ship", attribute="order", at=12)
        with pytest.raises(NotFound, match="has no step 'a&at=0'"):
            await client.explain("f", step="a&at=0")
    assert answer == await explained(api, "?step=ship&attribute=order&at=12")
    assert answer == await asyncio.to_thread(lambda: Client(url).explain("f", step="ship", attribute="order", at=12))
    assert await asyncio.to_thread(lambda: Client(url).explain("f")) == await explained(api)
