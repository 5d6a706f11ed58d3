"""From exceptions of the other rooms to one line on stderr and an exit code. An exception it does not know is a bug."""

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches

import click

from argyll.cli.exitcodes import ExitCode


class CliError(click.ClickException):
    """Ends the command with a message (place and mend) and an exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(message)
        self.code = code


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing when no known word is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def as_cli_error(error: BaseException) -> CliError | None:
    """What to tell the user about an exception that is no bug; None for one that is."""
    if isinstance(error, CliError):
        return error
    code = exit_code_of(error)
    return CliError(str(error), code) if code is not None else None


def exit_code_of(error: BaseException) -> ExitCode | None:
    """The exit code of an exception of the client or of a source; None for any other."""
    # Imported here: only a failing command needs them, and `--help` must stay fast.
    from argyll.client import errors
    from argyll.gitops.source import SourceError

    table: tuple[tuple[type[BaseException], ExitCode], ...] = (
        (errors.Unreachable, ExitCode.UNREACHABLE),
        (errors.Unavailable, ExitCode.UNREACHABLE),
        (errors.NotFound, ExitCode.NOT_FOUND),
        (errors.ApprovalNeeded, ExitCode.BLOCKED),
        (errors.Stopped, ExitCode.BLOCKED),
        (errors.Conflict, ExitCode.CONFLICT),
        (errors.Invalid, ExitCode.INVALID),
        (errors.FlowTimeout, ExitCode.TIMEOUT),
        (errors.ClientError, ExitCode.ERROR),
        (SourceError, ExitCode.ERROR),
    )
    return next((code for kind, code in table if isinstance(error, kind)), None)


def silence_broken_pipe() -> None:
    """After the reader of stdout went away (`argyll ... | head`): let the interpreter flush into nothing at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
