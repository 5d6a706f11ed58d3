"""The text of values: `display` as `str` concatenates it, `show` as the reader would read it back."""

import math
from fractions import Fraction

from argyll.scripts.ale.equality import check_depth, thaw
from argyll.scripts.ale.kinds import kind
from argyll.scripts.ale.lazy import elements
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import (
    AleSet,
    Builtin,
    Closure,
    Cons,
    Key,
    Keyword,
    Lazy,
    Pair,
    Symbol,
    SyntaxName,
    Value,
)
from argyll.scripts.meter import exceeded

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\b", "\\b"), ("\f", "\\f"))
_INT64 = 2**63


def display(run: Run, value: Value) -> str:
    """A string as it is, null as nothing, everything else as `show`."""
    if type(value) is str:
        return value
    return "" if value is None else show(run, value)


def show(run: Run, value: Value) -> str:
    """The value in reader form; lazy sequences are realised."""
    printer = _Printer(run)
    printer.show(value, 0)
    run.check_text(printer.size)
    return printer.text()


class _Printer:
    """Collects text and refuses it as soon as it is too long: values can share parts and print enormous."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.parts: list[str] = []
        self.size = 0

    def text(self) -> str:
        return "".join(self.parts)

    def put(self, text: str) -> None:
        self.size += len(text)
        if self.size > self.run.limits.text:
            self.run.check_text(self.size)
        self.parts.append(text)

    def show(self, value: Value, depth: int) -> None:
        if type(value) is str or type(value) is bytes:
            self.run.check_text(len(value))
        scalar = _scalar(value)
        if scalar is not None:
            self.put(scalar)
            return
        check_depth(depth)
        match value:
            case list():
                self.sequence("[", value, "]", depth)
            case Cons() | Lazy():
                self.sequence("(", elements(self.run, value), ")", depth)
            case AleSet():
                self.put("#{" + " ".join(sorted([self.shown(item, depth) for item in value.members.values()])) + "}")
            case dict():
                self.object(value, depth)
            case Pair():
                self.pair(value, depth)
            case _:
                self.put(f"#<{kind(value)}>")

    def shown(self, value: Value, depth: int) -> str:
        """The text of one value by itself, to be sorted."""
        printer = _Printer(self.run)
        printer.show(value, depth + 1)
        return printer.text()

    def sequence(self, opening: str, items: list[Value], closing: str, depth: int) -> None:
        self.run.charge(len(items))
        self.put(opening)
        for index, item in enumerate(items):
            if index:
                self.put(" ")
            self.show(item, depth + 1)
        self.put(closing)

    def object(self, value: dict[Key, Value], depth: int) -> None:
        self.run.charge(len(value))
        members = sorted([(self.shown(thaw(self.run, key), depth), key) for key in value], key=lambda member: member[0])
        self.put("{")
        for index, (shown, key) in enumerate(members):
            self.put(f" {shown} " if index else f"{shown} ")
            self.show(value[key], depth + 1)
        self.put("}")

    def pair(self, value: Pair, depth: int) -> None:
        self.put("(")
        self.show(value.car, depth + 1)
        rest = value.cdr
        while type(rest) is Pair:
            self.run.charge(1)
            self.put(" ")
            self.show(rest.car, depth + 1)
            rest = rest.cdr
        self.put(" . ")
        self.show(rest, depth + 1)
        self.put(")")


def _scalar(value: Value) -> str | None:
    match value:
        case None:
            return "()"
        case bool():
            return "#t" if value else "#f"
        case str():
            return f'"{_escaped(value)}"'
        case int():
            return integer_text(value)
        case float():
            return float_text(value)
        case Fraction():
            return f"{integer_text(value.numerator)}/{integer_text(value.denominator)}"
        case Keyword():
            return f":{value.name}"
        case Symbol():
            return value.full
        case bytes():
            return "#b[" + " ".join(map(str, value)) + "]"
        case Closure() | Builtin() | SyntaxName():
            return f"#<{kind(value)} {value.name}>"
        case _:
            return None


def _escaped(text: str) -> str:
    # Seven searches beat one str.translate, which is slow where most characters stay.
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def integer_text(value: int) -> str:
    """Decimal digits. Raises `LimitExceeded` for more digits than Python converts."""
    try:
        return str(value)
    except ValueError:
        raise exceeded("size", "4,300 digits of one printed integer") from None


def float_text(value: float) -> str:
    """Shortest digits that read back; exponent form below 1e-4 and, for values with a fraction, from 1e6."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "+inf" if value > 0 else "-inf"
    if value.is_integer() and -_INT64 <= value < _INT64:
        return f"{int(value)}.0"
    mantissa, exponent = _shortest_scientific(value)
    if -4 <= exponent < 6:
        return repr(value)
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _shortest_scientific(value: float) -> tuple[str, int]:
    for precision in range(17):
        mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
        if float(f"{mantissa}e{exponent}") == value:
            return mantissa, int(exponent)
    raise AssertionError("17 digits identify every double")
