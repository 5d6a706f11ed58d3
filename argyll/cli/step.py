"""`argyll step`: single steps of the engine's catalog. Whole sets are `argyll sync`."""

import sys

import click

from argyll.cli.app import Lazy, LazyGroup
from argyll.cli.definitions import count, read_file, read_steps
from argyll.cli.errors import CliError, did_you_mean
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import Connection, engine_options, example, output_option
from argyll.cli.output import Format, columns, emit, say, yaml_text
from argyll.client import Client, NotFound
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import JSONObject, step_from_json, step_to_flat, step_to_json


@click.command("list", epilog=example("argyll step list\nargyll step list -o yaml > steps.yaml"))
@engine_options
@output_option
def list_steps(connection: Connection, fmt: Format) -> None:
    """List every step of the catalog; as YAML, in the spelling of step files."""
    with connection.client() as client:
        steps = sorted(client.steps(), key=lambda step: step["id"])
    if fmt == "yaml":
        click.echo("---\n".join(yaml_text(_flat(step)) for step in steps), nl=False)
        return
    emit({"steps": steps, "count": len(steps)}, fmt, lambda: _table(steps))


@click.command("get", epilog=example("argyll step get price-order -o yaml"))
@click.argument("step_id", metavar="ID")
@engine_options
@output_option
def get_step(connection: Connection, step_id: str, fmt: Format) -> None:
    """Show one step; as YAML, in the spelling of step files."""
    with connection.client() as client:
        try:
            step = client.step(step_id)
        except NotFound as error:
            raise unknown_step(client, step_id) from error
    emit(_flat(step) if fmt == "yaml" else step, fmt, lambda: _describe(step_from_json(step)))


@click.command("register", epilog=example("argyll step register steps/price-order.yaml"))
@click.argument("file")
@engine_options
@output_option
def register_step(connection: Connection, file: str, fmt: Format) -> None:
    """Add the steps of a YAML or JSON FILE (- for standard input). One that exists with other content is a conflict."""
    _send(connection, file, fmt, updating=False)


@click.command("update", epilog=example("argyll step update steps/price-order.yaml"))
@click.argument("file")
@engine_options
@output_option
def update_step(connection: Connection, file: str, fmt: Format) -> None:
    """Replace the steps of a YAML or JSON FILE (- for standard input). Running flows keep what they started with."""
    _send(connection, file, fmt, updating=True)


@click.command("delete", epilog=example("argyll step delete price-order --yes"))
@click.argument("step_id", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask on the terminal.")
@engine_options
def delete_step(connection: Connection, step_id: str, yes: bool) -> None:
    """Remove one step from the catalog. Running flows keep it."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Remove step {step_id!r} from {connection.url}?", abort=True, err=True)
    with connection.client() as client:
        try:
            client.unregister(step_id)
        except NotFound as error:
            raise unknown_step(client, step_id) from error
    say(f"{step_id} deleted")


def unknown_step(client: Client, step_id: str) -> CliError:
    """The error for a step id that the catalog does not have, with the nearest that it has."""
    known = [step["id"] for step in client.steps()]
    hint = did_you_mean(step_id, known) or "; see `argyll step list`"
    return CliError(f"there is no step {step_id!r}{hint}", ExitCode.NOT_FOUND)


def _send(connection: Connection, file: str, fmt: Format, *, updating: bool) -> None:
    steps = read_steps("<stdin>" if file == "-" else file, read_file(file))
    answers: list[JSON] = []
    with connection.client() as client:
        for step in steps:
            try:
                answers.append((client.update if updating else client.register)(step_to_json(step)))
            except NotFound as error:
                raise unknown_step(client, step.id) from error
    word = "updated" if updating else "registered"
    emit(answers, fmt, lambda: "\n".join(f"{step.id} {word}" for step in steps))


def _table(steps: list[JSONObject]) -> str:
    rows = [
        [step.id, step.type, ", ".join(step.inputs), ", ".join(step.outputs), step.name]
        for step in map(step_from_json, steps)
    ]
    return columns(("ID", "TYPE", "NEEDS", "WRITES", "NAME"), rows) + f"\n{count(len(rows), 'step')}"


def _describe(step: Step) -> str:
    how = {
        "http": f"{step.http.method} {step.http.endpoint}" if step.http else "",
        "script": step.script.language if step.script else "",
        "goals": ", ".join(step.flow_goals),
        "predicate": step.predicate.script.strip() if step.predicate else "",
        "labels": ", ".join(f"{name}={value}" for name, value in sorted(step.labels.items())),
        "memoizable": "yes" if step.memoizable else "",
    }
    facts = {"id": step.id, "name": step.name, "type": step.type} | {key: text for key, text in how.items() if text}
    lines = [f"{key:<11}{text}" for key, text in facts.items()]
    rows = [
        [name, spec.role, spec.type or "any", "per item" if spec.for_each else ""]
        for name, spec in sorted(step.attributes.items(), key=lambda item: (item[1].role, item[0]))
    ]
    return "\n".join([*lines, "", columns(("ATTRIBUTE", "ROLE", "TYPE", ""), rows)])


def _flat(step: JSONObject) -> JSONObject:
    return step_to_flat(step_from_json(step))


step = LazyGroup(
    name="step",
    help="List, show, register, update and delete single steps. For whole sets of files use `argyll sync`.",
    lazy={
        "list": Lazy("argyll.cli.step:list_steps", "List every step."),
        "get": Lazy("argyll.cli.step:get_step", "Show one step."),
        "register": Lazy("argyll.cli.step:register_step", "Add the steps of a file."),
        "update": Lazy("argyll.cli.step:update_step", "Replace the steps of a file."),
        "delete": Lazy("argyll.cli.step:delete_step", "Remove one step."),
    },
    no_args_is_help=True,
)
