"""Small phrases that every story is made of: moments after a start, durations, quotes, values, lists.

What others said is made one short line that cannot move the reader's cursor.
"""

import re
from collections.abc import Sequence

from argyll.model.json import text
from argyll.model.wire import JSONObject

INDENT = "  "

MAX_QUOTE_CHARS = 160
"""Longer errors and values are cut; `-o json` has them whole."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of the line."""


def after(moment: JSONObject) -> str:
    """`+1.2 s`: a moment as the time since the flow's start."""
    return f"+{duration(moment['after_ms'])}"


def duration(ms: int) -> str:
    """Milliseconds as `120 ms`, `1.2 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.1f} s" if ms % 1_000 else f"{ms // 1_000} s"
    minutes, s = divmod(ms // 1_000, 60)
    if minutes < 60:
        return f"{minutes} min {s} s" if s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def at(moment: JSONObject | None) -> str:
    """` at +1.2 s`, empty without a moment."""
    return f" at {after(moment)}" if moment else ""


def cut(words: str) -> str:
    """One line that cannot move the reader's cursor."""
    line = " ".join(_CONTROL.sub(" ", words).split())
    return line if len(line) <= MAX_QUOTE_CHARS else line[: MAX_QUOTE_CHARS - 1] + "…"


def quoted(words: str) -> str:
    """What a service or script said, in quotes."""
    return f'"{cut(words)}"'


def shown(value: JSONObject) -> str:
    """A value of an explanation."""
    return cut(text(value["value"])) if "value" in value else f"{cut(value['preview'])} ({value['bytes']} bytes)"


def listed(words: Sequence[str], joint: str = "and") -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def count(number: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def attempt_of(number: int, most: int) -> str:
    """`attempt 2 of 3`, without a bound (0) `attempt 2`."""
    return f"attempt {number} of {most}" if most else f"attempt {number}"
