"""`argyll sync`: the agent of `argyll.gitops` on the command line, once or for ever."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import click

from argyll.cli.definitions import check_snapshot, count, show_findings
from argyll.cli.errors import exit_code_of
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import Connection, engine_options, env_option, example, finish, output_option
from argyll.cli.output import Format, emit, json_text, say
from argyll.client import AsyncClient, ClientError
from argyll.gitops import Agent, DirectorySource, Drift, GitSource, Pace, PruneGuard, Rewrite, Source, Status
from argyll.model.json import text

WATCH_AGAIN_S = 5.0
"""Pause before the catalog is watched again when the engine refused."""

_CODES = {
    "synced": ExitCode.OK,
    "pending": ExitCode.OK,
    "invalid": ExitCode.INVALID,
    "drifted": ExitCode.CHANGES,
    "blocked": ExitCode.BLOCKED,
    "source_error": ExitCode.ERROR,
    "unreachable": ExitCode.UNREACHABLE,
    "refused": ExitCode.CONFLICT,
}


@click.command(epilog=example(
    "argyll sync --dir steps/ --watch\n"
    "argyll sync --git https://example.org/shop.git --ref main --path steps --owner shop"
))  # fmt: skip
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="A directory of step files.")
@click.option("--git", "repository", metavar="REPO", help="A git repository: a path or a URL.")
@click.option("--ref", default="HEAD", show_default=True, help="With --git: a branch, tag or commit.")
@click.option("--path", "subdirectory", default="", help="With --git: only this directory of the repository.")
@click.option(
    "--owner", metavar="NAME", help="Whose steps these are: only this owner's are removed. Default: the source."
)
@env_option
@click.option("--watch", is_flag=True, help="Keep going: apply every change as it comes, and retry what fails.")
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.1),
              metavar="SECONDS", help="With --watch: how often to look. Default: 5, for a remote repository 30; "
              "what is saved in a directory is seen at once.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would change; change nothing.")
@click.option("--detailed-exitcode", is_flag=True, help="With --dry-run: exit with 2 when there are changes.")
@click.option("--rewrite", type=click.Choice(["hold", "follow"]), default="hold", show_default=True,
              help="With --watch: what to do when the branch no longer holds the applied commit.")  # fmt: skip
@click.option("--drift", type=click.Choice(["heal", "report", "off"]), default="heal", show_default=True,
              help="With --watch: what to do when somebody else changes the owner's steps.")  # fmt: skip
@click.option("--allow-prune", is_flag=True, help="Allow the removal of a large part of the owner's steps.")
@click.option("--allow-empty", is_flag=True, help="Allow the removal of all of the owner's steps.")
@engine_options
@output_option
def sync(
    connection: Connection,
    directory: Path | None,
    repository: str | None,
    ref: str,
    subdirectory: str,
    owner: str | None,
    env: str,
    watch: bool,
    interval_s: float | None,
    dry_run: bool,
    detailed_exitcode: bool,
    allow_prune: bool,
    allow_empty: bool,
    rewrite: Rewrite,
    drift: Drift,
    fmt: Format,
) -> None:
    """Make the engine's steps those of a directory or of a git commit, in one commit or not at all.

    All files are checked first; with any error nothing is applied. Steps that are gone from the source are removed from
    the engine when this owner had put them there.
    """
    source = _source(directory, repository, ref, subdirectory)
    guard = PruneGuard(allow_prune=allow_prune, allow_empty=allow_empty)
    show = status_printer(fmt, watch=watch)

    async def syncing() -> Status | None:
        async with connection.async_client() as client:
            agent = make_agent(
                source,
                client,
                owner,
                env=env,
                guard=guard,
                dry_run=dry_run,
                pace=Pace(interval_s=interval_s or source.poll_s),
            )
            agent.rewrite, agent.drift, agent.catalog_hints = rewrite, drift, partial(catalog_hints, client)
            if not watch:
                return await agent.reconcile()
            await _until_stopped(agent, show)
            return None

    status = asyncio.run(syncing())
    if status is None:
        say("stopped; the engine keeps the steps it has")
        return
    show(status)
    code = exit_code(status)
    finish(ExitCode.CHANGES if status.state == "pending" and detailed_exitcode else code)


def make_agent(
    source: Source,
    client: AsyncClient,
    owner: str | None = None,
    *,
    env: str = "",
    guard: PruneGuard | None = None,
    dry_run: bool = False,
    pace: Pace | None = None,
) -> Agent:
    """An agent that checks with the analysis of `argyll check`; the source's name is the default owner."""
    from argyll.analysis.files import CheckedFiles

    remembered = CheckedFiles()
    return Agent(
        source=source,
        api=client,
        owner=owner or source.name,
        check=lambda snapshot: check_snapshot(snapshot, env, remembered),
        guard=guard or PruneGuard(),
        dry_run=dry_run,
        pace=pace or Pace(),
    )


def status_printer(fmt: Format, *, watch: bool) -> Callable[[Status], None]:
    """What prints a status: findings and failures to stderr, the rest to stdout; a line of JSON each while watching."""

    def show(status: Status) -> None:
        grave = [found for found in status.findings if found.severity in ("error", "warning")]
        if grave and (status.changed or status.state != "synced"):
            show_findings(grave, status.files)
        if fmt == "json" and watch:
            click.echo(text(status.to_json()))
        elif fmt != "table":
            emit(status.to_json(), fmt, lambda: json_text(status.to_json()))
        elif status.state in ("synced", "pending"):
            click.echo(describe(status))
        else:
            say(describe(status))

    return show


def describe(status: Status) -> str:
    """A status for people: what changes, then one line that says where things stand."""
    difference = status.difference
    lines = [f"  {mark} {word:<7} {step_id}" for mark, word, ids in (
        ("+", "create", difference.created), ("~", "update", difference.updated), ("-", "delete", difference.deleted),
    ) for step_id in ids] if status.changed or status.state in ("pending", "blocked") else []  # fmt: skip
    lines += [f"  warning: {warning.get('message', '')}" for warning in difference.warnings if status.changed]
    changes = ", ".join(
        f"{len(ids)} {word}"
        for ids, word in (
            (difference.created, "created"),
            (difference.updated, "updated"),
            (difference.deleted, "deleted"),
        )
    )
    match status.state:
        case "synced" if status.changed:
            lines.append(f"synced {status.description}: {changes}, {difference.unchanged} unchanged")
        case "synced":
            lines.append(f"synced {status.description}: nothing to do, {count(difference.unchanged, 'step')}")
        case "pending":
            would = (
                changes.replace("created", "to create").replace("updated", "to update").replace("deleted", "to delete")
            )
            lines.append(
                f"pending {status.description}: {would}, {difference.unchanged} unchanged; nothing was applied"
            )
        case state:
            lines.append(f"{state.replace('_', ' ')}: {status.message}")
    return "\n".join(lines)


def exit_code(status: Status) -> ExitCode:
    """The exit code that a status amounts to."""
    by_error = exit_code_of(status.error) if status.error is not None else None
    return by_error or _CODES[status.state]


@asynccontextmanager
async def catalog_hints(client: AsyncClient, changed: asyncio.Event) -> AsyncGenerator[None]:
    """While entered, sets `changed` when the catalog changes. Hints may be lost: the agent also compares by itself."""

    async def listen() -> None:
        while True:
            with suppress(ClientError):
                async with aclosing(client.watch(("catalog",))) as changes:
                    async for _ in changes:
                        changed.set()
            await asyncio.sleep(WATCH_AGAIN_S)

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _until_stopped(agent: Agent, show: Callable[[Status], None]) -> None:
    """Run the agent until ^C or SIGTERM."""
    running = asyncio.ensure_future(agent.run(show))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def _source(directory: Path | None, repository: str | None, ref: str, subdirectory: str) -> Source:
    if (directory is None) == (repository is None):
        raise click.UsageError("give one source: --dir PATH or --git REPO")
    if directory is not None:
        if ref != "HEAD" or subdirectory:
            raise click.UsageError("--ref and --path go with --git; a directory is taken as it is")
        return DirectorySource(directory)
    assert repository is not None
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return GitSource(repository, ref, subdirectory, cache=Path(base) / "argyll" / "git")
