"""`argyll check`: what is wrong with step files, found where they are written; talks to nobody."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from argyll.cli.definitions import check_selected, count, selected, show_findings
from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.options import example, finish
from argyll.cli.output import json_text, printable, say, yaml_text

if TYPE_CHECKING:
    from argyll.analysis.check import Report
    from argyll.analysis.diagnostics import Diagnostic
    from argyll.model.wire import JSONObject

FORMATS = ("text", "json", "yaml", "sarif", "junit", "github")


@click.command(epilog=example(
    "argyll check steps/\n"
    "argyll check steps/ -o json | jq '.[].code'\n"
    "argyll check steps/ --changed-only origin/main -o github"
))  # fmt: skip
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option(
    "--env", metavar="NAME", help="Only with the values of this environment. Default: of every one that has values."
)
@click.option("--changed-only", "base", metavar="BASE",
              help="Only findings that were not there where HEAD and BASE parted; every file is still checked.")  # fmt: skip
@click.option("--strict", is_flag=True, help="A warning, too, ends with 3.")
@click.option("--output", "-o", "--format", "fmt", type=click.Choice(FORMATS), default="text", show_default=True,
              help="How to print: for people, programs, or the reports of build systems.")  # fmt: skip
def check(paths: tuple[Path, ...], env: str | None, base: str | None, strict: bool, fmt: str) -> None:
    """Check the step files at PATHs (files or directories; default: here), all together, without an engine.

    Exits with 3 when there is an error. Rules are switched in argyll.yaml beside the steps.
    """
    paths = paths or (Path(),)
    files = _gather(paths)
    if not files:
        places = ", ".join(str(path) for path in paths)
        raise CliError(f"{places if places != '.' else 'here'}: no step files (*.yaml, *.yml)", ExitCode.NOT_FOUND)
    report = check_selected(files, env)
    findings: Sequence[Diagnostic] = report.diagnostics
    if base is not None:
        from argyll.analysis.formats import new_findings

        findings = new_findings(findings, check_selected(_gather_at(paths, base), env).diagnostics)
    _print(findings, files, fmt)
    if fmt == "text":
        _say_totals(report, len(findings), base)
    grave = ("error", "warning") if strict else ("error",)
    if any(found.severity in grave for found in findings):
        finish(ExitCode.INVALID)


def _print(findings: "Sequence[Diagnostic]", files: Mapping[str, bytes], fmt: str) -> None:
    from argyll.analysis import formats

    match fmt:
        case "json":
            click.echo(json_text([_finding(found) for found in findings]))
        case "yaml":
            click.echo(yaml_text([_finding(found) for found in findings]), nl=False)
        case "sarif":
            from argyll import __version__

            click.echo(json_text(formats.sarif(findings, __version__)))
        case "junit":
            click.echo('<?xml version="1.0" encoding="UTF-8"?>')
            click.echo(formats.junit(findings, files))
        case "github":
            click.echo(printable(formats.github(findings)))
        case _:
            show_findings(findings, files)


def _say_totals(report: "Report", shown: int, base: str | None) -> None:
    before = len(report.diagnostics) - shown
    known = f"; {count(before, 'finding')} not shown, there before {base} already" if base and before else ""
    say(f"checked {count(report.files, 'file')} with {count(len(report.steps), 'sound step')}{known}")


def _gather(paths: tuple[Path, ...]) -> dict[str, bytes]:
    """Everything at the paths, named as the user named it."""
    from argyll.gitops import DirectorySource

    files: dict[str, bytes] = {}
    for path in paths:
        if path.is_dir():
            files |= _named(path, DirectorySource(path).read().files)
        else:
            try:
                files[path.as_posix()] = path.read_bytes()
            except OSError as error:
                raise CliError(f"{path}: cannot be read: {error.strerror}", ExitCode.NOT_FOUND) from error
    return files


def _gather_at(paths: tuple[Path, ...], base: str) -> dict[str, bytes]:
    """What was at the paths where HEAD and `base` parted."""
    from argyll.gitops import GitSource, UnknownPath

    files: dict[str, bytes] = {}
    for path in paths:
        directory = path if path.is_dir() else path.parent
        parted = GitSource.of_directory(directory, base).merge_base("HEAD")
        try:
            there = GitSource.of_directory(directory, parted).read().files
        except UnknownPath:
            continue
        if path.is_dir():
            files |= _named(path, there)
        elif path.name in there:
            files[path.as_posix()] = there[path.name]
    return files


def _named(directory: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {(directory / name).as_posix(): content for name, content in selected(files).items()}


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
