"""The WebSocket: both dialects, history, limits and endings."""

import asyncio
from typing import Any

import aiohttp
import pytest

from argyll.model import json
from argyll.server import conversation

X, Y = ("flow", "x"), ("flow", "y")


class Talk:
    """A client's side of one socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, message_type: str, **data: Any) -> None:
        await self.socket.send_str(json.text({"type": message_type, "data": data}))

    async def hear(self) -> Any:
        async with asyncio.timeout(5):
            return json.decode(await self.socket.receive_str())

    async def ask(self, message_type: str, **data: Any) -> Any:
        await self.say(message_type, **data)
        return await self.hear()

    async def sequences(self, count: int) -> list[int]:
        return [(await self.hear())["sequence"] for _ in range(count)]

    async def silent(self) -> bool:
        """Whether nothing is on its way: an answer to a later question comes first."""
        answer = await self.ask("unsubscribe", sub_id="probe")
        return answer == {"type": "unsubscribed", "sub_id": "probe"}


async def talk(api: Any, **options: Any) -> Talk:
    return Talk(await api.socket(**options))


async def test_a_subscription_is_acknowledged_and_brings_later_events_only(api: Any):
    """execution.md 13.2/37"""
    api.engine.commit(X, "flow_started")
    client = await talk(api)
    assert await client.ask("subscribe", sub_id="s") == {"type": "subscribed", "sub_id": "s", "items": []}
    api.engine.commit(X, "step_started", data=b'{"flow_id":"x"}')
    assert await client.hear() == {
        "type": "step_started",
        "sub_id": "s",
        "id": ["flow", "x"],
        "data": {"flow_id": "x"},
        "timestamp": 1_767_323_045_000,
        "sequence": 1,
    }


async def test_state_comes_first_for_every_listed_aggregate(api: Any):
    api.engine.commit(X, "flow_started", "step_started")
    client = await talk(api)
    paths = [["flow", "x"], ["flow", "nope"], ["catalog"], ["flow"], ["invalid"], ["engine"]]
    answer = await client.ask("subscribe", sub_id="s", aggregate_ids=paths, include_state=True)
    assert [(item["id"], item["sequence"]) for item in answer["items"]] == [
        (["flow", "x"], 2),
        (["catalog"], 0),
        (["flow"], 0),
        (["invalid"], 0),
        (["engine"], 0),
    ]
    assert answer["items"][0]["data"] == {"id": "x", "events": 2}
    assert answer["items"][2]["data"] is None
    assert set(answer["items"][4]["data"]) == {"steps", "attributes", "health"}


async def test_the_short_form_is_answered_with_the_state_itself(api: Any):
    api.engine.commit(X, "flow_started")
    client = await talk(api)
    assert await client.ask("subscribe", aggregate_id=["flow", "x"]) == {
        "type": "subscribed",
        "id": ["flow", "x"],
        "data": {"id": "x", "events": 1},
        "sequence": 1,
    }
    assert await client.ask("subscribe", aggregate_id=["flow", "y"]) == {
        "type": "subscribed",
        "id": ["flow", "y"],
        "data": None,
        "sequence": 0,
    }
    api.engine.commit(Y, "flow_started")
    event = await client.hear()
    assert (event["id"], event["sequence"], "sub_id" in event) == (["flow", "y"], 0, False)
    assert await client.ask("unsubscribe", aggregate_id=["flow", "y"]) == {"type": "unsubscribed", "id": ["flow", "y"]}
    api.engine.commit(Y, "step_started")
    assert await client.silent()


async def test_engine_stands_for_catalog_and_cluster(api: Any):
    client = await talk(api)
    assert (await client.ask("subscribe", aggregate_id=["engine"]))["id"] == ["engine"]
    api.engine.commit(X, "flow_started")
    api.engine.commit(("catalog",), "step_registered")
    api.engine.commit(("cluster",), "step_health_changed")
    assert [(await client.hear())["id"] for _ in range(2)] == [["catalog"], ["cluster"]]


async def test_state_and_events_join_without_a_gap_or_a_duplicate(api: Any):
    """Events are committed while the state is being read, before and after it was taken."""
    api.engine.commit(X, "flow_started")

    async def meanwhile() -> None:
        api.engine.commit(X, "step_started", "work_started")

    client = await talk(api)
    api.engine.before_read = meanwhile
    answer = await client.ask("subscribe", sub_id="s", aggregate_ids=[X], include_state=True)
    api.engine.before_read = None
    api.engine.commit(X, "work_succeeded")
    assert answer["items"][0]["sequence"] == 1
    assert await client.sequences(3) == [1, 2, 3]
    assert await client.silent()


@pytest.mark.parametrize("first", [0, 2, 7, 9])
async def test_history_is_replayed_and_joins_the_live_events(api: Any, first: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversation, "REPLAY_PAGE_EVENTS", 3)
    api.engine.commit(X, *["work_started"] * 6)
    commits = iter([1, 1, 0, 1])

    async def meanwhile() -> None:
        api.engine.commit(X, *["work_started"] * next(commits, 0))

    api.engine.before_read = meanwhile
    client = await talk(api)
    await client.ask("subscribe", sub_id="s", aggregate_ids=[X], from_sequence=first)
    seen = await client.sequences(max(0, 6 - first))
    while len(api.engine.histories[X]) < 12:
        await asyncio.sleep(0)
        api.engine.commit(X, "work_started")
    seen += await client.sequences(12 - first - len(seen))
    assert seen == list(range(first, 12))
    assert await client.silent()


async def test_replay_filters_and_covers_every_listed_aggregate(api: Any):
    api.engine.commit(X, "flow_started", "step_started", "flow_completed")
    api.engine.commit(("catalog",), "step_registered")
    client = await talk(api)
    types = ["flow_started", "flow_completed", "step_registered"]
    await client.ask("subscribe", sub_id="s", aggregate_ids=[X, ["engine"]], event_types=types, from_sequence=0)
    seen = [await client.hear() for _ in range(3)]
    assert [(e["id"][0], e["sequence"]) for e in seen] == [("catalog", 0), ("flow", 0), ("flow", 2)]


async def test_replay_waits_for_a_slow_reader_instead_of_dropping_it(start: Any):
    api = await start(ws_queue_messages=10)
    api.engine.commit(X, *["work_started"] * 2_000, data=b'{"pad":"%b"}' % (b"x" * 5_000))
    client = await talk(api)
    await client.ask("subscribe", sub_id="s", aggregate_ids=[X], from_sequence=0)
    assert await client.sequences(2_000) == list(range(2_000))


async def test_filters_choose_by_prefix_and_type(api: Any):
    client = await talk(api)
    await client.ask("subscribe", sub_id="flows", aggregate_ids=[["flow"]], event_types=["flow_started"])
    await client.ask("subscribe", sub_id="x", aggregate_ids=[X])
    api.engine.commit(("catalog",), "step_registered")
    api.engine.commit(Y, "flow_started", "step_started")
    api.engine.commit(X, "flow_started")
    heard = [await client.hear() for _ in range(3)]
    assert [(e["sub_id"], e["id"][1]) for e in heard] == [("flows", "y"), ("flows", "x"), ("x", "x")]
    assert await client.silent()


async def test_subscribing_again_replaces(api: Any):
    client = await talk(api)
    await client.ask("subscribe", sub_id="s", aggregate_ids=[X])
    await client.ask("subscribe", sub_id="s", aggregate_ids=[Y])
    api.engine.commit(X, "flow_started")
    api.engine.commit(Y, "flow_started")
    assert (await client.hear())["id"] == ["flow", "y"]


@pytest.mark.parametrize("named", [{"sub_id": "s"}, {"sub_id": "unknown"}, {}])
async def test_unsubscribing_is_always_acknowledged(api: Any, named: Any):
    client = await talk(api)
    await client.ask("subscribe", sub_id="s")
    assert await client.ask("unsubscribe", **named) == {"type": "unsubscribed", **named}


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("nonsense", "not a JSON object"),
        ("[]", "object"),
        ("[" * 5_000, "not a JSON object"),
        ('{"type":"ping"}', "'ping'"),
        ('{"type":"subscribe"}', "expected an object"),
        ('{"type":"subscribe","data":{}}', "/data/sub_id"),
        ('{"type":"subscribe","data":{"sub_id":5}}', "/data/sub_id"),
        ('{"type":"subscribe","data":{"sub_id":"s","agregate_ids":[]}}', "`aggregate_ids`"),
        ('{"type":"subscribe","data":{"sub_id":"s","aggregate_ids":["flow"]}}', "/data/aggregate_ids/0"),
        ('{"type":"subscribe","data":{"sub_id":"s","event_types":["flow_strated"]}}', "`flow_started`"),
        ('{"type":"subscribe","data":{"sub_id":"s","from_sequence":0}}', "/data/from_sequence"),
        ('{"type":"subscribe","data":{"sub_id":"s","aggregate_ids":[["flow"]],"from_sequence":0}}', '["flow"]'),
        ('{"type":"subscribe","data":{"sub_id":"s","aggregate_ids":[["catalog"]],"from_sequence":-1}}', "-1"),
        ('{"type":"unsubscribe","data":{"sub":"s"}}', "`sub_id`"),
    ],
)
async def test_a_bad_message_is_answered_and_the_socket_stays_open(api: Any, message: str, says: str):
    client = await talk(api)
    await client.socket.send_str(message)
    answer = await client.hear()
    assert answer["type"] == "error"
    assert says in answer["error"]
    assert answer.get("sub_id") == ("s" if '"sub_id":"s"' in message else None)
    assert await client.silent()


async def test_binary_messages_are_refused(api: Any):
    client = await talk(api)
    await client.socket.send_bytes(b"{}")
    assert "text" in (await client.hear())["error"]


async def test_a_message_over_its_limit_closes_with_1009(start: Any):
    api = await start(ws_message_bytes=200)
    client = await talk(api)
    await client.ask("subscribe", sub_id="a" * 120)
    await client.socket.send_str("x" * 300)
    closing = await client.socket.receive()
    assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_subscriptions_of_one_connection_are_limited(start: Any):
    api = await start(ws_subscriptions=2)
    client = await talk(api)
    for sub_id in ("a", "b", "a"):
        assert (await client.ask("subscribe", sub_id=sub_id))["type"] == "subscribed"
    refused = await client.ask("subscribe", sub_id="c")
    assert (refused["sub_id"], "ws_subscriptions, 2" in refused["error"]) == ("c", True)


async def test_connections_are_limited(start: Any):
    api = await start(ws_connections=1)
    client = await talk(api)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await talk(api)
    assert caught.value.status == 503
    await client.socket.close()
    while (await api.call("GET", "/health"))[1]["details"]["websocket"]["clients"]:
        pass
    await talk(api)


async def test_states_larger_than_the_queue_are_refused(start: Any):
    api = await start(ws_queue_bytes=300)
    api.engine.catalog.last_updated = 1
    client = await talk(api)
    paths = [["flow", f"f{n}"] for n in range(20)]
    for path in paths:
        api.engine.commit(tuple(path), "flow_started")
    answer = await client.ask("subscribe", sub_id="s", aggregate_ids=paths, include_state=True)
    assert "ws_queue_bytes, 300" in answer["error"]
    api.engine.commit(("flow", "f1"), "step_started")
    assert await client.silent()


async def test_one_append_larger_than_the_queue_reaches_a_consumer_that_reads(start: Any):
    api = await start(ws_queue_messages=10)
    client = await talk(api)
    await client.ask("subscribe", sub_id="s")
    api.engine.commit(X, *["work_cancelled"] * 200)
    assert await client.sequences(200) == list(range(200))


@pytest.mark.parametrize("limit", [{"ws_queue_messages": 20}, {"ws_queue_bytes": 1_000_000}])
async def test_a_consumer_that_does_not_read_is_closed_with_1013(start: Any, limit: Any):
    api = await start(**limit)
    slow, quick = await talk(api), await talk(api)
    await slow.ask("subscribe", sub_id="s", event_types=["work_started"])
    await quick.ask("subscribe", sub_id="s", event_types=["flow_started"])
    # Without a pause for the loop nobody reads; what the kernel takes is bounded.
    api.engine.commit(X, *["work_started"] * 2_000, data=b'{"pad":"%b"}' % (b"x" * 60_000))
    api.engine.commit(X, "flow_started")
    assert (await quick.hear())["type"] == "flow_started"
    async with asyncio.timeout(10):
        while (message := await slow.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert (message.data, next(iter(limit)) in message.extra) == (1013, True)


async def test_a_consumer_that_never_reads_again_is_cut_off(start: Any):
    api = await start(ws_queue_messages=20, ws_close_s=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(
        b"GET /engine/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    message = b'{"type":"subscribe","data":{"sub_id":"s"}}'
    writer.write(bytes((0x81, 0x80 | len(message))) + bytes(4) + message)
    assert b"subscribed" in await reader.read(100)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    api.engine.commit(X, *["work_started"] * 2_000, data=b'{"pad":"%b"}' % (b"x" * 60_000))
    async with asyncio.timeout(5):
        while (await api.call("GET", "/health"))[1]["details"]["websocket"]["clients"]:
            pass
    writer.transport.abort()


async def test_a_silent_peer_is_pinged_and_dropped(start: Any):
    api = await start(ws_ping_s=0.1)
    client = await talk(api, autoping=False)
    assert (await client.socket.receive()).type is aiohttp.WSMsgType.PING
    async with asyncio.timeout(5):
        while (await api.call("GET", "/health"))[1]["details"]["websocket"]["clients"]:
            pass


async def test_a_failing_read_closes_the_socket_with_1011(api: Any):
    async def broken() -> None:
        raise OSError("disk")

    api.engine.commit(X, "flow_started")
    client = await talk(api)
    api.engine.before_read = broken
    await client.ask("subscribe", sub_id="s", aggregate_ids=[X], from_sequence=0)
    assert (await client.socket.receive()).data == 1011
    other = await talk(api)
    await other.say("subscribe", sub_id="s", aggregate_ids=[X], include_state=True)
    assert (await other.socket.receive()).data == 1011


async def test_sockets_that_missed_events_are_closed_with_1013(api: Any):
    client = await talk(api)
    await client.ask("subscribe", sub_id="s")
    api.engine.reset()
    message = await client.socket.receive()
    assert (message.data, "resume" in message.extra) == (1013, True)
