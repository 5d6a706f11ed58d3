"""`argyll diff`: two sets of definitions side by side, and what the difference does to plans and running flows."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from argyll.cli.definitions import check_snapshot, show_findings
from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import Connection, engine_options, env_option, example, finish
from argyll.cli.output import json_text, printable, yaml_text

if TYPE_CHECKING:
    from argyll.client import AsyncClient
    from argyll.gitops.comparison import Comparison, Side
    from argyll.gitops.source import Snapshot
    from argyll.model.match import MatchEvaluator


@click.command(epilog=example(
    "argyll diff                         # HEAD and the files as they are\n"
    "argyll diff main...HEAD --output markdown > comment.md\n"
    "argyll diff --against engine --dir steps/ --owner shop"
))  # fmt: skip
@click.argument("revisions", required=False, metavar="[REV | REV..REV | REV...REV]")
@click.option("--dir", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(),
              help="The directory of step files. Default: here.")  # fmt: skip
@click.option("--against", type=click.Choice(["engine"]), help="Compare the engine's catalog with the files or REV.")
@click.option("--owner", metavar="NAME", help="With --against: only what this owner has counts as removed. "
              "Default: what `argyll sync --dir` would use.")  # fmt: skip
@env_option
@click.option("--goal", "goals", multiple=True, metavar="ID",
              help="Look at the plan of this goal; repeat it. Default: goals of flow steps, and steps nobody reads.")  # fmt: skip
@click.option("--output", "-o", "--format", "fmt", type=click.Choice(["text", "json", "yaml", "markdown"]),
              default="text", show_default=True, help="How to print: for people, programs, or a pull request.")  # fmt: skip
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when something differs.")
@engine_options
def diff(
    connection: Connection,
    revisions: str | None,
    directory: Path,
    against: str | None,
    owner: str | None,
    env: str,
    goals: tuple[str, ...],
    fmt: str,
    detailed_exitcode: bool,
) -> None:
    """Show which steps differ, in which fields, and what that does to plans.

    REV is compared with the files of the directory, REV..REV one with the other, REV...REV the second with where the
    two parted. For every goal that a change reaches: steps that join or leave its plan, inputs that callers must give
    from then on; also attributes that lose their last provider and, with --against engine, active flows that hold steps
    that go away. Nothing is changed anywhere.
    """
    if owner is not None and against is None:
        raise click.UsageError("--owner goes with --against engine")
    if against is None:
        comparison = _between_revisions(revisions or "HEAD", directory, env, list(goals) or None)
    else:
        comparison = asyncio.run(_with_engine(connection, revisions, directory, env, owner, list(goals) or None))
    _print(comparison, fmt)
    if detailed_exitcode and comparison.steps:
        finish(ExitCode.CHANGES)


def _between_revisions(revisions: str, directory: Path, env: str, goals: list[str] | None) -> "Comparison":
    from argyll.gitops.comparison import compare

    first, dots, second = _parted(revisions)
    if dots == "...":
        before = _at(directory, _base(directory, first, second))
    else:
        before = _at(directory, first)
    after = _at(directory, second) if dots else _files(directory)
    sides = _side(before, directory, env, "before"), _side(after, directory, env, "after")
    return compare(*sides, match_evaluator(), goals=goals)


def _parted(revisions: str) -> tuple[str, str, str]:
    """`A..B` and `A...B` as (A, dots, B); an empty side is HEAD. A single revision has no dots."""
    dots = "..." if "..." in revisions else ".." if ".." in revisions else ""
    if not dots:
        return revisions, "", ""
    first, _, second = revisions.partition(dots)
    return first or "HEAD", dots, second or "HEAD"


def _base(directory: Path, first: str, second: str) -> str:
    from argyll.gitops.repository import GitSource

    return GitSource.of_directory(directory, first).merge_base(second)


def _at(directory: Path, ref: str) -> "Snapshot":
    """The directory at a revision; empty when the revision does not have it yet."""
    from argyll.gitops import GitSource, Snapshot, UnknownPath

    try:
        return GitSource.of_directory(directory, ref).read()
    except UnknownPath:
        return Snapshot(ref, {}, ref)


def _files(directory: Path) -> "Snapshot":
    from argyll.gitops import DirectorySource, Snapshot

    read = DirectorySource(directory).read()
    return Snapshot(read.revision, read.files, "files")


def _side(snapshot: "Snapshot", directory: Path, env: str, side: str) -> "Side":
    """The sound steps of a snapshot. Errors of the later side end the command: it could not be applied."""
    from argyll.gitops.comparison import Side, catalog_of

    report = check_snapshot(snapshot, env)
    errors = [found for found in report.diagnostics if found.severity == "error"]
    if errors and side == "after":
        show_findings(errors, snapshot.files)
        raise CliError(f"{snapshot.description}: the definitions have errors; nothing was compared", ExitCode.INVALID)
    if errors:
        click.echo(f"{snapshot.description} has errors; only its sound steps are compared", err=True)
    places = {
        step_id: f"{(directory / found.path).as_posix()}:{found.span.line}" for step_id, found in report.steps.items()
    }
    return Side(snapshot.description, catalog_of(found.step for found in report.steps.values()), places)


async def _with_engine(
    connection: Connection, revision: str | None, directory: Path, env: str, owner: str | None, goals: list[str] | None
) -> "Comparison":
    from argyll.gitops import DirectorySource
    from argyll.gitops.comparison import compare, flows_using

    if revision is not None and ".." in revision:
        raise click.UsageError("--against engine takes one revision, or none for the files")
    snapshot = _at(directory, revision) if revision is not None else _files(directory)
    desired = _side(snapshot, directory, env, "after")
    async with connection.async_client() as client:
        before, after = await _engine_sides(
            client, desired, owner or DirectorySource(directory).name, snapshot.revision, connection.url
        )
        comparison = compare(before, after, match_evaluator(), goals=goals)
        return comparison.with_flows(await flows_using(client, set(comparison.removed)))


async def _engine_sides(
    client: "AsyncClient", desired: "Side", owner: str, revision: str, url: str
) -> tuple["Side", "Side"]:
    """The engine's catalog now, and as it would be after an apply, steps of other owners included."""
    from argyll.gitops.comparison import Side, catalog_of, like_live
    from argyll.model.wire import step_from_json, step_to_json

    live = catalog_of([step_from_json(step) for step in await client.steps()])
    definitions = [step_to_json(step) for step in desired.catalog.steps.values()]
    answer = await client.apply_catalog(definitions, owner=owner, revision=revision, dry_run=True)
    after = live.copy()
    for step_id in answer["deleted"]:
        after.remove(step_id)
    for step_id in (*answer["created"], *answer["updated"]):
        after.put(like_live(desired.catalog.steps[step_id], live.steps.get(step_id)))
    return Side(f"engine {url}", live), Side(desired.label, after, desired.places)


def match_evaluator() -> "MatchEvaluator":
    """Runs `match` scripts as an engine does; plans need it where a flow step passes constants to its child."""
    from argyll.model.json import JSON
    from argyll.model.step import Script
    from argyll.scripts import Scripts

    scripts = Scripts()

    def evaluate(script: Script, value: JSON) -> bool:
        return scripts.compile(script.language, script.script, ("value",)).test_value(value)

    return evaluate


def _print(comparison: "Comparison", fmt: str) -> None:
    from argyll.gitops.difftext import comparison_markdown, comparison_text

    match fmt:
        case "json":
            click.echo(json_text(comparison.to_json()))
        case "yaml":
            click.echo(yaml_text(comparison.to_json()), nl=False)
        case "markdown":
            click.echo(comparison_markdown(comparison))
        case _:
            click.echo(printable(comparison_text(comparison)))
