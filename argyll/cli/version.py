"""`argyll version`."""

import platform

import click

from argyll import __version__
from argyll.cli.options import example, output_option
from argyll.cli.output import Format, emit


@click.command(epilog=example("argyll version -o json"))
@output_option
def version(fmt: Format) -> None:
    """Print the version of argyll and of what it runs on."""
    facts = {"argyll": __version__, "python": platform.python_version(), "platform": platform.platform()}
    emit(facts, fmt, lambda: "\n".join(f"{name:<8} {value}" for name, value in facts.items()))
