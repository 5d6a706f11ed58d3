"""What a command's exit code says: one table for all commands, stable for scripts."""

from enum import IntEnum


class ExitCode(IntEnum):
    """See `MEANINGS`."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    INVALID = 3
    BLOCKED = 4
    CONFLICT = 5
    VERIFICATION = 6
    TIMEOUT = 7
    FAILED = 8
    NOT_FOUND = 9
    UNREACHABLE = 10
    USAGE = 64
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done, or nothing to do",
    ExitCode.ERROR: "any other error",
    ExitCode.CHANGES: "changes are pending (only with --detailed-exitcode)",
    ExitCode.INVALID: "invalid definitions, plan or input",
    ExitCode.BLOCKED: "blocked: a person has to allow it",
    ExitCode.CONFLICT: "exists with other content, or changed in between",
    ExitCode.VERIFICATION: "a signature could not be verified",
    ExitCode.TIMEOUT: "timed out, or the outcome is unknown",
    ExitCode.FAILED: "the flow failed, or health is degraded",
    ExitCode.NOT_FOUND: "no such step, flow or file",
    ExitCode.UNREACHABLE: "no engine answers",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.INTERRUPTED: "interrupted (^C)",
}
"""Every code, in words; also the end of `argyll --help`."""
