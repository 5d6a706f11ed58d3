"""`argyll script`: try a script with arguments, check it, or talk to the three languages line by line. Needs no engine."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from argyll.cli.app import Lazy, LazyGroup
from argyll.cli.definitions import read_file
from argyll.cli.errors import CliError
from argyll.cli.exitcodes import ExitCode
from argyll.cli.initvalues import parse_init
from argyll.cli.options import example, finish
from argyll.cli.output import json_text, say, styled

if TYPE_CHECKING:
    from argyll.model.json import JSON
    from argyll.scripts import Compiled, ScriptError

Kind = Literal["step", "predicate", "match", "mapping"]

LANGUAGES = ("ale", "lua", "jpath")

language_option = click.option(
    "-l", "--language", type=click.Choice(LANGUAGES),
    help="Default: what the file is called (.ale, .lua, .jpath), else ale.",
)  # fmt: skip
text_option = click.option("-e", "--text", metavar="SCRIPT", help="The script itself, in place of a file.")
argument_option = click.option(
    "-a", "--arg", "pairs", multiple=True, metavar="NAME=VALUE",
    help="An argument; repeat it. VALUE is JSON if it reads as JSON, else text; NAME:=JSON insists on JSON, "
    "NAME=@FILE reads a JSON file.",
)  # fmt: skip


@click.command(
    epilog=example(
        "argyll script run -e '(* amount (- 1 discount))' -a amount=100 -a discount=0.1\n"
        'argyll script run -l jpath --as match -e \'$.kind == "email"\' -a \'value={"kind": "email"}\'\n'
        "argyll script run totals.lua -a order=@order.json"
    )
)
@click.argument("file", required=False)
@text_option
@language_option
@click.option("--as", "kind", type=click.Choice(["step", "predicate", "match", "mapping"]), default="step",
              show_default=True, help="What to run it as. A match has the one argument `value`.")  # fmt: skip
@argument_option
def run(file: str | None, text: str | None, language: str | None, kind: Kind, pairs: tuple[str, ...]) -> None:
    """Run the script in FILE (`-` for standard input) or --text with arguments, under the limits of an engine, and print
    its result as JSON.

    Exits with 3 when it does not compile and 8 when it fails.
    """
    from argyll.scripts import CompileError, RunError, Scripts

    source, spoken = _source(file, text, language)
    args = parse_init(pairs)
    if kind == "match" and set(args) != {"value"}:
        raise click.BadParameter("a match has one argument, called value", param_hint="'--arg'")
    try:
        click.echo(json_text(evaluate(Scripts().compile(spoken, source, list(args)), kind, args)))
    except (CompileError, RunError) as error:
        say(describe(error, source, file or "script"))
        finish(ExitCode.INVALID if isinstance(error, CompileError) else ExitCode.FAILED)


@click.command(epilog=example("argyll script check totals.ale -n order -n customer"))
@click.argument("file", required=False)
@text_option
@language_option
@click.option("-n", "--name", "names", multiple=True, metavar="NAME", help="An input the script may use; repeat it.")
def check(file: str | None, text: str | None, language: str | None, names: tuple[str, ...]) -> None:
    """Compile the script in FILE (`-` for standard input) or --text, and show what is wrong with it: in Ale everything,
    else the first thing.

    Exits with 3 when something is. `argyll check` does this for step files.
    """
    source, spoken = _source(file, text, language)
    errors = list(faults(spoken, source, names))
    for error in errors:
        say(describe(error, source, file or "script"))
    if errors:
        finish(ExitCode.INVALID)
    say(f"{file or 'script'}: compiles as {spoken}")


@click.command(epilog=example("argyll script repl\nargyll script repl -l lua -a order=@order.json"))
@click.option("-l", "--language", type=click.Choice(LANGUAGES), default="ale", show_default=True,
              help="The language to begin with.")  # fmt: skip
@argument_option
def repl(language: str, pairs: tuple[str, ...]) -> None:
    """Read scripts, run them, print what they answer. `.help` tells the rest.

    On a terminal with history and completion (Tab); otherwise it reads standard input to its end.
    """
    from argyll.cli.script_repl import Session, converse

    converse(Session(language, parse_init(pairs)), sys.stdin, sys.stdout)


script = LazyGroup(
    name="script",
    lazy={
        "run": Lazy("argyll.cli.script:run", "Run a script with arguments and print its result."),
        "check": Lazy("argyll.cli.script:check", "Compile a script and show what is wrong with it."),
        "repl": Lazy("argyll.cli.script:repl", "Try Ale, Lua and jpath line by line."),
    },
    help="Try scripts without an engine.",
    no_args_is_help=True,
)


def evaluate(compiled: "Compiled", kind: Kind, args: "dict[str, JSON]") -> "JSON":
    """Run a compiled script as the engine would. Raises `RunError`."""
    match kind:
        case "step":
            return compiled.outputs(args)
        case "predicate":
            return compiled.test(args)
        case "match":
            return compiled.test_value(args["value"])
        case "mapping":
            return compiled.map(args, next(iter(args.values()), None))


def faults(language: str, source: str, names: Iterable[str]) -> "Iterable[ScriptError]":
    """What is wrong with a script: in Ale everything, in the others what the compiler stumbles over first."""
    from argyll.scripts import CompileError, Scripts

    inputs = list(names)
    try:
        Scripts().compile(language, source, inputs)
    except CompileError as error:
        if language != "ale" or error.line is None:
            return [error]
        from argyll.scripts.ale import frontend
        from argyll.scripts.ale.reader import syntax_error

        told = frontend.read(source, inputs).faults
        return [syntax_error(source, fault.start, fault.message) for fault in told] or [error]
    return []


def describe(error: "ScriptError", source: str, name: str) -> str:
    """An error as compilers tell it: where, what, the line, and a mark under the place."""
    where = ":".join(str(part) for part in (name, error.line, error.column) if part is not None)
    told = [f"{where}: {styled('error', 'failed', sys.stderr)}: {error.message}"]
    lines = source.splitlines()
    if error.line is not None and error.line <= len(lines):
        line = lines[error.line - 1].replace("\t", " ")
        told.append(f"  {line}")
        if error.column is not None:
            told.append(f"  {' ' * (error.column - 1)}^")
    told += [f"  in {call}" for call in getattr(error, "calls", ())]
    if getattr(error, "deeper", 0):
        told.append(f"  and {getattr(error, 'deeper', 0):,} calls more")
    return "\n".join(told)


def _source(file: str | None, text: str | None, language: str | None) -> tuple[str, str]:
    """The text of a script and its language. Raises a usage error unless exactly one of file and text is given."""
    if (file is None) == (text is None):
        raise click.UsageError("give the script as a FILE or with --text")
    suffix = Path(file).suffix.removeprefix(".") if file else ""
    spoken = language or (suffix if suffix in LANGUAGES else "ale")
    if text is None:
        assert file is not None
        try:
            text = read_file(file).decode()
        except UnicodeDecodeError as error:
            raise CliError(f"{file}: is not UTF-8 text; save it as UTF-8", ExitCode.INVALID) from error
    return (text.strip() if spoken == "jpath" else text), spoken
