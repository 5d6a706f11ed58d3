"""Three real nodes of one engine, killed, paused, stopped and restarted by tests."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from .process import START_S, Argyll, free_port

POLL_S = 0.02


class Cluster:
    """Nodes by name, on one machine."""

    def __init__(
        self, directory: Path, session: aiohttp.ClientSession, names: Iterable[str], **environment: str
    ) -> None:
        servers = ",".join(f"{name}=127.0.0.1:{free_port()}" for name in names)
        self.nodes = {
            name: Argyll(directory / name, session, RAFT_NODE_ID=name, RAFT_SERVERS=servers, **environment)
            for name in names
        }

    async def start(self, *names: str) -> None:
        """Start nodes (all by default) and wait until each of them serves."""
        nodes = [self.nodes[name] for name in names or self.nodes]
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(until(node, "/ready", lambda status, _: status == 200) for node in nodes))

    async def stop(self) -> None:
        await asyncio.gather(*(node.kill() for node in self.nodes.values()))

    async def joined(self, *names: str) -> None:
        """Once every node that runs shares the flows among these."""
        for node in self.running():
            await until(
                node,
                "/engine/raft",
                lambda _, log: (
                    sorted(names) == [name for name in sorted(log["presence"]) if log["presence"][name] == "joined"]
                ),
            )

    def running(self) -> list[Argyll]:
        return [node for node in self.nodes.values() if node.process is not None]

    async def leader(self) -> str:
        """The node that leads, once one does."""
        async with asyncio.timeout(START_S):
            while True:
                for name, node in self.nodes.items():
                    if node.process is not None and (await node.call("GET", "/engine/raft"))[1]["role"] == "leader":
                        return name
                await asyncio.sleep(POLL_S)

    def signal(self, name: str, number: signal.Signals) -> None:
        process = self.nodes[name].process
        assert process is not None
        process.send_signal(number)


async def until(node: Argyll, path: str, holds: Any) -> Any:
    """The answer of a GET, once `holds(status, answer)`."""
    async with asyncio.timeout(START_S):
        while True:
            status, answer = await node.call("GET", path)
            if holds(status, answer):
                return answer
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def three_nodes(directory: Path, **environment: str) -> AsyncIterator[Cluster]:
    """Three nodes that serve and share the flows, ended with the block."""
    async with aiohttp.ClientSession() as session:
        cluster = Cluster(directory, session, ("n1", "n2", "n3"), **environment)
        try:
            await cluster.start()
            await cluster.joined("n1", "n2", "n3")
            yield cluster
        finally:
            await cluster.stop()
