"""The command tree: help everywhere, one table of exit codes, near words for mistyped ones, and a fast start."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import Result

from argyll.cli.app import LazyGroup, argyll
from argyll.cli.exitcodes import MEANINGS, ExitCode

Run = Callable[..., Result]


def commands(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path} {name} is listed but cannot be imported"
        yield (*path, name), command
        if isinstance(command, LazyGroup):
            yield from commands(command, (*path, name))


ALL = list(commands(argyll))
LEAVES = [(path, command) for path, command in ALL if not isinstance(command, LazyGroup)]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_explains_itself(run: Run, path: tuple[str, ...], command: click.Command):
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: argyll {' '.join(path)}")
    assert command.get_short_help_str(), "says what it does"


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_every_command_shows_an_example_and_describes_its_options(path: tuple[str, ...], command: click.Command):
    assert f"argyll {' '.join(path)}" in (command.epilog or "")
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


def test_the_help_lists_every_exit_code(run: Run):
    output = run("--help").output
    for code, meaning in MEANINGS.items():
        assert f"{int(code)}" in output
        assert meaning in output
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stpe",), "did you mean 'step'?"),
        (("flow", "wacth", "x"), "did you mean 'watch'?"),
        (("zzz",), "it takes one of demo, serve"),
        (("flow", "list", "--sttaus", "failed"), "--status"),
        (("flow", "list", "--status", "fialed"), "'active', 'completed', 'failed'"),
        (("flow", "start"), "Missing argument 'GOAL...'"),
        (("flow", "start", "g", "--timeout", "3"), "--wait"),
        (("flow", "start", "g", "--label", "x"), "write NAME=VALUE"),
        (("plan", "g", "--init", "x"), "write NAME=VALUE"),
        (("sync",), "--dir PATH or --git REPO"),
        (("sync", "--dir", "x", "--git", "y"), "--dir PATH or --git REPO"),
        (("sync", "--dir", "x", "--ref", "main"), "go with --git"),
        (("health", "--engine", "ftp://x"), "no http(s) URL"),
    ],
)
def test_a_wrong_command_line_is_64_and_says_what_would_be_right(run: Run, arguments: tuple[str, ...], words: str):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert words in result.stderr


def test_an_engine_that_is_not_there_is_10_and_the_url_is_named(run: Run):
    result = run("step", "list", "--engine", "http://127.0.0.1:9")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "http://127.0.0.1:9" in result.stderr
    assert "argyll serve" in result.stderr


def test_the_engine_option_goes_before_the_environment(run: Run, engine: object):
    assert run("step", "list", "--engine", "http://127.0.0.1:9").exit_code == ExitCode.UNREACHABLE


def test_help_imports_neither_the_rooms_below_nor_heavy_libraries():
    code = (
        "import sys, argyll.cli.app as app\n"
        "try: app.argyll(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in "
        "('aiohttp', 'rich', 'yaml', 'msgspec', 'jsonschema', 'watchfiles', 'asyncio', 'lupa')"
        " or m.startswith(('argyll.engine', 'argyll.client', 'argyll.analysis', 'argyll.gitops'))), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
