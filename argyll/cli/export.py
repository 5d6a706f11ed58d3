"""`argyll export`: the engine's steps as step files, to put a catalog that grew by hand under git."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from argyll.cli.definitions import count
from argyll.cli.errors import CliError, did_you_mean
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import Connection, engine_options, example
from argyll.cli.output import say, yaml_text

if TYPE_CHECKING:
    from argyll.model.step import Step


@click.command(epilog=example(
    "argyll export --dir steps/\n"
    "argyll diff --against engine --dir steps/     # nothing differs"
))  # fmt: skip
@click.argument("step_ids", nargs=-1, metavar="[STEP]...")
@click.option("--dir", "-d", "directory", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Where to write; made when it is not there.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that are there with other content.")
@engine_options
def export(connection: Connection, step_ids: tuple[str, ...], directory: Path, force: bool) -> None:
    """Write STEPs of the engine (default: all) as files, one each, in the spelling of step files.

    What the engine filled in by default is left out. No file is written when one of them is there with other content.
    """
    from argyll.model.wire import step_from_json

    with connection.client() as client:
        live = {step["id"]: step_from_json(step) for step in client.steps()}
    for step_id in step_ids:
        if step_id not in live:
            raise CliError(f"the engine has no step {step_id!r}{did_you_mean(step_id, live)}", ExitCode.NOT_FOUND)
    files = {directory / file_name(step_id): as_file(live[step_id]) for step_id in step_ids or sorted(live)}
    try:
        _write(files, directory, force)
    except OSError as error:
        raise CliError(f"{error.filename}: cannot be written: {error.strerror}") from error
    say(f"wrote {count(len(files), 'step')} to {directory}")


def file_name(step_id: str) -> str:
    """The file of a step. A name that begins with a dot would be hidden from every source."""
    return f"{'dot' if step_id.startswith('.') else ''}{step_id}.yaml"


def as_file(step: "Step") -> str:
    """A step as a step file, without the retry settings that equal the defaults."""
    from msgspec.structs import replace

    from argyll.model.step import DEFAULT_WORK, WorkConfig
    from argyll.model.wire import step_to_flat

    work = step.work
    bare = WorkConfig(parallelism=work.parallelism, jitter=work.jitter)
    if work == bare.with_defaults(DEFAULT_WORK):
        step = replace(step, work=bare)
    return yaml_text(step_to_flat(step))


def _write(files: dict[Path, str], directory: Path, force: bool) -> None:
    """All files, or none."""
    others = [path for path, text in files.items() if path.exists() and path.read_bytes() != text.encode()]
    if others and not force:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise CliError(
            f"{others[0]}{more}: there already with other content; use another directory, or --force", ExitCode.CONFLICT
        )
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
