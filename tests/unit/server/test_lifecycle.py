"""Opening and closing the port."""

import asyncio
from typing import Any

import aiohttp
import pytest

from argyll.server import CannotListen, PortInUse, ServerConfig, serve


async def test_a_port_in_use_names_the_port_and_the_mend(api: Any):
    with pytest.raises(PortInUse, match=rf"port {api.server.port} .* in use.*--port"):
        await serve(api.engine, ServerConfig(port=api.server.port))


async def test_an_address_of_another_machine_cannot_be_listened_on(api: Any):
    with pytest.raises(CannotListen, match="choose an address"):
        await serve(api.engine, ServerConfig(host="192.0.2.1", port=0))


async def test_reaching_beyond_this_machine_is_warned_of(start: Any, caplog: pytest.LogCaptureFixture):
    await start(host="127.0.0.1")
    assert not caplog.records
    api = await start(host="0.0.0.0")
    assert "other machines" in caplog.text
    assert api.server.url.startswith("http://127.0.0.1:")


async def test_closing_tells_sockets_to_go_away_after_their_last_events(api: Any):
    socket = await api.socket()
    await socket.send_str('{"type":"subscribe","data":{"sub_id":"s"}}')
    await socket.receive()
    api.engine.commit(("flow", "x"), "flow_started")
    closing = asyncio.create_task(api.server.close(drain_s=1))
    assert (await socket.receive_json())["type"] == "flow_started"
    message = await socket.receive()
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    await closing


async def test_closing_lets_a_request_in_progress_finish_and_takes_no_other(api: Any):
    asked, answer_now = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asked.set()
        await answer_now.wait()

    api.engine.commit(("flow", "x"), "flow_started")
    api.engine.before_read = hold
    request = asyncio.create_task(api.call("GET", "/engine/flow/x"))
    await asked.wait()
    closing = asyncio.create_task(api.server.close(drain_s=5))
    await asyncio.sleep(0)
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as other, other.get(f"{api.server.url}/health"):
            pass
    answer_now.set()
    assert (await request)[0] == 200
    await closing


async def test_a_closed_server_listens_to_the_engine_no_more(api: Any):
    socket = await api.socket()
    await api.server.close(drain_s=0.1)
    api.engine.commit(("flow", "x"), "flow_started")
    assert (await socket.receive()).data == 1001
