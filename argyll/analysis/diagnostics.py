"""A finding about a definition: what is wrong, where, how grave it is and how to mend it.

Findings point into values by keys; `argyll.analysis.source` turns those into lines and columns. Nothing here knows
LSP, HTTP or terminals.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from argyll.analysis.catalogue import CATALOGUE, Severity

Pointer = tuple[str | int, ...]
"""Keys and list positions from the root of a document to a value."""

At = Literal["key", "value"]

SEVERITY_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2, "hint": 3}


class Span(Struct, frozen=True, order=True):
    """A stretch of a file. Lines and columns count from 1, in code points; `start` and `end` are offsets from 0."""

    start: int
    end: int
    line: int
    column: int
    end_line: int
    end_column: int


class Related(Struct, frozen=True):
    """Another place that a finding is about."""

    message: str
    step_id: str = ""
    pointer: Pointer = ()
    at: At = "key"
    path: str = ""
    span: Span | None = None


class Diagnostic(Struct, frozen=True):
    """One finding.

    `pointer` names the value (or, with `at="key"`, its key) inside the document, `within` a stretch of that text by
    offsets. `label` says what is to be seen there when `related` shows other places. `path` and `span` are set when the document came from a file.
    """

    code: str
    severity: Severity
    message: str
    pointer: Pointer = ()
    hint: str = ""
    at: At = "value"
    within: tuple[int, int] | None = None
    step_id: str = ""
    related: tuple[Related, ...] = ()
    label: str = ""
    path: str = ""
    span: Span | None = None

    @property
    def rejects(self) -> bool:
        """Whether no engine may take the definition: the finding is of class R and an error."""
        return self.severity == "error" and CATALOGUE[self.code].rejects

    @property
    def json_pointer(self) -> str:
        """The place as RFC 6901 text, like `/attributes/price/type`; empty for the whole document."""
        return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in self.pointer)

    @property
    def text(self) -> str:
        """Message and hint in one line, for places that show a finding as one string."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


def finding(
    code: str,
    message: str,
    pointer: Pointer = (),
    *,
    hint: str = "",
    at: At = "value",
    within: tuple[int, int] | None = None,
    step_id: str = "",
    related: Iterable[Related] = (),
    label: str = "",
) -> Diagnostic:
    """A finding with the severity that the table gives its code."""
    return Diagnostic(
        code, CATALOGUE[code].severity, message, pointer, hint, at, within, step_id, tuple(related), label
    )


def of_step(step_id: str, findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings, said to be about a step."""
    return [replace(found, step_id=step_id) for found in findings]


def any_rejects(findings: Iterable[Diagnostic]) -> bool:
    """Whether one of the findings is a reason to refuse the definition."""
    return any(found.rejects for found in findings)


def place_order(found: Diagnostic) -> tuple[str, int, str, str]:
    """Sort key: by file, position, code and text, so that reports are stable."""
    return (found.path, found.span.start if found.span else 0, found.code, found.message)
