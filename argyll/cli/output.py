"""Printing: tables for people, JSON and YAML for programs. Data goes to stdout; the rest of a command speaks on stderr.

Colour only on a terminal without NO_COLOR, and never as the only carrier of a fact.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

import click

if TYPE_CHECKING:
    import yaml

    from argyll.draw import Marks
    from argyll.model.json import JSON

Format = Literal["table", "json", "yaml"]

_COLOURS = {
    "completed": "green",
    "succeeded": "green",
    "healthy": "green",
    "active": "cyan",
    "retrying": "yellow",
    "compensating": "yellow",
    "unknown": "yellow",
    "warning": "yellow",
    "skipped": "bright_black",
    "pending": "bright_black",
    "failed": "red",
    "unhealthy": "red",
}


def use_colour(stream: TextIO) -> bool:
    """Whether colour codes may be written to a stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(words: str, status: str, stream: TextIO) -> str:
    """The words in the colour of a status, where the stream takes colour."""
    colour = _COLOURS.get(status)
    return click.style(words, fg=colour) if colour and use_colour(stream) else words


def marks_for(stream: TextIO) -> "Marks":
    """Box drawing where the stream can encode it, ASCII elsewhere."""
    from argyll.draw import ASCII, UNICODE

    try:
        "│✔".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def emit(value: "JSON", fmt: Format, table: Callable[[], str]) -> None:
    """Print a value to stdout: as it is in JSON or YAML, or through `table` for people."""
    match fmt:
        case "json":
            click.echo(json_text(value))
        case "yaml":
            click.echo(yaml_text(value), nl=False)
        case "table":
            click.echo(table())


def fitted(lines: Iterable[str], stream: TextIO) -> str:
    """Lines of a picture as one text; on a terminal cut at its edge, where wrapping would tear the rails."""
    if not stream.isatty():
        return "\n".join(lines)
    width = shutil.get_terminal_size().columns
    return "\n".join(_cut(line, width) for line in lines)


def say(message: str) -> None:
    """A remark for people, on stderr."""
    click.echo(printable(message), err=True)


def json_text(value: "JSON") -> str:
    """Indented JSON; text stays readable."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def yaml_text(value: "JSON") -> str:
    """Block-style YAML in the given order, several lines of text as a literal block."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(str, _text_node)
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def _text_node(dumper: "yaml.SafeDumper", value: str) -> "yaml.ScalarNode":
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, fit: bool = False) -> str:
    """Aligned columns under a head; a status word gets its colour. With `fit`, a terminal cuts the last column."""
    cells = [tuple(head), *(tuple(_cell(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    if fit and sys.stdout.isatty():
        before = sum(widths[:-1]) + 2 * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(1, shutil.get_terminal_size().columns - before))
    lines: list[str] = []
    for row in cells:
        padded = [f"{_cut(cell, width):<{width}}" for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(styled(text, text.strip(), sys.stdout) for text in padded).rstrip())
    return "\n".join(lines)


def _cut(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_BREAKS = re.compile(r"[\t\n]+")


def printable(words: str) -> str:
    """Text of others (services, engines) without what could control the terminal; tabs and line ends stay."""
    return _CONTROL.sub(" ", words)


def _cell(words: str) -> str:
    return _BREAKS.sub(" ", printable(words))
