"""Findings as text for people: the place, the line with a marker under it, and how to mend it."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from argyll.analysis.catalogue import Severity
from argyll.analysis.diagnostics import SEVERITY_ORDER, Diagnostic, Span
from argyll.analysis.source import Lines

TAB_WIDTH = 4
_BOLD, _RESET, _BLUE = "\x1b[1m", "\x1b[0m", "\x1b[34m"
_COLOURS: dict[Severity, str] = {"error": "\x1b[31m", "warning": "\x1b[33m", "info": "\x1b[36m", "hint": "\x1b[36m"}
_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if code != 9}


def render(
    findings: Iterable[Diagnostic], files: Mapping[str, bytes], *, colour: bool = False, least: Severity = "info"
) -> str:
    """The findings of severity `least` and above, one paragraph each, with a line that counts all of them.

    `files` holds the contents by path.
    """
    renderer = _Renderer(files, colour)
    found = list(findings)
    shown = [each for each in found if SEVERITY_ORDER[each.severity] <= SEVERITY_ORDER[least]]
    hidden = f" ({len(found) - len(shown)} not shown)" if len(found) > len(shown) else ""
    return "\n".join([*(renderer.one(each) for each in shown), summary(found) + hidden]) + "\n"


def summary(findings: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning in 2 files`, or `no problems found`."""
    found = list(findings)
    parts: list[str] = []
    for severity, noun in (("error", "error"), ("warning", "warning"), ("info", "note"), ("hint", "hint")):
        count = sum(each.severity == severity for each in found)
        if count:
            parts.append(f"{count} {noun}{'s' if count > 1 else ''}")
    if not parts:
        return "no problems found"
    paths = len({each.path for each in found})
    return f"{', '.join(parts)} in {paths} file{'s' if paths > 1 else ''}"


class _Mark(NamedTuple):
    span: Span
    label: str
    sign: str


def _by_file(found: Diagnostic) -> dict[str, list[_Mark]]:
    """The places of a finding by file, its own file first, each in the order of its lines."""
    groups: dict[str, list[_Mark]] = {}
    if found.span is not None:
        groups[found.path] = [_Mark(found.span, found.label, "^")]
    for other in found.related:
        if other.span is not None:
            groups.setdefault(other.path, []).append(_Mark(other.span, other.message, "-"))
    return {path: sorted(marks, key=lambda mark: mark.span) for path, marks in groups.items()}


class _Renderer:
    def __init__(self, files: Mapping[str, bytes], colour: bool) -> None:
        self._files = files
        self._colour = colour
        self._lines: dict[str, Lines] = {}

    def one(self, found: Diagnostic) -> str:
        """One finding as a paragraph that ends with an empty line."""
        groups = _by_file(found)
        width = max((len(str(mark.span.line)) for marks in groups.values() for mark in marks), default=1)
        colour = _COLOURS[found.severity]
        margin = " " * width
        output = [self._paint(f"{found.severity}[{found.code}]", colour) + self._paint(f": {found.message}", _BOLD)]
        for path, marks in groups.items():
            primary = next((mark for mark in marks if mark.sign == "^"), None)
            shown = primary or marks[0]
            arrow = self._paint("-->" if primary else ":::", _BLUE)
            output.append(f"{margin}{arrow} {path}:{shown.span.line}:{shown.span.column}")
            output.append(self._paint(f"{margin} |", _BLUE))
            for before, mark in zip([None, *marks], marks, strict=False):
                if before is not None and mark.span.line > before.span.line + 1:
                    output.append(self._paint("...", _BLUE))
                output += self._marked(path, mark, width, colour)
        output.append(self._paint(f"{margin} |", _BLUE))
        if found.hint:
            output.append(f"{margin} {self._paint('=', _BLUE)} {self._paint('help:', _BOLD)} {found.hint}")
        return "\n".join(output) + "\n"

    def _marked(self, path: str, mark: _Mark, width: int, colour: str) -> list[str]:
        span, line = mark.span, self._line(path, mark.span.line)
        last = span.end_column - 1 if span.end_line == span.line else len(line)
        before, marked = _shown(line[: span.column - 1]), _shown(line[span.column - 1 : last])
        text = (before + marked + _shown(line[last:])).rstrip()
        pointer = mark.sign * max(1, columns(marked)) + (f" {mark.label}" if mark.label else "")
        gutter, empty = self._paint(f"{span.line:>{width}} |", _BLUE), self._paint(" " * width + " |", _BLUE)
        style = colour if mark.sign == "^" else _BLUE
        return [f"{gutter} {text}".rstrip(), f"{empty} {' ' * columns(before)}{self._paint(pointer, style)}"]

    def _line(self, path: str, number: int) -> str:
        lines = self._lines.get(path)
        if lines is None:
            lines = self._lines[path] = Lines(self._files.get(path, b"").decode("utf-8-sig", "replace"))
        return lines.line(number)

    def _paint(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._colour else text


def _shown(text: str) -> str:
    """Text for a terminal: tabs of one width, and no control characters."""
    return text.replace("\t", " " * TAB_WIDTH).translate(_CONTROL)


def columns(text: str) -> int:
    """How many terminal cells a text takes: two for wide characters, none for combining ones."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
