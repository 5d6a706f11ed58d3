"""`argyll render`: the steps that files give in one environment, and where each of them comes from."""

from pathlib import Path

import click

from argyll.cli.definitions import check_snapshot, show_findings
from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import env_option, example
from argyll.cli.output import json_text, yaml_text


@click.command(epilog=example("argyll render steps/ --env prod\nargyll render --env prod -o json | jq 'keys'"))
@click.argument("directory", metavar="[DIR]", default=Path(),
                type=click.Path(path_type=Path, exists=True, file_okay=False))  # fmt: skip
@env_option
@click.option("--step", "step_ids", multiple=True, metavar="ID", help="Only this step; repeat it.")
@click.option("--output", "-o", "--format", "fmt", type=click.Choice(["yaml", "json"]), default="yaml",
              show_default=True, help="YAML documents with their origin, or one JSON object by id.")  # fmt: skip
def render(directory: Path, env: str, step_ids: tuple[str, ...], fmt: str) -> None:
    """Print the steps of the files below DIR (default: here) as `argyll sync` would send them.

    Expressions are filled in, steps of other environments and disabled ones are left out, `x-gitops` is gone.
    Exits with 3 when a file has an error.
    """
    from argyll.gitops import DirectorySource
    from argyll.model.wire import step_to_flat

    snapshot = DirectorySource(directory).read()
    report = check_snapshot(snapshot, env)
    errors = [found for found in report.diagnostics if found.severity == "error"]
    if errors:
        show_findings(errors, snapshot.files)
        raise CliError(f"{directory}: the definitions have errors; nothing was rendered", ExitCode.INVALID)
    unknown = [step_id for step_id in step_ids if step_id not in report.steps]
    if unknown:
        place = f" in {env}" if env else ""
        raise CliError(f"{directory}: no step {', '.join(map(repr, unknown))}{place}", ExitCode.NOT_FOUND)
    chosen = {step_id: found for step_id, found in report.steps.items() if not step_ids or step_id in step_ids}
    if fmt == "json":
        click.echo(json_text({step_id: step_to_flat(found.step) for step_id, found in chosen.items()}))
        return
    documents = [
        f"# from: {(directory / found.path).as_posix()}:{found.span.line}\n{yaml_text(step_to_flat(found.step))}"
        for found in chosen.values()
    ]
    click.echo("---\n".join(documents), nl=False)
