"""`argyll flow why`: an explanation of a flow, one of its steps or one of its attributes, in words."""

import click

from argyll.cli.errors import CliError, did_you_mean
from argyll.cli.exitcodes import ExitCode
from argyll.cli.flow import unknown_flow
from argyll.cli.options import Connection, engine_options, example, output_option
from argyll.cli.output import Format, emit, printable
from argyll.client import NotFound
from argyll.draw import story
from argyll.model.wire import JSONObject


@click.command("why", epilog=example(
    "argyll flow why order-17\nargyll flow why order-17 ship-order\nargyll flow why order-17 total --at 42"
))  # fmt: skip
@click.argument("flow_id", metavar="FLOW")
@click.argument("name", metavar="[STEP|ATTRIBUTE]", required=False)
@click.option("--at", type=click.IntRange(min=0), metavar="SEQUENCE",
              help="As things stood right after this event. Default: now.")  # fmt: skip
@engine_options
@output_option
def why(connection: Connection, flow_id: str, name: str | None, at: int | None, fmt: Format) -> None:
    """Tell why a flow did what it did, and what it waits for: all of it in short, or one step or attribute in full."""
    with connection.client() as client:
        try:
            answer = client.explain(flow_id, at=at)
        except NotFound as error:
            raise unknown_flow(client, flow_id) from error
        if name is not None:
            step, attribute = _meant(flow_id, answer, name)
            answer = client.explain(flow_id, step=step, attribute=attribute, at=at)
    emit(answer, fmt, lambda: printable("\n".join(story(answer))))


def _meant(flow_id: str, overview: JSONObject, name: str) -> tuple[str | None, str | None]:
    """The step and the attribute of that name; often one is called after the other, then it is both."""
    steps = {told["step"] for told in overview["steps"]}
    attributes = {told["name"] for told in overview["attributes"]}
    if name not in steps and name not in attributes:
        hint = did_you_mean(name, sorted(steps | attributes)) or f"; see `argyll flow why {flow_id}`"
        raise CliError(f"flow {flow_id!r} has no step and no attribute {name!r}{hint}", ExitCode.NOT_FOUND)
    return name if name in steps else None, name if name in attributes else None
