"""How a node ends on a signal, and how it refuses to start: in words that name the mend."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.system.process import START_S, Argyll, Heard, Stub, response, stub_services, value

pytestmark = pytest.mark.faults


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_services() as services:
        yield services


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[Argyll]:
    async with aiohttp.ClientSession() as session:
        node = Argyll(tmp_path / "data", session, ARGYLL_DRAIN_SECONDS="30")
        yield node
        await node.kill()


class Slow:
    """A service that answers when it is told to."""

    def __init__(self, stub: Stub) -> None:
        self.go = asyncio.Event()
        stub.on("/slow", self._answer)
        self.step: dict[str, Any] = {
            "id": "slow", "name": "Slow", "type": "sync", "http": {"endpoint": f"{stub.url}/slow", "timeout": 60_000},
            "attributes": {"y": {"role": "output"}},
        }  # fmt: skip

    async def _answer(self, heard: Heard) -> Any:
        await self.go.wait()
        return response({"y": 1})


async def test_a_terminated_node_lets_its_calls_end(stopped: Argyll, stub: Stub):
    slow = Slow(stub)
    await stopped.start()
    await stopped.register(slow.step)
    await stopped.start_flow("f", "slow")
    await stub.called("/slow")
    process = stopped.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    await refuses(stopped)
    assert process.returncode is None
    slow.go.set()
    assert await stopped.ends() == 0
    await stopped.start()
    assert value(await stopped.flow("f"), "y") == 1
    assert len(stub.heard) == 1


async def test_a_second_signal_ends_it_at_once_and_loses_nothing(stopped: Argyll, stub: Stub):
    slow = Slow(stub)
    await stopped.start()
    await stopped.register(slow.step)
    await stopped.start_flow("f", "slow")
    await stub.called("/slow")
    process = stopped.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    await refuses(stopped)
    assert await stopped.stop() == -signal.SIGTERM
    slow.go.set()
    await stopped.start()
    assert value(await stopped.ended("f"), "y") == 1
    first, second = stub.heard
    assert first.token == second.token


async def refuses(node: Argyll) -> None:
    """Wait until the node takes no more connections."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", node.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def refused(node: Argyll) -> str:
    """What a node that must not start says; its exit code is 1."""
    process = await node.spawn()
    async with asyncio.timeout(START_S):
        told, _ = await process.communicate()
    assert (process.returncode, told) == (1, b"")
    text = node.log.read_text()
    assert "Traceback" not in text
    return text


async def test_a_directory_in_use_is_refused(stopped: Argyll):
    await stopped.start()
    other = Argyll(stopped.directory, stopped.session)
    other.log = stopped.log.with_suffix(".other")
    text = await refused(other)
    assert str(stopped.directory) in text
    assert "stop it first or choose another data directory" in text
    assert (await stopped.call("GET", "/health"))[0] == 200


async def test_a_port_in_use_is_refused(stopped: Argyll, tmp_path: Path):
    await stopped.start()
    other = Argyll(tmp_path / "other", stopped.session)
    other.port = stopped.port
    text = await refused(other)
    assert str(stopped.port) in text
    assert "--port" in text


async def test_a_newer_format_is_refused_and_left_as_it_is(stopped: Argyll):
    await stopped.start()
    await stopped.stop()
    mark = stopped.directory / "FORMAT"
    before = mark.read_text()
    newer = before.replace('"format":1', '"format":99').replace('"format": 1', '"format": 99')
    assert newer != before
    mark.write_text(newer)
    assert "run the newer release" in await refused(stopped)
    assert mark.read_text() == newer
    mark.write_text(before)
    await stopped.start()
