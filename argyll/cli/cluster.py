"""`argyll cluster`: several nodes on this machine for development, and a look at any cluster."""

import asyncio
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import click

from argyll.cli.app import Lazy, LazyGroup
from argyll.cli.children import ChildFailed
from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.nodes import MAX_NODES, LocalNode, NodeSpec, start_nodes
from argyll.cli.options import Connection, engine_options, example, finish, output_option
from argyll.cli.output import Format, columns, emit, say, styled
from argyll.model.json import JSON

DEFAULT_API_PORT = 8080
DEFAULT_RAFT_PORT = 9701


@click.command(epilog=example("argyll cluster start\nargyll cluster start --nodes 5 --data-dir ~/argyll-cluster"))
@click.option("--nodes", type=click.IntRange(2, MAX_NODES), default=3, show_default=True, help="How many.")
@click.option("--port", type=click.IntRange(1, 65_000), default=DEFAULT_API_PORT, show_default=True, metavar="PORT",
              help="API port of the first node; the others count on from it.")  # fmt: skip
@click.option("--raft-port", type=click.IntRange(1, 65_000), default=DEFAULT_RAFT_PORT, show_default=True,
              metavar="PORT", help="Port of the first node for the others; they count on from it.")  # fmt: skip
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Keep everything here, a directory a node. Default: a directory that is removed.")  # fmt: skip
def start(nodes: int, port: int, raft_port: int, data_dir: Path | None) -> None:
    """Run a cluster on this machine until ^C, for development: all nodes share its disk and its fate.

    In earnest, each node is an `argyll serve` on a machine of its own, with the same --raft-servers.
    """
    specs = [NodeSpec(f"n{number + 1}", port + number, raft_port + number) for number in range(nodes)]
    with tempfile.TemporaryDirectory(prefix="argyll-cluster-", ignore_cleanup_errors=True) as temporary:
        directory = (data_dir or Path(temporary)).absolute()
        try:
            asyncio.run(_run(directory, specs))
        except ChildFailed as error:
            raise CliError(str(error)) from error
        except OSError as error:
            raise CliError(f"{error.filename or directory}: {error.strerror}; choose another --data-dir") from error


async def _run(directory: Path, specs: list[NodeSpec]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as cleanup:
        nodes = await start_nodes(directory, specs, cleanup)
        for node in nodes:
            click.echo(f"{node.spec.name} ready at {node.url} (process {node.child.process.pid})")
        click.echo(
            f"data in {directory}; ^C stops all. Kill one and see: argyll cluster status --engine {nodes[-1].url}"
        )
        sys.stdout.flush()
        watching = [asyncio.ensure_future(_tell_end(node)) for node in nodes]
        await stop.wait()
        for watch in watching:
            watch.cancel()
        say("stopping")


async def _tell_end(node: LocalNode) -> None:
    code = await node.child.process.wait()
    click.echo(f"{node.spec.name} ended with {code}; start it again with\n  {node.again}")
    sys.stdout.flush()


@click.command(epilog=example("argyll cluster status --engine http://10.0.0.1:8080"))
@engine_options
@output_option
def status(connection: Connection, fmt: Format) -> None:
    """Show the nodes of the cluster as one of them sees it. Exits with 8 when it has no quorum or misses a node."""
    with connection.client() as client:
        answer = client.raft()
    emit(answer, fmt, lambda: _table(answer))
    if not answer["has_quorum"] or any(not peer["is_connected"] for peer in answer["peers"]):
        finish(ExitCode.FAILED)


@click.command(epilog=example("argyll cluster transfer --to n2"))
@click.option("--to", metavar="NODE", help="The node that is to lead. Default: the one that is furthest.")
@engine_options
def transfer(connection: Connection, to: str | None) -> None:
    """Hand the leadership over, for instance before the leader's machine is stopped. Ask the node that leads."""
    with connection.client() as client:
        client.transfer_leadership(to)
        answer = client.raft()
    say(f"{answer['leader_id'] or 'an election'} leads" if to is None else f"{to} leads")


def _table(answer: JSON) -> str:
    presence: dict[str, str] = answer["presence"]
    leader = answer["leader_id"]
    here = [
        answer["node_id"], _role(answer["node_id"], leader), presence.get(answer["node_id"], ""), "here",
        str(answer["applied_index"]), "", "",
    ]  # fmt: skip
    rows = [here] + [
        [
            peer["id"],
            _role(peer["id"], leader),
            presence.get(peer["id"], ""),
            "connected" if peer["is_connected"] else "not connected",
            "" if peer["match_index"] is None else str(peer["match_index"]),
            "" if peer["lag"] is None else str(peer["lag"]),
            "" if peer["last_contact_ms"] is None else f"{peer['last_contact_ms']} ms ago",
        ]
        for peer in answer["peers"]
    ]
    quorum = (
        styled("quorum", "completed", sys.stdout) if answer["has_quorum"] else styled("no quorum", "failed", sys.stdout)
    )
    head = f"term {answer['term']}, leader {leader or 'none'}, {quorum}, committed {answer['commit_index']}"
    return f"{head}\n{columns(('NODE', 'ROLE', 'FLOWS', 'LINK', 'INDEX', 'LAG', 'HEARD'), sorted(rows))}"


def _role(node_id: str, leader: str | None) -> str:
    return "leader" if node_id == leader else "follower"


cluster = LazyGroup(
    name="cluster",
    help="Run several nodes on this machine, and look after a cluster.",
    lazy={
        "start": Lazy("argyll.cli.cluster:start", "Run a cluster on this machine."),
        "status": Lazy("argyll.cli.cluster:status", "Show the nodes, their roles and how far they are."),
        "transfer": Lazy("argyll.cli.cluster:transfer", "Hand the leadership over."),
    },
    no_args_is_help=True,
)
