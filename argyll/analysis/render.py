"""Findings as text for people: the place, the line with a marker under it, and how to mend it."""

import unicodedata
from collections.abc import Iterable, Mapping

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


class _Renderer:
    def __init__(self, files: Mapping[str, bytes], colour: bool) -> None:
        self._files = files
        self._colour = colour
        self._lines: dict[str, Lines] = {}

    def one(self, found: Diagnostic) -> str:
        """One finding as a paragraph that ends with an empty line."""
        places = [(found.path, found.span, "", "^")]
        places += [(other.path, other.span, other.message, "-") for other in found.related]
        width = max((len(str(span.line)) for _, span, _, _ in places if span is not None), default=1)
        colour = _COLOURS[found.severity]
        output = [self._paint(f"{found.severity}[{found.code}]", colour) + self._paint(f": {found.message}", _BOLD)]
        margin = " " * width
        path = ""
        for place, span, label, mark in places:
            if span is None:
                continue
            if place != path:
                arrow = "-->" if mark == "^" else ":::"
                output.append(f"{margin}{self._paint(arrow, _BLUE)} {place}:{span.line}:{span.column}")
                output.append(self._paint(f"{margin} |", _BLUE))
                path = place
            output += self._marked(place, span, label, mark, width, colour)
        output.append(self._paint(f"{margin} |", _BLUE))
        if found.hint:
            output.append(f"{margin} {self._paint('=', _BLUE)} {self._paint('help:', _BOLD)} {found.hint}")
        return "\n".join(output) + "\n"

    def _marked(self, path: str, span: Span, label: str, mark: str, width: int, colour: str) -> list[str]:
        line = self._line(path, span.line)
        last = span.end_column - 1 if span.end_line == span.line else len(line)
        before, marked = _shown(line[: span.column - 1]), _shown(line[span.column - 1 : last])
        gutter, empty = self._paint(f"{span.line:>{width}} |", _BLUE), self._paint(" " * width + " |", _BLUE)
        pointer = mark * max(1, columns(marked)) + (f" {label}" if label else "")
        text = (before + marked + _shown(line[last:])).rstrip()
        return [
            f"{gutter} {text}".rstrip(),
            f"{empty} {' ' * columns(before)}{self._paint(pointer, colour if mark == '^' else _BLUE)}",
        ]

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
