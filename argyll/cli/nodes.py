"""Nodes of one engine on this machine, each a process with a directory of its own: for development and the demo."""

import asyncio
import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from argyll.cli.children import Child, ChildFailed

HOST = "127.0.0.1"
MAX_NODES = 9
READY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class NodeSpec:
    """One node to start: its name and its two ports."""

    name: str
    api_port: int
    raft_port: int


@dataclass
class LocalNode:
    """A running node."""

    spec: NodeSpec
    child: Child
    command: list[str]

    @property
    def url(self) -> str:
        return self.child.match["url"].rstrip("/")

    @property
    def again(self) -> str:
        """What to type to start the node again."""
        return shlex.join(["argyll", *self.command[3:]])


async def start_nodes(directory: Path, specs: Sequence[NodeSpec], cleanup: AsyncExitStack) -> list[LocalNode]:
    """Start every node and wait until all of them serve. `cleanup` ends them. Raises `ChildFailed`, OSError."""
    servers = ",".join(f"{spec.name}={HOST}:{spec.raft_port}" for spec in specs) if len(specs) > 1 else ""
    homes = [directory / spec.name if servers else directory for spec in specs]
    # Each one that came up is ended, also when another one did not.
    done = await asyncio.gather(
        *(_start(home, spec, servers) for home, spec in zip(homes, specs, strict=True)), return_exceptions=True
    )
    nodes = [node for node in done if isinstance(node, LocalNode)]
    for node in nodes:
        cleanup.push_async_callback(node.child.stop)
    for failure in done:
        if isinstance(failure, BaseException):
            raise failure
    await asyncio.gather(*(_until_ready(node) for node in nodes))
    return nodes


async def _start(home: Path, spec: NodeSpec, servers: str) -> LocalNode:
    home.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "argyll", "serve", "--node-id", spec.name, "--host", HOST, "--port", str(spec.api_port),
        "--data-dir", str(home / "data"),
    ]  # fmt: skip
    if servers:
        command += ["--raft-servers", servers, "--raft-address", f"{HOST}:{spec.raft_port}"]
    child = await Child.start(
        f"node {spec.name}" if servers else "the engine", command, r"ready at (?P<url>http://\S+)", home / "engine.log"
    )
    return LocalNode(spec, child, command)


async def _until_ready(node: LocalNode) -> None:
    from argyll.client import AsyncClient, Unavailable

    async with AsyncClient(node.url) as client:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while True:
                    try:
                        await client.ready()
                        return
                    except Unavailable:
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise ChildFailed(
                f"node {node.spec.name} did not find the others within {READY_TIMEOUT_S:g} s; see {node.child.log}"
            ) from None
