"""The conversation of `argyll script repl`: lines in, answers out. History and completion where there is a terminal."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import click

from argyll.cli.initvalues import parse_init
from argyll.cli.output import json_text, printable
from argyll.cli.script import LANGUAGES, describe
from argyll.model.json import JSON
from argyll.scripts import Compiled, CompileError, RunError, Scripts

HISTORY_LINES = 1_000

HELP = """\
Type a script; what it answers is printed as JSON. An Ale script may go on over several lines, until its brackets close.
  .set NAME=VALUE   give the scripts an argument, as --arg does
  .unset NAME       take it away
  .args             show the arguments
  .language NAME    go on in ale, lua or jpath
  .doc NAME         tell what a name of the language is for
  .help             this
  .quit             the end, as ^D"""


class Session:
    """What has been said so far: language, arguments and the beginning of a script that goes on."""

    def __init__(self, language: str, args: dict[str, JSON]) -> None:
        self.language = language
        self.args = dict(args)
        self.pending = ""
        self.ended = False
        self._scripts = Scripts()

    @property
    def prompt(self) -> str:
        return "... " if self.pending else f"{self.language}> "

    def feed(self, line: str) -> str:
        """The answer to one line, empty when there is none (yet)."""
        if not self.pending and line.startswith("."):
            name, _, rest = line[1:].partition(" ")
            return self._command(name, rest.strip())
        text = f"{self.pending}\n{line}" if self.pending else line
        self.pending = ""
        if not text.strip():
            return ""
        if self.language == "ale" and _goes_on(text):
            self.pending = text
            return ""
        return self._evaluate(text.strip() if self.language == "jpath" else text)

    def finish(self) -> str:
        """The answer to a script that the end of the input leaves unfinished."""
        text, self.pending = self.pending, ""
        return self._evaluate(text) if text else ""

    def completions(self, line: str, offset: int) -> list[tuple[int, str]]:
        """What may stand before an offset of a line: where it starts, and the text."""
        if not self.pending and line.startswith("."):
            commands = (".set", ".unset", ".args", ".language", ".doc", ".help", ".quit")
            return [(0, command) for command in commands if command.startswith(line[:offset])]
        if self.language == "ale":
            from argyll.scripts.ale import frontend

            before = f"{self.pending}\n" if self.pending else ""
            found = frontend.complete(before + line, list(self.args), len(before) + offset)
            return [(suggestion.start - len(before), suggestion.text) for suggestion in found]
        start = offset
        while start and (line[start - 1].isalnum() or line[start - 1] in "_."):
            start -= 1
        return [(start, name) for name in self._names() if name.startswith(line[start:offset])]

    def _names(self) -> list[str]:
        if self.language == "lua":
            from argyll.scripts.lua.catalogue import LUA_ENTRIES, LUA_KEYWORDS

            return [*self.args, *LUA_KEYWORDS, *LUA_ENTRIES]
        from argyll.scripts.jpath.catalogue import JPATH_FUNCTIONS

        return [*(f".{name}" for name in self.args), *(f"{name}(" for name in JPATH_FUNCTIONS)]

    def _evaluate(self, text: str) -> str:
        try:
            compiled = self._compile(text)
            result = compiled.map(self.args, self.args) if self.language == "jpath" else compiled.outputs(self.args)
        except (CompileError, RunError) as error:
            return describe(error, text, self.language)
        return json_text(result["result"] if self.language != "jpath" and set(result) == {"result"} else result)

    def _compile(self, text: str) -> Compiled:
        names = list(self.args)
        if self.language == "lua":
            with suppress(CompileError):  # no expression: then statements
                return self._scripts.compile("lua", f"return {text}", names)
        return self._scripts.compile(self.language, text, names)

    def _command(self, name: str, rest: str) -> str:
        known: dict[str, Callable[[str], str]] = {
            "set": self._set,
            "unset": self._unset,
            "args": lambda _: json_text(self.args),
            "language": self._speak,
            "doc": self._doc,
            "help": lambda _: HELP,
            "quit": self._quit,
        }
        command = known.get(name)
        return command(rest) if command else f"no command .{name}; there are {', '.join(f'.{each}' for each in known)}"

    def _set(self, rest: str) -> str:
        try:
            self.args |= parse_init((rest,))
        except click.BadParameter as error:
            return error.message
        return ""

    def _unset(self, rest: str) -> str:
        if rest not in self.args:
            return f"no argument {rest!r}"
        del self.args[rest]
        return ""

    def _speak(self, rest: str) -> str:
        if rest not in LANGUAGES:
            return f"no language {rest!r}; there are {', '.join(LANGUAGES)}"
        self.language = rest
        return ""

    def _doc(self, rest: str) -> str:
        from argyll.scripts.ale import frontend
        from argyll.scripts.jpath.catalogue import JPATH_FUNCTIONS
        from argyll.scripts.lua.catalogue import LUA_ENTRIES

        lines = {"ale": frontend.entry, "lua": LUA_ENTRIES.get, "jpath": JPATH_FUNCTIONS.get}
        found = lines[self.language](rest)
        return f"{found.signature}\n  {found.doc}" if found else f"{rest!r} is no name of {self.language}"

    def _quit(self, _rest: str) -> str:
        self.ended = True
        return ""


def _goes_on(text: str) -> bool:
    from argyll.scripts.ale.reader import SyntaxFault, read_tolerantly

    try:
        faults = read_tolerantly(text)[1]
    except SyntaxFault:
        return False
    return bool(faults) and all("never closed" in fault.message for fault in faults)


def converse(session: Session, stdin: TextIO, stdout: TextIO) -> None:
    """Talk until the input ends or `.quit`."""
    lines = _typed_lines(session) if stdin.isatty() and stdout.isatty() else (line.rstrip("\n") for line in stdin)
    for line in lines:
        _print(session.feed(line), stdout)
        if session.ended:
            return
    _print(session.finish(), stdout)


def _print(answer: str, stdout: TextIO) -> None:
    if answer:
        stdout.write(printable(answer) + "\n")
        stdout.flush()


def _typed_lines(session: Session) -> Iterator[str]:
    """Lines typed on a terminal, with history and Tab where Python has readline."""
    save = _prepare_readline(session)
    try:
        while True:
            try:
                yield input(session.prompt)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                session.pending = ""
                click.echo()
    finally:
        save()


def history_file(environment: dict[str, str]) -> Path:
    """Where the lines typed are kept."""
    state = environment.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "argyll" / "script_history"


def _prepare_readline(session: Session) -> Callable[[], None]:
    try:
        import readline
    except ImportError:  # not on every system
        return lambda: None
    path = history_file(dict(os.environ))
    with suppress(OSError):  # the first time, or not readable: begin anew
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES)
    readline.set_completer_delims(" \t\n()[]{}'\"`,@")

    def complete(word: str, state: int) -> str | None:
        line, end = readline.get_line_buffer(), readline.get_endidx()
        begin = readline.get_begidx()
        found = [word[: start - begin] + text for start, text in session.completions(line, end) if start >= begin]
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")

    def save() -> None:
        with suppress(OSError):  # history is a comfort; an unwritable home is no reason to fail
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)

    return save
