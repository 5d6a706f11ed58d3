"""`argyll check`: what is wrong with step files, found where they are written; talks to nobody."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from argyll.cli.definitions import check_selected, count, selected, show_findings
from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import example, finish, output_option
from argyll.cli.output import Format, emit, say

if TYPE_CHECKING:
    from argyll.analysis.diagnostics import Diagnostic
    from argyll.model.wire import JSONObject


@click.command(epilog=example("argyll check steps/\nargyll check steps/ -o json | jq '.[].code'"))
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@output_option
def check(paths: tuple[Path, ...], fmt: Format) -> None:
    """Check the step files at PATHs (files or directories; default: here), all together, without an engine.

    Exits with 3 when there is an error. Rules are switched in argyll.yaml beside the steps.
    """
    files = _gather(paths or (Path(),))
    if not files:
        places = ", ".join(str(path) for path in paths) or "here"
        raise CliError(f"{places}: no step files (*.yaml, *.yml)", ExitCode.NOT_FOUND)
    report = check_selected(files)
    if fmt == "table":
        show_findings(report.diagnostics, files)
        say(f"checked {count(report.files, 'file')} with {count(len(report.steps), 'sound step')}")
    else:
        emit([_finding(found) for found in report.diagnostics], fmt, str)
    if report.has_errors:
        finish(ExitCode.INVALID)


def _gather(paths: tuple[Path, ...]) -> dict[str, bytes]:
    """Everything at the paths, named as the user named it."""
    from argyll.gitops import DirectorySource

    files: dict[str, bytes] = {}
    for path in paths:
        if path.is_dir():
            below = selected(DirectorySource(path).read().files)
            files |= {(path / name).as_posix(): content for name, content in below.items()}
        else:
            try:
                files[path.as_posix()] = path.read_bytes()
            except OSError as error:
                raise CliError(f"{path}: cannot be read: {error.strerror}", ExitCode.NOT_FOUND) from error
    return files


def _finding(found: "Diagnostic") -> "JSONObject":
    record: JSONObject = {
        "code": found.code,
        "severity": found.severity,
        "message": found.message,
        "path": found.path,
        "pointer": found.json_pointer,
        "hint": found.hint,
        "step_id": found.step_id,
    }
    if found.span is not None:
        record |= {
            "line": found.span.line,
            "column": found.span.column,
            "end_line": found.span.end_line,
            "end_column": found.span.end_column,
        }
    return record
