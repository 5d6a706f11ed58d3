"""The text of values: `display` as `str` concatenates it, `show` as the reader would read it back."""

import math
from fractions import Fraction

from argyll.scripts.ale.equality import check_depth, thaw
from argyll.scripts.ale.kinds import kind
from argyll.scripts.ale.lazy import elements
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import AleSet, Builtin, Closure, Cons, Keyword, Lazy, Pair, Symbol, SyntaxName, Value
from argyll.scripts.meter import exceeded

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})
_INT64 = 2**63


def display(run: Run, value: Value) -> str:
    """A string as it is, null as nothing, everything else as `show`."""
    if type(value) is str:
        return value
    return "" if value is None else show(run, value)


def show(run: Run, value: Value) -> str:
    """The value in reader form; lazy sequences are realised."""
    parts: list[str] = []
    _show(run, value, parts, 0)
    text = "".join(parts)
    run.check_text(len(text))
    return text


def _show(run: Run, value: Value, parts: list[str], depth: int) -> None:
    scalar = _scalar(value)
    if scalar is not None:
        parts.append(scalar)
        return
    check_depth(depth)
    match value:
        case list():
            _show_all(run, value, parts, "[", "]", depth)
        case Cons() | Lazy():
            _show_all(run, elements(run, value), parts, "(", ")", depth)
        case AleSet():
            shown = sorted(_shown(run, member, depth) for member in value.members.values())
            parts.append("#{" + " ".join(shown) + "}")
        case dict():
            _show_object(run, value, parts, depth)
        case Pair():
            _show_pair(run, value, parts, depth)
        case _:
            parts.append(f"#<{kind(value)}>")


def _shown(run: Run, value: Value, depth: int) -> str:
    parts: list[str] = []
    _show(run, value, parts, depth + 1)
    return "".join(parts)


def _show_all(run: Run, items: list[Value], parts: list[str], opening: str, closing: str, depth: int) -> None:
    run.charge(len(items))
    parts.append(opening)
    for index, item in enumerate(items):
        if index:
            parts.append(" ")
        _show(run, item, parts, depth + 1)
    parts.append(closing)


def _show_object(run: Run, value: dict[Value, Value], parts: list[str], depth: int) -> None:
    run.charge(len(value))
    members = sorted((_shown(run, thaw(key), depth), key) for key in value)
    parts.append("{")
    for index, (shown, key) in enumerate(members):
        parts.append(f" {shown} " if index else f"{shown} ")
        _show(run, value[key], parts, depth + 1)
    parts.append("}")


def _show_pair(run: Run, value: Pair, parts: list[str], depth: int) -> None:
    parts.append("(")
    _show(run, value.car, parts, depth + 1)
    rest = value.cdr
    while type(rest) is Pair:
        run.charge(1)
        parts.append(" ")
        _show(run, rest.car, parts, depth + 1)
        rest = rest.cdr
    parts.append(" . ")
    _show(run, rest, parts, depth + 1)
    parts.append(")")


def _scalar(value: Value) -> str | None:
    match value:
        case None:
            return "()"
        case bool():
            return "#t" if value else "#f"
        case str():
            return f'"{value.translate(_ESCAPES)}"'
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
