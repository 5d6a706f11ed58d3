"""`argyll schema`: what an editor needs to know about step files."""

import click

from argyll.cli.options import example
from argyll.cli.output import json_text


@click.command(epilog=example("argyll schema > .vscode/step.schema.json"))
@click.option("--project", is_flag=True, help="The schema of argyll.yaml instead.")
def schema(project: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of a step file."""
    from argyll.analysis.schema import project_schema, step_schema

    click.echo(json_text(project_schema() if project else step_schema()))
