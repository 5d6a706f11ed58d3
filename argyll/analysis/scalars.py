"""Plain scalars to JSON values, and offsets in a scalar's value to offsets in the YAML source."""

import math
import re

from argyll.model.json import JSON

_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+\Z")
_MAY_BE_NUMBER = frozenset("0123456789+-.")

_AMBIGUOUS = re.compile(
    r"(yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|True|TRUE|False|FALSE|Null|NULL"
    r"|[-+]?0[0-9_]+"
    r"|[-+]?0b[01_]+"
    r"|[-+]?0x[0-9a-fA-F_]+"
    r"|[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?)\Z"
)

MAX_INTEGER_DIGITS = 400
"""Longer integers are refused; they are longer than any float."""

_DOUBLE_QUOTED = re.compile(
    r"\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|(?P<simple>[^\r\n])|(?P<joined>\r\n|\r|\n))|\S"
)
_BLANK_ESCAPES = frozenset("tnvfrN_LP \t")


class InvalidNumber(ValueError):
    """A number that JSON cannot hold."""


def resolve_plain(text: str) -> JSON:
    """The JSON value of an unquoted scalar. Raises `InvalidNumber` for infinities and numbers beyond all bounds."""
    if text in ("", "~", "null"):
        return None
    if text == "true":
        return True
    if text == "false":
        return False
    if text[0] not in _MAY_BE_NUMBER or _LEADING_ZERO.match(text):
        return text
    if _INTEGER.match(text):
        if len(text) > MAX_INTEGER_DIGITS:
            raise InvalidNumber(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
        return int(text)
    if _HEXADECIMAL.match(text) or _OCTAL.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        number = float(text)
        if not math.isfinite(number):
            raise InvalidNumber(f"`{text}` is larger than any number")
        return number
    if _NOT_FINITE.match(text):
        raise InvalidNumber(f"`{text}` is not a JSON number")
    return text


def is_ambiguous(text: str) -> bool:
    """Whether a plain scalar that is text here would be a boolean, number or date to a YAML 1.1 reader."""
    return _AMBIGUOUS.match(text) is not None


def source_offset(source: str, start: int, end: int, style: str, value: str, index: int) -> int:
    """Where the character `value[index]` of a scalar stands in the source between two offsets.

    Styles rearrange white space only, so the n-th visible character of the value is the n-th one of the source. White
    space maps to the place behind the visible character before it.
    """
    visible_before = sum(not character.isspace() for character in value[:index])
    wanted = visible_before + (1 if index < len(value) and not value[index].isspace() else 0)
    places = _visible_places(source, start, end, style)
    last = start + (style in ('"', "'"))
    for count, place in enumerate(places, start=1):
        if count == wanted and wanted > visible_before:
            return place
        last = place + 1
        if count == visible_before and wanted == visible_before:
            gap = index - len(value[:index].rstrip())
            return min(last + gap, end)
    return min(last, end)


def _visible_places(source: str, start: int, end: int, style: str) -> list[int]:
    if style in ("|", ">"):
        line_feed = re.compile(r"[\r\n]").search(source, start, end)
        first = line_feed.end() if line_feed else end
        return [at for at in range(first, end) if not source[at].isspace()]
    if style == '"':
        return [
            match.start()
            for match in _DOUBLE_QUOTED.finditer(source, start + 1, max(end - 1, start + 1))
            if _is_visible(match)
        ]
    if style == "'":
        places: list[int] = []
        at = start + 1
        while at < end - 1:
            if not source[at].isspace():
                places.append(at)
            at += 2 if source.startswith("''", at) else 1
        return places
    return [at for at in range(start, end) if not source[at].isspace()]


def _is_visible(match: re.Match[str]) -> bool:
    if match["joined"] is not None:
        return False
    if match["simple"] is not None:
        return match["simple"] not in _BLANK_ESCAPES
    code = match["x"] or match["u"] or match["U"]
    return code is None or int(code, 16) > 0x10FFFF or not chr(int(code, 16)).isspace()
