"""Step files on their way to the engine: checked with the one analysis, findings shown as the compiler shows its own."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.output import use_colour

if TYPE_CHECKING:
    from argyll.analysis import Diagnostic, Report
    from argyll.gitops import Snapshot
    from argyll.model.step import Step


def check_snapshot(snapshot: "Snapshot") -> "Report":
    """All findings for the files of one revision."""
    from argyll.analysis import check_files, read_project
    from argyll.gitops.source import PROJECT_FILE
    from argyll.scripts import Scripts

    project = read_project(snapshot.project, PROJECT_FILE) if snapshot.project is not None else None
    return check_files(snapshot.files, scripts=Scripts(), project=project)


def read_steps(place: str, text: bytes) -> list["Step"]:
    """The steps of one file, for a single register or update. Raises `CliError` when the engine would refuse them.

    Findings about other steps (a goal that is not in the file) are no reason to stop here: the engine knows the rest.
    """
    from argyll.analysis import check_files
    from argyll.scripts import Scripts

    report = check_files({place: text}, scripts=Scripts(), project=None)
    refusals = [found for found in report.diagnostics if found.rejects]
    if refusals:
        show_findings(refusals, report)
        raise CliError(f"{place}: {count(len(refusals), 'error')}; nothing was sent", ExitCode.INVALID)
    if not report.steps:
        raise CliError(f"{place}: there is no step in it", ExitCode.INVALID)
    return [located.step for located in report.steps.values()]


def show_findings(diagnostics: Sequence["Diagnostic"], report: "Report") -> None:
    """Print findings to stderr with the lines they are about."""
    from argyll.analysis.render import render

    click.echo(render(diagnostics, report.sources, colour=use_colour(sys.stderr)), err=True)


def count(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def read_file(path: str) -> bytes:
    """A file's content, or standard input for `-`. Raises `CliError`."""
    try:
        with click.open_file(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}", ExitCode.NOT_FOUND) from error
