"""Step files on their way to the engine: checked with the one analysis, findings shown as compilers show theirs."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.output import use_colour

if TYPE_CHECKING:
    from argyll.analysis.check import Report
    from argyll.analysis.diagnostics import Diagnostic
    from argyll.analysis.files import CheckedFiles
    from argyll.gitops import Snapshot
    from argyll.model.step import Step


def check_snapshot(snapshot: "Snapshot", env: str = "", remembered: "CheckedFiles | None" = None) -> "Report":
    """All findings for the files of one revision, as its project file wants them and with the values of `env`."""
    return check_selected(selected(snapshot.files), env, remembered)


def selected(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a source that its project file counts as step files or values, and that file itself."""
    from argyll.analysis.project import PROJECT_FILE, read_project
    from argyll.analysis.rendering import ValuesFiles
    from argyll.gitops.source import within

    project, _ = read_project(files.get(PROJECT_FILE, b""))
    values = ValuesFiles(project, "", files)
    return within(files, project.paths) | {path: content for path, content in files.items() if values.holds(path)}


def check_selected(
    files: Mapping[str, bytes], env: str | None = None, remembered: "CheckedFiles | None" = None
) -> "Report":
    """All findings for files, each alone and all together; `env` None checks every environment that has values."""
    from argyll.analysis.check import check_files
    from argyll.scripts import Scripts

    return check_files(files, scripts=Scripts(), env=env, remembered=remembered)


def read_steps(place: str, content: bytes) -> list["Step"]:
    """The steps of one file, for a single register or update. Raises `CliError` when the engine would refuse them.

    Findings about other steps (a goal that is not in the file) are no reason to stop here: the engine knows the rest.
    """
    files = {place: content}
    report = check_selected(files)
    refusals = [found for found in report.diagnostics if found.rejects]
    if refusals:
        show_findings(refusals, files)
        raise CliError(f"{place}: {count(len(refusals), 'error')}; nothing was sent", ExitCode.INVALID)
    if not report.steps:
        raise CliError(f"{place}: there is no step in it", ExitCode.INVALID)
    return [located.step for located in report.steps.values()]


def show_findings(findings: Sequence["Diagnostic"], files: Mapping[str, bytes]) -> None:
    """Print findings to stderr with the lines they are about, and their count."""
    from argyll.analysis.render import render

    click.echo(render(findings, files, colour=use_colour(sys.stderr)), err=True, nl=False)


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
