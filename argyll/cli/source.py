"""`argyll source`: the sources that own steps: configure, look, stop, agree, go back. What agents do is `argyll sync`."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

import click

from argyll.cli.app import Lazy, LazyGroup
from argyll.cli.definitions import read_file
from argyll.cli.errors import CliError, did_you_mean
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import Connection, engine_options, example, finish, output_option
from argyll.cli.output import Format, columns, emit, say
from argyll.client import AsyncClient, Client, NotFound
from argyll.model.json import JSON
from argyll.model.wire import JSONObject

SHORT_REVISION_CHARS = 12
"""How much of a revision people see."""

_PROBLEM_CODES = {
    "invalid": ExitCode.INVALID,
    "blocked": ExitCode.BLOCKED,
    "verify_failed": ExitCode.VERIFICATION,
}

Command = TypeVar("Command", bound=Callable[..., Any])

source_argument = click.argument("source_id", metavar="ID")
reason_option = click.option("--reason", metavar="TEXT", help="Why; it is recorded.")


@click.command("apply", epilog=example("argyll source apply payments.yaml"))
@click.argument("file")
@engine_options
@output_option
def apply(connection: Connection, file: str, fmt: Format) -> None:
    """Configure the sources of a YAML FILE (- for standard input): documents with `kind: Source` and an `id`."""
    wanted = _read_sources("<stdin>" if file == "-" else file, read_file(file))
    with connection.client() as client:
        views = [client.configure_source(source_id, config) for source_id, config in wanted]
    emit(views, fmt, lambda: "\n".join(f"{view['id']} configured" for view in views))


@click.command("list", epilog=example("argyll source list"))
@engine_options
@output_option
def list_sources(connection: Connection, fmt: Format) -> None:
    """List every source and how it stands."""
    with connection.client() as client:
        sources = client.sources()
    rows = [
        [view["id"], view["sync"], view["health"], view["phase"], _short(view.get("applied")), str(view["owned"])]
        for view in sources
    ]
    head = ("ID", "SYNC", "HEALTH", "PHASE", "APPLIED", "STEPS")
    emit({"sources": sources, "count": len(sources)}, fmt, lambda: columns(head, rows))


@click.command("get", epilog=example("argyll source get payments -o yaml > payments.yaml"))
@source_argument
@engine_options
@output_option
def get(connection: Connection, source_id: str, fmt: Format) -> None:
    """Show a source's configuration; as YAML, in the form that `argyll source apply` takes."""
    with connection.client() as client:
        view = _known(client, source_id, lambda: client.source(source_id))
    config = {"apiVersion": "argyll/v1", "kind": "Source", "id": view["id"]} | view["config"]
    from argyll.cli.output import yaml_text

    emit(config, fmt, lambda: yaml_text(config).rstrip())


@click.command("status", epilog=example("argyll source status payments"))
@source_argument
@engine_options
@output_option
def status(connection: Connection, source_id: str, fmt: Format) -> None:
    """Show how a source stands. Exits with 8 when it is degraded, else with 2 when it is out of sync."""
    with connection.client() as client:
        view = _known(client, source_id, lambda: client.source(source_id))
    emit(view, fmt, lambda: describe(view))
    if view["health"] == "degraded":
        finish(ExitCode.FAILED)
    finish(ExitCode.CHANGES if view["sync"] == "out_of_sync" else ExitCode.OK)


@click.command("history", epilog=example("argyll source history payments --limit 10"))
@source_argument
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@engine_options
@output_option
def history(connection: Connection, source_id: str, limit: int | None, fmt: Format) -> None:
    """List the applied revisions of a source, newest first."""
    with connection.client() as client:
        applies = _known(client, source_id, lambda: client.source_history(source_id, limit))
    rows = [
        [
            one["at"],
            _short(one),
            one["lineage"],
            *(str(one[name]) for name in ("created", "updated", "deleted")),
            str(one["sequence"]),
        ]
        for one in applies
    ]
    head = ("AT", "REVISION", "LINEAGE", "CREATED", "UPDATED", "DELETED", "SEQUENCE")
    emit({"applies": applies}, fmt, lambda: columns(head, rows))


@click.command("refresh", epilog=example("argyll source refresh payments"))
@source_argument
@engine_options
@output_option
def refresh(connection: Connection, source_id: str, fmt: Format) -> None:
    """Ask the source's agent to look now."""
    _decide(connection, source_id, fmt, "refresh")


@click.command("suspend", epilog=example("argyll source suspend payments --reason 'release freeze'"))
@source_argument
@reason_option
@click.option("--until", metavar="MOMENT", help="When it ends by itself, as in 2026-01-02T03:04:05Z.")
@engine_options
@output_option
def suspend(connection: Connection, source_id: str, reason: str | None, until: str | None, fmt: Format) -> None:
    """Apply nothing of a source until it is resumed."""
    _decide(connection, source_id, fmt, "suspend", reason=reason, until=until)


@click.command("resume", epilog=example("argyll source resume payments"))
@source_argument
@reason_option
@engine_options
@output_option
def resume(connection: Connection, source_id: str, reason: str | None, fmt: Format) -> None:
    """End a suspension and a hold."""
    _decide(connection, source_id, fmt, "resume", reason=reason)


@click.command("approve", epilog=example("argyll source approve payments --plan sha256:5d1e9c..."))
@source_argument
@click.option("--plan", "plan_digest", required=True, metavar="DIGEST", help="The digest that the status names.")
@reason_option
@engine_options
@output_option
def approve(connection: Connection, source_id: str, plan_digest: str, reason: str | None, fmt: Format) -> None:
    """Agree to what a blocked revision would do: to this very plan, and to no other."""
    _decide(connection, source_id, fmt, "approve", plan_digest=plan_digest, reason=reason)


@click.command(
    "rollback", epilog=example("argyll source rollback payments\nargyll source rollback payments --to 71b0aa2")
)
@source_argument
@click.option("--to", metavar="REVISION", help="An applied revision, or its beginning. Default: the one before.")
@click.option("--pin", is_flag=True, help="Stay there until `argyll source resume`, whatever is committed.")
@click.option("--dry-run", is_flag=True, help="Say what would change; change nothing.")
@reason_option
@engine_options
@output_option
def rollback(
    connection: Connection, source_id: str, to: str | None, pin: bool, dry_run: bool, reason: str | None, fmt: Format
) -> None:
    """Give a source's steps the content of an earlier revision and hold it there until a new commit comes.

    The content comes from the engine's own history: neither the repository nor the agent is needed.
    """
    said: dict[str, JSON] = {"to": to, "reason": reason, "pin": pin or None, "dry_run": dry_run or None}
    with connection.client() as client:
        answer = _known(client, source_id, lambda: client.roll_back_source(source_id, **said))
    emit(answer, fmt, lambda: _rolled_back(source_id, answer, dry_run=dry_run))


@click.command("wait", epilog=example("argyll source wait payments --revision 9f2c1e4 --timeout 120"))
@source_argument
@click.option("--revision", required=True, metavar="REVISION", help="The revision, or its beginning.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), default=60.0, show_default=True,
              metavar="SECONDS", help="How long.")  # fmt: skip
@engine_options
@output_option
def wait(connection: Connection, source_id: str, revision: str, timeout_s: float, fmt: Format) -> None:
    """Wait until the catalog has a revision, for pipelines. Ends at once when the revision cannot be applied."""

    async def waiting() -> JSONObject:
        async with connection.async_client() as client, asyncio.timeout(timeout_s):
            return await _settled(client, source_id, revision)

    try:
        view = asyncio.run(waiting())
    except TimeoutError:
        raise CliError(
            f"source {source_id!r} has not got to {revision} within {timeout_s:g} s; see `argyll source status`",
            ExitCode.TIMEOUT,
        ) from None
    emit(view, fmt, lambda: describe(view))
    if not _has(view, revision):
        finish(_PROBLEM_CODES[view["problem"]["kind"]])


@click.command("delete", epilog=example("argyll source delete payments"))
@source_argument
@engine_options
def delete(connection: Connection, source_id: str) -> None:
    """Forget a source. Its steps stay and belong to nobody."""
    with connection.client() as client:
        orphaned = _known(client, source_id, lambda: client.delete_source(source_id))["orphaned"]
    say(f"{source_id} deleted; {len(orphaned)} steps stay and belong to nobody")


def describe(view: JSONObject) -> str:
    """A source's status for people: the three axes, where it is, and what it waits for."""
    applied = view.get("applied")
    lines = [f"{view['id']}   {view['sync']} / {view['health']} / {view['phase']}   {view['owned']} steps"]
    if "observed" in view:
        lines.append(f"observed  {_short(view['observed'])}  {view['observed']['at']}")
    if applied is not None:
        lines.append(f"applied   {_short(applied)}  {applied['at']}  sequence {applied['sequence']}")
    for word, ids in (("drifted", view["drifted"]), ("fighting", view["fighting"]), ("unhealthy", view["unhealthy"])):
        if ids:
            lines.append(f"{word:<10}{', '.join(ids)}")
    for word in ("hold", "suspension"):
        if word in view:
            lines.append(f"{word:<10}{_decision(view[word])}")
    if "degraded" in view:
        lines.append(f"degraded  {view['degraded']['message']} (since {view['degraded']['at']})")
    return "\n".join(lines + _problem(view))


def _problem(view: JSONObject) -> list[str]:
    problem = view.get("problem")
    if problem is None:
        return []
    lines = [f"{problem['kind']:<10}{_short(problem)}  {problem.get('code', '')} {problem.get('message', '')}".rstrip()]
    lines += [
        f"          {found.get('path', '')}: {found.get('message', '')}" for found in problem.get("diagnostics", [])
    ]
    if problem.get("plan_digest"):
        lines.append(f"next      argyll source approve {view['id']} --plan {problem['plan_digest']}")
    return lines


def _decision(made: JSONObject) -> str:
    words = [made.get("revision", "")[:SHORT_REVISION_CHARS], f"until {made['until']}" if made.get("until") else ""]
    words += [f"by {made['actor']}" if made.get("actor") else "", made.get("reason", "")]
    return ", ".join(word for word in words if word)


def _rolled_back(source_id: str, answer: JSONObject, *, dry_run: bool) -> str:
    counts = ", ".join(f"{len(answer[name])} {name}" for name in ("created", "updated", "deleted"))
    revision = answer["revision"][:SHORT_REVISION_CHARS]
    if dry_run:
        return f"{source_id} would go back to {revision}: {counts}; nothing was changed"
    return f"{source_id} is back at {revision} (sequence {answer['sequence']}): {counts}; held there"


async def _settled(client: AsyncClient, source_id: str, revision: str) -> JSONObject:
    """The source once it has the revision, or once that is known to be impossible as things are."""
    watching = client.watch(("source", source_id), ("catalog",), include_state=True)
    async with aclosing(watching) as changes:
        async for _ in changes:
            try:
                view = await client.source(source_id)
            except NotFound:
                continue
            problem = view.get("problem")
            if _has(view, revision) or (problem is not None and problem["revision"].startswith(revision)):
                return view
    raise AssertionError("a watch has no end of its own")


def _has(view: JSONObject, revision: str) -> bool:
    applied = view.get("applied")
    return applied is not None and applied["revision"].startswith(revision)


def _decide(connection: Connection, source_id: str, fmt: Format, decision: str, **said: JSON) -> None:
    with connection.client() as client:
        view = _known(client, source_id, lambda: client.decide_source(source_id, decision, **said))
    emit(view, fmt, lambda: describe(view))


T = TypeVar("T")


def _known(client: Client, source_id: str, call: Callable[[], T]) -> T:
    """What a call about a source gives; for a source that is not there, the nearest one that is."""
    try:
        return call()
    except NotFound as error:
        known = [view["id"] for view in client.sources()]
        hint = did_you_mean(source_id, known) or "; see `argyll source list`"
        raise CliError(f"there is no source {source_id!r}{hint}", ExitCode.NOT_FOUND) from error


def _short(place: JSONObject | None) -> str:
    return place["revision"][:SHORT_REVISION_CHARS] if place is not None else "-"


def _read_sources(name: str, text: bytes) -> list[tuple[str, JSONObject]]:
    """Ids and configurations of a file. Raises `CliError`."""
    import yaml

    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise CliError(f"{name}: {error}", ExitCode.INVALID) from error
    sources: list[tuple[str, JSONObject]] = []
    for document in documents:
        if not isinstance(document, dict) or cast(JSONObject, document).get("kind") != "Source":
            raise CliError(f"{name}: a document is no source; it needs `kind: Source` and an `id`", ExitCode.INVALID)
        config = {**cast(JSONObject, document)}
        version, source_id = config.pop("apiVersion", "argyll/v1"), config.pop("id", None)
        del config["kind"]
        if version != "argyll/v1" or not isinstance(source_id, str):
            raise CliError(f"{name}: a source has `apiVersion: argyll/v1` and an `id`", ExitCode.INVALID)
        sources.append((source_id, config))
    if not sources:
        raise CliError(f"{name}: there is no source in it", ExitCode.NOT_FOUND)
    return sources


source = LazyGroup(
    name="source",
    help="Sources own steps: a directory or a git repository that an agent (`argyll sync`) applies.",
    lazy={
        "apply": Lazy("argyll.cli.source:apply", "Configure the sources of a file."),
        "list": Lazy("argyll.cli.source:list_sources", "List every source and how it stands."),
        "get": Lazy("argyll.cli.source:get", "Show a source's configuration."),
        "status": Lazy("argyll.cli.source:status", "Show how a source stands."),
        "history": Lazy("argyll.cli.source:history", "List applied revisions."),
        "refresh": Lazy("argyll.cli.source:refresh", "Ask the agent to look now."),
        "suspend": Lazy("argyll.cli.source:suspend", "Apply nothing until it is resumed."),
        "resume": Lazy("argyll.cli.source:resume", "End a suspension and a hold."),
        "approve": Lazy("argyll.cli.source:approve", "Agree to what a blocked revision would do."),
        "rollback": Lazy("argyll.cli.source:rollback", "Go back to an earlier revision and hold it."),
        "wait": Lazy("argyll.cli.source:wait", "Wait until a revision is applied."),
        "delete": Lazy("argyll.cli.source:delete", "Forget a source; its steps stay."),
    },
    no_args_is_help=True,
)
