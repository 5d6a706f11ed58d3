"""`argyll demo`: the whole story once, from step files in git to a finished flow, with nothing to prepare.

Everything it starts it ends, also on ^C and SIGTERM.
"""

import asyncio
import os
import secrets
import shlex
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import click

from argyll import __version__
from argyll.cli.accident import Accident
from argyll.cli.children import ChildFailed
from argyll.cli.errors import CliError, exit_code_of
from argyll.cli.exitcodes import ExitCode
from argyll.cli.follow import Reporter, follow, reporter_for, show_end
from argyll.cli.nodes import MAX_NODES
from argyll.cli.options import example, finish
from argyll.cli.output import columns, fitted, marks_for, styled
from argyll.cli.stage import Stage, StageError, set_up
from argyll.cli.sync import describe, make_agent
from argyll.client import AsyncClient
from argyll.draw import Progress, as_plan, explain_plan, reasons
from argyll.engine.ownership import first_choice
from argyll.gitops import GitSource
from argyll.model.json import JSON, text
from argyll.model.plan import Plan

GOAL = "complete-order"
INIT: dict[str, JSON] = {
    "customer_id": "c-3",
    "items": [{"sku": "kilt", "quantity": 1}, {"sku": "sock-argyle", "quantity": 2}],
}
OWNER = "demo"
FLOW_TIMEOUT_S = 60.0


@click.command(epilog=example("argyll demo\nargyll demo --nodes 3\nargyll demo --keep --port 8080"))
@click.option("--keep", is_flag=True, help="Leave the engine and the shop running until ^C.")
@click.option("--nodes", type=click.IntRange(1, MAX_NODES), default=1, metavar="COUNT",
              help="With 3 or more, a node is killed in the middle of the order, and the order completes.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65_535), metavar="PORT", help="The engine's port. Default: a free one.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Keep everything here, for the next demo too. Default: a directory that is removed.")  # fmt: skip
def demo(keep: bool, nodes: int, port: int | None, data_dir: Path | None) -> None:
    """Show what Argyll does: steps in git become a catalog, a goal becomes a plan, the plan becomes a finished flow.

    Starts an engine and a small shop on this machine, and ends them again.
    """
    if nodes == 2:
        raise click.BadParameter(
            "two nodes cannot go on without one of them; take 1, 3 or more", param_hint="'--nodes'"
        )
    with tempfile.TemporaryDirectory(prefix="argyll-demo-", ignore_cleanup_errors=True) as temporary:
        directory = (data_dir or Path(temporary)).absolute()
        try:
            status = asyncio.run(_until_signal(directory, port, nodes, keep=keep))
        except asyncio.CancelledError as error:
            click.echo("demo stopped; nothing is left running")
            raise click.Abort from error
        except (ChildFailed, StageError) as error:
            raise CliError(str(error)) from error
        except OSError as error:
            raise CliError(f"{error.filename or directory}: {error.strerror}; choose another --data-dir") from error
    if status != "completed":
        finish(ExitCode.FAILED)


async def _until_signal(directory: Path, port: int | None, nodes: int, *, keep: bool) -> str:
    """The demo in a task that the first signal cancels; later ones find the end already under way."""
    playing = asyncio.ensure_future(_play(directory, port, nodes, keep=keep))
    loop = asyncio.get_running_loop()
    heard = False

    def stop_once() -> None:
        nonlocal heard
        if not heard:
            heard = True
            playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop_once)
    return await playing


async def _play(directory: Path, port: int | None, nodes: int, *, keep: bool) -> str:
    async with AsyncExitStack() as cleanup:
        _tell(f"argyll {__version__} demo, in {directory}")
        stage = await set_up(directory, port, nodes, cleanup)
        _tell(f"engine at {stage.engine_url}, the shop's services at {stage.shop_url}")
        for node in stage.nodes[1:]:
            _tell(f"node {node.spec.name} at {node.url}")
        client = await cleanup.enter_async_context(AsyncClient(stage.engine_url))
        await _sync(client, stage)
        plan = await _plan(client)
        flow_id = _flow_id(stage)
        accident = Accident(stage, reporter_for(sys.stdout)) if len(stage.nodes) > 1 else None
        progress = await _run(client, flow_id, accident or reporter_for(sys.stdout))
        _sum_up(plan, progress)
        if accident is not None:
            _heading("the node that was killed")
            _tell(accident.story)
        _go_on(stage, flow_id, keep=keep)
        if keep:
            await asyncio.Event().wait()
        return progress.status


async def _sync(client: AsyncClient, stage: Stage) -> None:
    _heading(f"argyll sync --git {_short(stage.repository)} --ref main --path steps --owner {OWNER}")
    source = GitSource(str(stage.repository), "main", "steps", cache=stage.directory / "cache")
    status = await make_agent(source, client, OWNER).reconcile()
    _tell(describe(status))
    if status.state != "synced":
        code = exit_code_of(status.error) if status.error is not None else None
        raise CliError(f"the demo's own steps were not taken: {status.message}", code or ExitCode.ERROR)


async def _plan(client: AsyncClient) -> Plan:
    _heading(f"argyll plan {GOAL} {_init_options()}")
    plan = as_plan(await client.plan(GOAL, INIT))
    _tell(fitted(explain_plan(plan, given=INIT, marks=marks_for(sys.stdout)), sys.stdout))
    return plan


def _flow_id(stage: Stage) -> str:
    """A new flow's id. With several nodes, of one that the node this demo talks to does not look after."""
    names = [node.spec.name for node in stage.nodes]
    while True:
        flow_id = f"demo-order-{secrets.token_hex(3)}"
        if len(names) == 1 or first_choice(names, flow_id) != names[0]:
            return flow_id


async def _run(client: AsyncClient, flow_id: str, reporter: Reporter) -> Progress:
    _heading(f"argyll flow start {GOAL} --id {flow_id} --wait {_init_options()}")
    await client.start(flow_id, GOAL, INIT, {"demo": "yes"})
    return await follow(client, flow_id, reporter, FLOW_TIMEOUT_S)


def _sum_up(plan: Plan, progress: Progress) -> None:
    _heading("what happened, and why")
    why = reasons(plan)
    rows: list[list[str]] = []
    for step_id in plan.order:
        step = progress.steps[step_id]
        because = step.reason if step.status in ("skipped", "failed") else why[step_id]
        note = f"{step.retries} retried" if step.retries else (f"{step.items} items" if step.items > 1 else "")
        rows.append([step_id, step.word, note, because])
    _tell(columns(("STEP", "STATUS", "", "BECAUSE"), rows, fit=True))
    click.echo()
    show_end(progress)


def _go_on(stage: Stage, flow_id: str, *, keep: bool) -> None:
    _heading("where to go on")
    if not keep:
        _tell("argyll demo --keep        the same, and the engine stays for you to try things")
        return
    _tell(
        f"export ARGYLL_ENGINE={stage.engine_url}\n"
        f"argyll flow get {flow_id}\n"
        f"argyll flow events {flow_id}\n"
        f"argyll flow start {GOAL} --wait {_init_options(customer_id='c-1')}\n"
        f"argyll step list\n"
        f"API {stage.engine_url}/engine    steps {stage.repository / 'steps'}\n"
        f"^C ends the demo"
    )


def _init_options(**other: JSON) -> str:
    return " ".join(
        shlex.join(("--init", f"{name}={value if isinstance(value, str) else text(value)}"))
        for name, value in (INIT | other).items()
    )


def _heading(command: str) -> None:
    click.echo()
    click.echo(styled(f"$ {command}" if command.startswith("argyll") else f"# {command}", "active", sys.stdout))


def _tell(words: str) -> None:
    click.echo(words)
    sys.stdout.flush()


def _short(path: Path) -> str:
    """A path below the working directory without it, as one would type it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
