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
    end: int = -1
    """Where its text ends; -1 for a form that a macro has made."""

    @property
    def name(self) -> str | None:
        """The name of an unqualified symbol, else None."""
        return self.value.name if self.tag is Tag.SYMBOL and self.value.domain is None else None


def place(text: str, offset: int) -> tuple[int, int]:
    """1-based line and column of an offset; CRLF, LF and CR end lines."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class SyntaxFault(CompileError):
    """A compile error that also knows its offset in the text."""

    def __init__(self, message: str, line: int, column: int, offset: int) -> None:
        super().__init__(message, line, column)
        self.args = (message, line, column, offset)
        self.offset = offset


def syntax_error(text: str, offset: int, message: str) -> SyntaxFault:
    """A compile error at an offset of the text."""
    return SyntaxFault(message, *place(text, offset), offset)


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
_STRAY_DOT = "a dot stands only before the last item of a list"
_TAGS = {"(": Tag.LIST, "[": Tag.VECTOR, "{": Tag.OBJECT, "#{": Tag.SET, "#b[": Tag.BYTES}


@dataclass(slots=True)
class _Open:
    """A bracket or prefix that waits for its end; `dot` is where a dot was seen, as a count of items."""

    token: str
    offset: int
    items: list[Form]
    dot: int = -1


def read(text: str) -> list[Form]:
    """The forms of a program, in order. Raises `SyntaxFault` for the first thing wrong."""
    return _Reader(text, None).program()


def read_tolerantly(text: str) -> tuple[list[Form], list[SyntaxFault]]:
    """The forms of a text that may be unfinished, with everything that is wrong with it.

    What closes nothing is passed over, what is never closed ends with the text, a malformed number is null. Raises
    `SyntaxFault` only for text that nests too deeply.
    """
    faults: list[SyntaxFault] = []
    return _Reader(text, faults).program(), faults


def is_parameter_name(name: str) -> bool:
    """Whether a script can mention a parameter of this name: one plain symbol."""
    try:
        forms = read(name)
    except CompileError:
        return False
    return len(forms) == 1 and forms[0].name == name


class _Reader:
    """Reads one text. With a list for `faults` it notes what is wrong and goes on, else it raises."""

    def __init__(self, text: str, faults: list[SyntaxFault] | None) -> None:
        self.text = text
        self.faults = faults
        self.stack: list[_Open] = [_Open("", 0, [])]

    def program(self) -> list[Form]:
        position, text = 0, self.text
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                self.fault(position, f"unexpected character {text[position]!r}")
                position += 1
                continue
            position = self.take(token.lastgroup or "", token.group(), position, token.end())
        while len(self.stack) > 1:
            waiting = self.stack[-1]
            if waiting.token not in _CLOSERS:
                self.dangling_prefix()
                continue
            self.fault(waiting.offset, f"this {waiting.token!r} is never closed; add {_CLOSERS[waiting.token]!r}")
            self.stack.pop()
            self.add(self.collection(waiting, len(text)))
        return self.stack[0].items

    def dangling_prefix(self) -> None:
        prefix = self.stack.pop()
        self.fault(prefix.offset, f"nothing follows this {prefix.token!r}")

    def take(self, group: str, token: str, offset: int, end: int) -> int:
        """Handle one token; where the next one starts."""
        match group:
            case "skip":
                pass
            case "open_comment":
                return self.comment(offset)
            case "stray_comment":
                self.fault(offset, "this '|#' closes no block comment")
            case "unterminated":
                self.fault(offset, "this string is never closed; add '\"'")
                self.add(Form(Tag.CONSTANT, offset, self.text[offset + 1 :], end=len(self.text)))
                return len(self.text)
            case "open" | "prefix":
                if len(self.stack) > MAX_NESTING:
                    self.fail(offset, f"forms nest deeper than {MAX_NESTING} levels")
                self.stack.append(_Open(token, offset, []))
            case "close":
                self.close(token, offset)
            case "name" if token == ".":
                self.dot(offset)
            case _:
                self.add(self.atom(group, token, offset, end))
        return end

    def comment(self, start: int) -> int:
        depth, position = 1, start + 2
        while depth:
            edge = _COMMENT_EDGE.search(self.text, position)
            if edge is None:
                self.fault(start, "this block comment is never closed; add '|#'")
                return len(self.text)
            depth += 1 if edge.group() == "#|" else -1
            position = edge.end()
        return position

    def dot(self, offset: int) -> None:
        around = self.stack[-1]
        if around.token != "(" or not around.items or around.dot >= 0:
            self.fault(offset, _STRAY_DOT)
        else:
            around.dot = len(around.items)

    def close(self, token: str, offset: int) -> None:
        while self.stack[-1].token in _PREFIXES:
            self.dangling_prefix()
        opened = self.stack[-1]
        if len(self.stack) == 1:
            self.fault(offset, f"this {token!r} closes nothing")
        elif _CLOSERS[opened.token] != token:
            line, column = place(self.text, opened.offset)
            self.fault(offset, f"{token!r} does not close the {opened.token!r} of line {line}, column {column}")
        else:
            self.stack.pop()
            self.add(self.collection(opened, offset + 1))

    def collection(self, opened: _Open, end: int) -> Form:
        items, start = tuple(opened.items), opened.offset
        if opened.dot >= 0:
            if opened.dot == len(items) - 1:
                tail = items[-1]
                if tail.tag is Tag.LIST:
                    return Form(Tag.LIST, start, items=items[:-1] + tail.items, tail=tail.tail, end=end)
                return Form(Tag.LIST, start, items=items[:-1], tail=tail, end=end)
            self.fault(start, _STRAY_DOT)
        if opened.token == "{" and len(items) % 2:
            self.fault(start, "map must contain an even number of elements: a key has no value")
            items = (*items, Form(Tag.CONSTANT, end))
        if opened.token == "#b[":
            for item in items:
                if item.tag is Tag.CONSTANT and not (type(item.value) is int and 0 <= item.value <= 255):
                    self.fault(item.offset, "a byte is an integer from 0 to 255")
        return Form(_TAGS[opened.token], start, items=items, end=end)

    def add(self, form: Form) -> None:
        """Put a finished form where it belongs, finishing the prefixes before it."""
        around = self.stack[-1]
        while around.token in _PREFIXES:
            self.stack.pop()
            prefix = Form(Tag.SYMBOL, around.offset, Symbol(_PREFIXES[around.token]))
            form = Form(Tag.LIST, around.offset, items=(prefix, form), end=form.end)
            around = self.stack[-1]
        if around.dot >= 0 and len(around.items) > around.dot:
            self.fault(form.offset, _STRAY_DOT)
        around.items.append(form)

    def atom(self, group: str, token: str, offset: int, end: int) -> Form:
        match group:
            case "string":
                value = _STRING_ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), token[1:-1])
                return Form(Tag.CONSTANT, offset, value, end=end)
            case "number":
                return Form(Tag.CONSTANT, offset, self.number(token, offset), end=end)
            case "keyword":
                return Form(Tag.CONSTANT, offset, Keyword(token[1:]), end=end)
            case _:
                return self.symbol(token, offset, end)

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
                self.fault(offset, f"the number {token} is out of range")
                return None
        except ValueError:
            self.fault(offset, "this number has too many digits")
            return None
        self.fault(offset, f"malformed number {token!r}")
        return None

    def integer(self, value: int, offset: int) -> int:
        if value.bit_length() > MAX_INTEGER_BITS:
            self.fault(offset, "this number has too many digits")
        return value

    def symbol(self, token: str, offset: int, end: int) -> Form:
        if token in ("#t", "#f"):
            return Form(Tag.CONSTANT, offset, token == "#t", end=end)
        if token == "#include":
            self.fault(offset, "#include is not available: a script is one text")
        if token == "/" or "/" not in token:
            return Form(Tag.SYMBOL, offset, Symbol(token), end=end)
        domain, _, name = token.partition("/")
        if not domain or not name or "/" in name:
            self.fault(offset, f"{token!r} is not a symbol; a qualified one is domain/name")
        return Form(Tag.SYMBOL, offset, Symbol(name, domain), end=end)

    def fault(self, offset: int, message: str) -> None:
        """Something is wrong at an offset."""
        if self.faults is None:
            self.fail(offset, message)
        self.faults.append(syntax_error(self.text, offset, message))

    def fail(self, offset: int, message: str) -> NoReturn:
        raise syntax_error(self.text, offset, message)
