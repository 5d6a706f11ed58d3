"""`argyll health`: whether the engine and the services of its steps are well."""

import sys

import click

from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import Connection, engine_options, example, finish, output_option
from argyll.cli.output import Format, columns, emit, styled
from argyll.cli.step import unknown_step
from argyll.client import NotFound
from argyll.model.json import JSON


@click.command(epilog=example("argyll health\nargyll health charge-card -o json"))
@click.argument("step_id", required=False, metavar="[STEP]")
@engine_options
@output_option
def health(connection: Connection, step_id: str | None, fmt: Format) -> None:
    """Show the health of every step on every node, or of one STEP. Exits with 8 when something is unhealthy."""
    with connection.client() as client:
        if step_id is not None:
            try:
                answer = client.health_of(step_id)
            except NotFound as error:
                raise unknown_step(client, step_id) from error
            statuses = [answer["status"]]
        else:
            answer = {"engine": client.health(), "cluster": client.step_health()}
            statuses = [record["status"] for _, _, record in _records(answer["cluster"])]
    emit(answer, fmt, lambda: _table(answer) if step_id is None else _line(step_id, answer))
    if "unhealthy" in statuses:
        finish(ExitCode.FAILED)


def _records(cluster: JSON) -> list[tuple[str, str, JSON]]:
    return [
        (node_id, step_id, record)
        for node_id, node in sorted(cluster["nodes"].items())
        for step_id, record in sorted((node["health"] or {}).items())
    ]


def _line(step_id: str, record: JSON) -> str:
    error = f": {record['error']}" if record.get("error") else ""
    return f"{step_id} {styled(record['status'], record['status'], sys.stdout)}{error}"


def _table(answer: JSON) -> str:
    rows = [
        [step_id, node_id, record["status"], record.get("error", "")]
        for node_id, step_id, record in _records(answer["cluster"])
    ]
    head = f"engine {answer['engine']['status']}"
    return "\n".join([head, columns(("STEP", "NODE", "STATUS", "ERROR"), rows)]) if rows else f"{head}, no steps"
