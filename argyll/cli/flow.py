"""`argyll flow`: start flows and look after them."""

import asyncio
import secrets
import sys

import click

from argyll.cli.app import Lazy, LazyGroup
from argyll.cli.definitions import count
from argyll.cli.errors import CliError, did_you_mean
from argyll.cli.exitcodes import ExitCode
from argyll.cli.follow import Reporter, clock_time, follow, picture, reporter_for, show_end
from argyll.cli.initvalues import parse_init
from argyll.cli.options import Connection, engine_options, example, finish, init_option, output_option, pairs
from argyll.cli.output import Format, columns, emit, say, styled
from argyll.cli.step import unknown_step
from argyll.client import Client, FlowTimeout, NotFound
from argyll.draw import Progress, Rails, StepProgress
from argyll.model.json import JSON, text
from argyll.model.limits import MAX_FLOWS_PAGE
from argyll.model.times import US_PER_MS, from_rfc3339
from argyll.model.wire import JSONObject

SUGGESTION_POOL = 200
"""How many recent flows a mistyped id is compared with."""

STATUSES = ("active", "completed", "failed")


@click.command("start", epilog=example(
    "argyll flow start complete-order --init customer_id=c-1 --init items=@items.json --wait"
))  # fmt: skip
@click.argument("goals", nargs=-1, required=True, metavar="GOAL...")
@init_option
@click.option("--id", "flow_id", metavar="ID", help="The flow's id; starting the same again is fine. Default: made up.")
@click.option("--label", "-l", "labels", multiple=True, metavar="NAME=VALUE", help="A label to find it by; repeat it.")
@click.option("--wait", "-w", is_flag=True, help="Follow it to its end; exit with 8 if it failed.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="With --wait: give up following after this long (exit 7); the flow runs on.")  # fmt: skip
@engine_options
@output_option
def start(
    connection: Connection,
    goals: tuple[str, ...],
    init_pairs: tuple[str, ...],
    flow_id: str | None,
    labels: tuple[str, ...],
    wait: bool,
    timeout_s: float | None,
    fmt: Format,
) -> None:
    """Start a flow that reaches the GOALs."""
    if timeout_s is not None and not wait:
        raise click.UsageError("--timeout says how long --wait may take; give both")
    init = parse_init(init_pairs)
    with connection.client() as client:
        try:
            started = client.start(flow_id or made_up_id(goals[0]), list(goals), init, pairs("--label", labels))
        except NotFound as error:
            known = {step["id"] for step in client.steps()}
            missing = [goal for goal in goals if goal not in known]
            if not missing:
                raise
            raise unknown_step(client, missing[0]) from error
    if not wait:
        emit({"flow_id": started}, fmt, lambda: f"{started} {styled('active', 'active', sys.stdout)}")
        say(f"follow it with: argyll flow watch {started}")
        return
    say(f"{started} active")
    progress = _follow(connection, started, reporter_for(sys.stderr), timeout_s)
    if fmt == "table":
        show_end(progress)
    else:
        with connection.client() as client:
            emit(client.flow(started), fmt, str)
    _finish_as(progress.status)


@click.command("watch", epilog=example("argyll flow watch order-17\nargyll flow watch order-17 -o json | jq .type"))
@click.argument("flow_id", metavar="ID")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="Give up after this long (exit 7); the flow runs on.")  # fmt: skip
@click.option("-o", "--output", "fmt", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="A picture (lines when not on a terminal), or every event as a line of JSON.")  # fmt: skip
@engine_options
def watch(connection: Connection, flow_id: str, timeout_s: float | None, fmt: Format) -> None:
    """Follow a flow from its first event to its end; exit with 8 if it failed."""
    progress = _follow(connection, flow_id, reporter_for(sys.stdout, as_json=fmt == "json"), timeout_s)
    if fmt == "table":
        show_end(progress)
    _finish_as(progress.status)


@click.command("list", epilog=example("argyll flow list --status failed --label shop=north"))
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only these; repeat it.")
@click.option("--label", "-l", "labels", multiple=True, metavar="NAME=VALUE", help="Only with this label; repeat it.")
@click.option("--prefix", metavar="TEXT", help="Only ids that begin with this.")
@click.option("--limit", type=click.IntRange(1, MAX_FLOWS_PAGE), default=50, show_default=True, help="At most so many.")
@engine_options
@output_option
def list_flows(
    connection: Connection,
    statuses: tuple[str, ...],
    labels: tuple[str, ...],
    prefix: str | None,
    limit: int,
    fmt: Format,
) -> None:
    """List flows, active ones first, newest first. Sub-flows are not listed; their parents show them."""
    with connection.client() as client:
        page = client.flows_page(
            id_prefix=prefix, labels=pairs("--label", labels), statuses=statuses, sort="recent_desc", limit=limit
        )
    emit(page, fmt, lambda: _flow_table(page))


@click.command("get", epilog=example("argyll flow get order-17\nargyll flow get order-17 -o json | jq .attributes"))
@click.argument("flow_id", metavar="ID")
@engine_options
@output_option
def get(connection: Connection, flow_id: str, fmt: Format) -> None:
    """Show a flow: its plan, how each step fares, its values."""
    with connection.client() as client:
        try:
            flow = client.flow(flow_id)
        except NotFound as error:
            raise unknown_flow(client, flow_id) from error
    emit(flow, fmt, lambda: _describe(flow))


@click.command("events", epilog=example("argyll flow events order-17 --from 10 -o json"))
@click.argument("flow_id", metavar="ID")
@click.option("--from", "start_at", type=click.IntRange(min=0), default=0, show_default=True, metavar="SEQUENCE",
              help="The first event to show.")  # fmt: skip
@engine_options
@output_option
def events(connection: Connection, flow_id: str, start_at: int, fmt: Format) -> None:
    """Show the history of a flow: every event that made it what it is."""
    with connection.client() as client:
        try:
            history = list(client.events(flow_id, start_at))
        except NotFound as error:
            raise unknown_flow(client, flow_id) from error
    emit({"events": history, "count": len(history)}, fmt, lambda: _event_table(history))


@click.command("cancel", epilog=example("argyll flow cancel order-17"))
@click.argument("flow_id", metavar="ID")
@engine_options
def cancel(connection: Connection, flow_id: str) -> None:
    """Cancel a flow: nothing new starts, running work may finish, the flow fails with "cancelled"."""
    with connection.client() as client:
        try:
            client.cancel(flow_id)
        except NotFound as error:
            raise unknown_flow(client, flow_id) from error
    say(f"{flow_id} cancelled")


def made_up_id(goal: str) -> str:
    """An id for a flow whose starter gave none."""
    return f"{goal}-{secrets.token_hex(4)}"


def _follow(connection: Connection, flow_id: str, reporter: Reporter, timeout_s: float | None) -> Progress:
    async def following() -> Progress:
        async with connection.async_client() as client:
            return await follow(client, flow_id, reporter, timeout_s)

    try:
        return asyncio.run(following())
    except NotFound as error:
        with connection.client() as client:
            raise unknown_flow(client, flow_id) from error
    except FlowTimeout as error:
        raise CliError(
            f"{flow_id} has not ended within {timeout_s:g} s; it runs on. "
            f"Follow it with `argyll flow watch {flow_id}`, or end it with `argyll flow cancel {flow_id}`",
            ExitCode.TIMEOUT,
        ) from error
    except KeyboardInterrupt:
        say(f"{flow_id} runs on; follow it again with `argyll flow watch {flow_id}`")
        raise


def _finish_as(status: str) -> None:
    if status != "completed":
        finish(ExitCode.FAILED)


def unknown_flow(client: Client, flow_id: str) -> CliError:
    """The error for a flow that the engine does not know, with the nearest one it does."""
    recent = client.flows_page(limit=SUGGESTION_POOL)["flows"]
    hint = did_you_mean(flow_id, (flow["id"] for flow in recent)) or "; see `argyll flow list`"
    return CliError(f"there is no flow {flow_id!r}{hint}", ExitCode.NOT_FOUND)


def _flow_table(page: JSONObject) -> str:
    rows = [
        [
            flow["id"],
            flow["status"],
            flow["timestamp"],
            ",".join(f"{name}={value}" for name, value in sorted((flow.get("labels") or {}).items())),
            flow.get("error") or "",
        ]
        for flow in page["flows"]
    ]
    if not rows:
        return "no flows; start one with: argyll flow start GOAL..."
    total = page.get("total", len(rows))
    more = f" of {total}" if page.get("has_more") else ""
    return columns(("ID", "STATUS", "SINCE", "LABELS", "ERROR"), rows) + f"\n{count(len(rows), 'flow')}{more}"


def _describe(flow: JSONObject) -> str:
    progress = Progress(
        status=flow["status"],
        error=flow.get("error") or "",
        steps={step_id: _step_progress(execution) for step_id, execution in flow["executions"].items()},
    )
    lines = [f"{flow['id']}  goals {', '.join(flow['plan']['goals'])}", ""]
    lines += picture(Rails(flow["plan"]), progress, sys.stdout)
    rows = [
        [name, text(value["value"]), value.get("step") or "init"]
        for name, values in sorted(flow["attributes"].items())
        for value in values
    ]
    return "\n".join([*lines, "", columns(("ATTRIBUTE", "VALUE", "FROM"), rows)])


def _step_progress(execution: JSONObject) -> StepProgress:
    items: list[JSONObject] = list((execution.get("work_items") or {}).values())
    open_items = [item for item in items if item["status"] in ("pending", "active", "not_completed")]
    return StepProgress(
        status=execution["status"],
        items=len(items),
        items_done=len(items) - len(open_items),
        retries=sum(item.get("retry_count") or 0 for item in items),
        retrying=sum(1 for item in open_items if item.get("next_retry_at")),
        compensating=sum(1 for item in items if item["status"] == "compensating"),
        reason=execution.get("error") or "",
        duration_ms=execution.get("duration"),
    )


def _event_table(history: list[JSONObject]) -> str:
    progress = Progress()
    rows: list[list[str]] = []
    for event in history:
        data: JSONObject = event["data"]
        at_ms = from_rfc3339(event["timestamp"]) // US_PER_MS
        line = progress.apply(event["type"], data, at_ms) or _plain(data)
        rows.append([str(event["sequence"]), clock_time(at_ms), event["type"], line])
    return columns(("SEQ", "TIME", "TYPE", "WHAT"), rows)


def _plain(data: JSONObject) -> str:
    rest: dict[str, JSON] = {name: value for name, value in data.items() if name != "flow_id"}
    return text(rest) if rest else ""


flow = LazyGroup(
    name="flow",
    help="Start, list, follow and cancel flows.",
    lazy={
        "start": Lazy("argyll.cli.flow:start", "Start a flow that reaches goals."),
        "watch": Lazy("argyll.cli.flow:watch", "Follow a flow to its end."),
        "list": Lazy("argyll.cli.flow:list_flows", "List flows."),
        "get": Lazy("argyll.cli.flow:get", "Show a flow."),
        "events": Lazy("argyll.cli.flow:events", "Show the history of a flow."),
        "why": Lazy("argyll.cli.why:why", "Tell why a flow did what it did, and what it waits for."),
        "cancel": Lazy("argyll.cli.flow:cancel", "Cancel a flow."),
    },
    no_args_is_help=True,
)
