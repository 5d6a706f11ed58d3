"""jpath text to an abstract query, and the static rules of RFC 9535. Evaluates nothing.

Beyond the RFC: any expression is a query (`E` means `$[?E]`), comparisons may chain, any Unicode blank is a blank.
"""

import math
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from argyll.model.json import JSON
from argyll.scripts.interface import CompileError
from argyll.scripts.jpath.catalogue import JPATH_FUNCTIONS

MAX_NESTING: Final = 64
MAX_INDEX: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    index: int


@dataclass(frozen=True, slots=True)
class Slice:
    start: int | None
    stop: int | None
    step: int


@dataclass(frozen=True, slots=True)
class Wildcard:
    pass


@dataclass(frozen=True, slots=True)
class Filter:
    test: "Expression"


Selector: TypeAlias = Name | Index | Slice | Wildcard | Filter


@dataclass(frozen=True, slots=True)
class Segment:
    """Applied to each node, or with `descendants` to each node and everything below it."""

    descendants: bool
    selectors: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    value: JSON
    offset: int


@dataclass(frozen=True, slots=True)
class Path:
    absolute: bool
    segments: tuple[Segment, ...]
    offset: int

    @property
    def singular(self) -> bool:
        """Whether it selects one node at most, by its form."""
        return all(
            not segment.descendants and len(segment.selectors) == 1 and isinstance(segment.selectors[0], Name | Index)
            for segment in self.segments
        )


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Logical:
    """`&&` or `||` of two."""

    conjunction: bool
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    arguments: "tuple[Expression, ...]"
    offset: int


Expression: TypeAlias = Literal | Path | Not | Logical | Compare | Function


def parse(text: str) -> tuple[Segment, ...]:
    """The segments of a query. Raises `CompileError` with the place."""
    return _Parser(text).query()


_BLANK = "[ \t\n\r\v\f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
_BLANKS = re.compile(_BLANK)
_NUMBER = re.compile(r"-?(?:0(?![0-9])|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?(?!\.)")
_INTEGER = re.compile(r"0(?![0-9])|-?[1-9][0-9]*")
_NAME = re.compile("[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9\x80-\U0010ffff]*")
_HEX = re.compile("[0-9A-Fa-f]{4}")
_COMPARISON = re.compile("==|!=|<=|>=|<|>")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\"}
_KEYWORDS: tuple[tuple[str, JSON], ...] = (("true", True), ("false", False), ("null", None))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.nesting = 0

    def query(self) -> tuple[Segment, ...]:
        self.blanks()
        if self.position or self.text != self.text.rstrip():
            raise self.error("white space surrounds the query; remove it", 0)
        expression = self.expression()
        if self.position < len(self.text):
            raise self.error(f"unexpected {self.peek()!r}")
        if isinstance(expression, Path) and expression.absolute:
            self.check_segments(expression.segments)
            return expression.segments
        segments = (Segment(False, (Filter(expression),)),)
        self.check_segments(segments)
        return segments

    def error(self, message: str, offset: int | None = None) -> CompileError:
        at = self.position if offset is None else offset
        before = self.text[:at]
        return CompileError(f"jpath: {message}", before.count("\n") + 1, at - before.rfind("\n"))

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def blanks(self) -> None:
        match = _BLANKS.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def accept(self, token: str) -> bool:
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match.group()

    def expression(self) -> Expression:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(f"the query nests deeper than {MAX_NESTING} levels")
        left = self.conjunction()
        while self.operator("||"):
            left = Logical(False, left, self.conjunction())
        self.nesting -= 1
        return left

    def operator(self, token: str) -> bool:
        self.blanks()
        return self.accept(token)

    def conjunction(self) -> Expression:
        left = self.comparison()
        while self.operator("&&"):
            left = Logical(True, left, self.comparison())
        return left

    def comparison(self) -> Expression:
        left = self.unary()
        while True:
            self.blanks()
            operator = self.take(_COMPARISON)
            if operator is None:
                return left
            left = Compare(operator, left, self.unary())

    def unary(self) -> Expression:
        negations = 0
        while self.operator("!"):
            negations += 1
        if negations > MAX_NESTING:
            raise self.error(f"the query nests deeper than {MAX_NESTING} levels")
        result = self.primary()
        for _ in range(negations):
            result = Not(result)
        return result

    def primary(self) -> Expression:
        start, first = self.position, self.peek()
        if first == "(":
            self.position += 1
            inner = self.expression()
            if not self.operator(")"):
                raise self.error("')' expected")
            return inner
        if first and first in "\"'":
            return Literal(self.string(), start)
        if first and first in "$@":
            self.position += 1
            return Path(first == "$", self.segments(), start)
        if first == "-" or "0" <= first <= "9":
            return Literal(self.number(), start)
        name = self.take(_NAME)
        for word, value in _KEYWORDS:
            if name == word:
                return Literal(value, start)
        if name is None or not self.accept("("):
            raise self.error("a path ($ or @), literal or function call expected", start)
        return Function(name, self.arguments(), start)

    def arguments(self) -> tuple[Expression, ...]:
        result: list[Expression] = []
        if self.operator(")"):
            return ()
        while True:
            result.append(self.expression())
            if self.operator(")"):
                return tuple(result)
            if not self.operator(","):
                raise self.error("',' or ')' expected")
            self.blanks()

    def number(self) -> JSON:
        start = self.position
        match = _NUMBER.match(self.text, start)
        if match is None:
            raise self.error("malformed number")
        self.position = match.end()
        value = float(match.group())
        if math.isinf(value):
            raise self.error("this number is out of range", start)
        if match[1] is None and match[2] is None and abs(value) >= MAX_INDEX:
            return int(match.group())
        return value

    def segments(self) -> tuple[Segment, ...]:
        result: list[Segment] = []
        while True:
            after = self.position
            self.blanks()
            if self.accept(".."):
                result.append(Segment(True, self.bracket() if self.peek() == "[" else (self.member(),)))
            elif self.accept("."):
                result.append(Segment(False, (self.member(),)))
            elif self.peek() == "[":
                result.append(Segment(False, self.bracket()))
            else:
                self.position = after
                return tuple(result)

    def member(self) -> Selector:
        if self.accept("*"):
            return Wildcard()
        name = self.take(_NAME)
        if name is None:
            raise self.error("a member name or * expected; other names go in brackets: ['name']")
        return Name(name)

    def bracket(self) -> tuple[Selector, ...]:
        self.position += 1
        result: list[Selector] = []
        while True:
            self.blanks()
            result.append(self.selector())
            if self.operator("]"):
                return tuple(result)
            if not self.operator(","):
                raise self.error("',' or ']' expected")

    def selector(self) -> Selector:
        first = self.peek()
        if self.accept("*"):
            return Wildcard()
        if self.accept("?"):
            return Filter(self.expression())
        if first and first in "\"'":
            return Name(self.string())
        return self.index_or_slice()

    def index_or_slice(self) -> Selector:
        start = None if self.peek() == ":" else self.integer()
        if not self.operator(":"):
            if start is None:
                raise self.error("a name, index, slice, * or filter expected")
            return Index(start)
        self.blanks()
        stop = None if not self.peek() or self.peek() in ":,]" else self.integer()
        step = 1
        if self.operator(":"):
            self.blanks()
            step = 1 if not self.peek() or self.peek() in ",]" else self.integer()
        return Slice(start, stop, step)

    def integer(self) -> int:
        start = self.position
        digits = self.take(_INTEGER)
        if digits is None:
            raise self.error("a name, index, slice, * or filter expected")
        if len(digits) > 17 or abs(int(digits)) > MAX_INDEX:
            raise self.error("this index is out of range", start)
        return int(digits)

    def string(self) -> str:
        start, quote = self.position, self.peek()
        self.position += 1
        parts: list[str] = []
        while self.position < len(self.text):
            character = self.peek()
            self.position += 1
            if character == quote:
                return "".join(parts)
            if character < " ":
                raise self.error("a control character must be escaped", self.position - 1)
            parts.append(self.escape(quote) if character == "\\" else character)
        raise self.error("this string is never closed", start)

    def escape(self, quote: str) -> str:
        start = self.position - 1
        letter = self.peek()
        self.position += 1
        if letter and letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter == quote:
            return quote
        if letter != "u":
            raise self.error("unknown escape", start)
        code = self.hexadecimal(start)
        if 0xDC00 <= code <= 0xDFFF:
            raise self.error("half a surrogate pair", start)
        if 0xD800 <= code <= 0xDBFF:
            low = self.hexadecimal(start) if self.accept("\\u") else 0
            if not 0xDC00 <= low <= 0xDFFF:
                raise self.error("half a surrogate pair", start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def hexadecimal(self, start: int) -> int:
        digits = self.take(_HEX)
        if digits is None:
            raise self.error("four hexadecimal digits expected after \\u", start)
        return int(digits, 16)

    def check_segments(self, segments: tuple[Segment, ...]) -> None:
        """The static rules for every filter of a path."""
        for segment in segments:
            for selector in segment.selectors:
                if isinstance(selector, Filter):
                    self.check_logical(selector.test)

    def check_logical(self, expression: Expression) -> None:
        """An expression whose truth is wanted."""
        match expression:
            case Literal():
                raise self.error("a literal must be compared with something", expression.offset)
            case Function(name=name) if name in JPATH_FUNCTIONS and not JPATH_FUNCTIONS[name].test:
                raise self.error(
                    f"the result of {expression.name}() must be compared with something", expression.offset
                )
            case _:
                self.check(expression)

    def check(self, expression: Expression) -> None:
        """The rules that hold wherever an expression stands."""
        match expression:
            case Literal():
                pass
            case Path():
                self.check_segments(expression.segments)
            case Not():
                self.check_logical(expression.operand)
            case Logical():
                self.check_logical(expression.left)
                self.check_logical(expression.right)
            case Compare():
                self.check_operand(expression.left)
                self.check_operand(expression.right)
            case Function():
                self.check_function(expression)

    def check_operand(self, expression: Expression) -> None:
        """One side of a comparison: one value at most."""
        match expression:
            case Path() if not expression.singular:
                raise self.error("only a path to one node (names and indexes) can be compared", expression.offset)
            case Function(name=name) if name in JPATH_FUNCTIONS and JPATH_FUNCTIONS[name].test:
                raise self.error(f"{expression.name}() is a test already; do not compare it", expression.offset)
            case _:
                self.check(expression)

    def check_function(self, call: Function) -> None:
        function = JPATH_FUNCTIONS.get(call.name)
        if function is None:
            known = ", ".join(JPATH_FUNCTIONS)
            raise self.error(f"unknown function {call.name}(); there are {known}", call.offset)
        expected = len(function.parameters)
        if len(call.arguments) != expected:
            count = f"{expected} argument{'s' if expected > 1 else ''}"
            raise self.error(f"{call.name}() takes {count}, got {len(call.arguments)}", call.offset)
        first = call.arguments[0]
        if call.name == "length" and isinstance(first, Path) and not first.singular:
            raise self.error("length() takes a path to one node; count() counts nodes", call.offset)
        if call.name in ("count", "value") and not isinstance(first, Path):
            raise self.error(f"{call.name}() takes a path", call.offset)
        for argument in call.arguments:
            self.check(argument)
