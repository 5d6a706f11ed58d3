"""Ale text to forms, each with its place. Knows brackets and tokens, not what any name means."""

import math
import re
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final, NoReturn

from argyll.scripts.ale.numbers import MAX_INTEGER_BITS
from argyll.scripts.ale.values import Keyword, Symbol, Value
from argyll.scripts.interface import CompileError

MAX_NESTING: Final = 200
"""How deep forms may nest; the expander and the evaluator recurse along them."""


class Tag(Enum):
    CONSTANT = "constant"
    SYMBOL = "symbol"
    LIST = "list"
    VECTOR = "vector"
    OBJECT = "object"
    SET = "set"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Form:
    """One form. `value` holds a constant or symbol, `items` the members of the rest, `tail` what follows a dot."""

    tag: Tag
    offset: int
    value: Value = None
    items: tuple["Form", ...] = ()
    tail: "Form | None" = None

    @property
    def name(self) -> str | None:
        """The name of an unqualified symbol, else None."""
        return self.value.name if self.tag is Tag.SYMBOL and self.value.domain is None else None


def place(text: str, offset: int) -> tuple[int, int]:
    """1-based line and column of an offset; CRLF, LF and CR end lines."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def syntax_error(text: str, offset: int, message: str) -> CompileError:
    """A compile error at an offset of the text."""
    return CompileError(message, *place(text, offset))


_BLANK = r"\t\n\f\r "
_S = r'()\[\]{}"\t\n\f\r '
_TOKEN = re.compile(
    rf"""(?P<open_comment>\#\|)
    |(?P<stray_comment>\|\#)
    |(?P<skip>;[^\r\n]*|[{_BLANK}]+)
    |(?P<open>\#b\[|\#\{{|[(\[{{])
    |(?P<close>[)\]}}])
    |(?P<prefix>'|`|,@|,)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<unterminated>")
    |(?P<number>[+-]?[0-9](?:[^{_S}`,@/]*)(?:/[0-9][^{_S}`,@/]*)?)
    |(?P<keyword>:[^{_S}]+)
    |(?P<name>[^{_S}`,@][^{_S}]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"#\||\|#")
_RATIO = re.compile(r"([+-]?(?:0|[1-9][0-9]*))/([1-9][0-9]*)")
_FLOAT = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)")
_INTEGER = re.compile(
    r"([+-]?)(?:0[bB](_?[01]+(?:_[01]+)*)|0[xX](_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)|0[oO]?(_?[0-7]+(?:_[0-7]+)*)"
    r"|(0|[1-9][0-9]*(?:_[0-9]+)*))"
)
_STRING_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "s": " "}
_PREFIXES = {"'": "quote", "`": "syntax-quote", ",": "unquote", ",@": "unquote-splicing"}
_CLOSERS = {"(": ")", "[": "]", "{": "}", "#{": "}", "#b[": "]"}
_TAGS = {"(": Tag.LIST, "[": Tag.VECTOR, "{": Tag.OBJECT, "#{": Tag.SET, "#b[": Tag.BYTES}


@dataclass(slots=True)
class _Open:
    """A bracket or prefix that waits for its end; `dot` is where a dot was seen, as a count of items."""

    token: str
    offset: int
    items: list[Form]
    dot: int = -1


def read(text: str) -> list[Form]:
    """The forms of a program, in order. Raises `CompileError` with the place."""
    return _Reader(text).program()


def is_parameter_name(name: str) -> bool:
    """Whether a script can mention a parameter of this name: one plain symbol."""
    try:
        forms = read(name)
    except CompileError:
        return False
    return len(forms) == 1 and forms[0].name == name


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.stack: list[_Open] = [_Open("", 0, [])]

    def program(self) -> list[Form]:
        position, text = 0, self.text
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                self.fail(position, f"unexpected character {text[position]!r}")
            position = self.take(token.lastgroup or "", token.group(), position, token.end())
        if len(self.stack) > 1:
            waiting = self.stack[-1]
            if waiting.token in _CLOSERS:
                self.fail(waiting.offset, f"this {waiting.token!r} is never closed; add {_CLOSERS[waiting.token]!r}")
            self.fail(waiting.offset, f"nothing follows this {waiting.token!r}")
        return self.stack[0].items

    def take(self, group: str, token: str, offset: int, end: int) -> int:
        """Handle one token; where the next one starts."""
        match group:
            case "skip":
                pass
            case "open_comment":
                return self.comment(offset)
            case "stray_comment":
                self.fail(offset, "this '|#' closes no block comment")
            case "unterminated":
                self.fail(offset, "this string is never closed; add '\"'")
            case "open" | "prefix":
                if len(self.stack) > MAX_NESTING:
                    self.fail(offset, f"forms nest deeper than {MAX_NESTING} levels")
                self.stack.append(_Open(token, offset, []))
            case "close":
                self.close(token, offset)
            case "name" if token == ".":
                self.dot(offset)
            case _:
                self.add(self.atom(group, token, offset))
        return end

    def comment(self, start: int) -> int:
        depth, position = 1, start + 2
        while depth:
            edge = _COMMENT_EDGE.search(self.text, position)
            if edge is None:
                self.fail(start, "this block comment is never closed; add '|#'")
            depth += 1 if edge.group() == "#|" else -1
            position = edge.end()
        return position

    def dot(self, offset: int) -> None:
        around = self.stack[-1]
        if around.token != "(" or not around.items or around.dot >= 0:
            self.fail(offset, "a dot stands only before the last item of a list")
        around.dot = len(around.items)

    def close(self, token: str, offset: int) -> None:
        opened = self.stack[-1]
        if len(self.stack) == 1:
            self.fail(offset, f"this {token!r} closes nothing")
        if opened.token not in _CLOSERS:
            self.fail(opened.offset, f"nothing follows this {opened.token!r}")
        if _CLOSERS[opened.token] != token:
            line, column = place(self.text, opened.offset)
            self.fail(offset, f"{token!r} does not close the {opened.token!r} of line {line}, column {column}")
        self.stack.pop()
        self.add(self.collection(opened))

    def collection(self, opened: _Open) -> Form:
        items = tuple(opened.items)
        if opened.dot >= 0:
            if opened.dot != len(items) - 1:
                self.fail(opened.offset, "a dot stands only before the last item of a list")
            tail = items[-1]
            if tail.tag is Tag.LIST:
                return Form(Tag.LIST, opened.offset, items=items[:-1] + tail.items, tail=tail.tail)
            return Form(Tag.LIST, opened.offset, items=items[:-1], tail=tail)
        if opened.token == "{" and len(items) % 2:
            self.fail(opened.offset, "map must contain an even number of elements: a key has no value")
        if opened.token == "#b[":
            for item in items:
                if item.tag is Tag.CONSTANT and not (type(item.value) is int and 0 <= item.value <= 255):
                    self.fail(item.offset, "a byte is an integer from 0 to 255")
        return Form(_TAGS[opened.token], opened.offset, items=items)

    def add(self, form: Form) -> None:
        """Put a finished form where it belongs, finishing the prefixes before it."""
        around = self.stack[-1]
        while around.token in _PREFIXES:
            self.stack.pop()
            prefix = Form(Tag.SYMBOL, around.offset, Symbol(_PREFIXES[around.token]))
            form = Form(Tag.LIST, around.offset, items=(prefix, form))
            around = self.stack[-1]
        if around.dot >= 0 and len(around.items) > around.dot:
            self.fail(form.offset, "a dot stands only before the last item of a list")
        around.items.append(form)

    def atom(self, group: str, token: str, offset: int) -> Form:
        match group:
            case "string":
                value = _STRING_ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), token[1:-1])
                return Form(Tag.CONSTANT, offset, value)
            case "number":
                return Form(Tag.CONSTANT, offset, self.number(token, offset))
            case "keyword":
                return Form(Tag.CONSTANT, offset, Keyword(token[1:]))
            case _:
                return self.symbol(token, offset)

    def number(self, token: str, offset: int) -> Value:
        try:
            if match := _INTEGER.fullmatch(token):
                sign, binary, hexadecimal, octal, decimal = match.groups()
                digits, base = next(
                    pair for pair in ((binary, 2), (hexadecimal, 16), (octal, 8), (decimal, 10)) if pair[0]
                )
                return self.integer(int(sign + digits.lstrip("_"), base), offset)
            if match := _RATIO.fullmatch(token):
                ratio = Fraction(int(match[1]), int(match[2]))
                return ratio.numerator if ratio.denominator == 1 else ratio
            if _FLOAT.fullmatch(token):
                value = float(token)
                if not math.isinf(value):
                    return value
                self.fail(offset, f"the number {token} is out of range")
        except ValueError:
            self.fail(offset, "this number has too many digits")
        raise syntax_error(self.text, offset, f"malformed number {token!r}")

    def integer(self, value: int, offset: int) -> int:
        if value.bit_length() > MAX_INTEGER_BITS:
            self.fail(offset, "this number has too many digits")
        return value

    def symbol(self, token: str, offset: int) -> Form:
        if token in ("#t", "#f"):
            return Form(Tag.CONSTANT, offset, token == "#t")
        if token == "#include":
            self.fail(offset, "#include is not available: a script is one text")
        if token == "/" or "/" not in token:
            return Form(Tag.SYMBOL, offset, Symbol(token))
        domain, _, name = token.partition("/")
        if not domain or not name or "/" in name:
            self.fail(offset, f"{token!r} is not a symbol; a qualified one is domain/name")
        return Form(Tag.SYMBOL, offset, Symbol(name, domain))

    def fail(self, offset: int, message: str) -> NoReturn:
        raise syntax_error(self.text, offset, message)
