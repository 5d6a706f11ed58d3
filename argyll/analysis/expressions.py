"""`${{ values.host }}`: expressions in the scalars of a step file, evaluated over data of one environment.

Strict and bounded: a name that is not there is an error, nothing is called, no attribute of a Python object can be
reached, and no operation can make more than a bounded amount of text. There is no clock, chance or input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from argyll.analysis.nearest import did_you_mean
from argyll.model import json
from argyll.model.json import JSON

OPENING = "${{"
MAX_EXPRESSION_CHARS = 1_000
"""Of one expression between its braces."""
MAX_RESULT_CHARS = 65_536
"""Of the text that an expression or a filter gives."""
MAX_NUMBER = 2**53
"""Beyond it a number would not come through JSON unchanged everywhere."""

FILTERS = ("default", "int", "join", "length", "lower", "replace", "sort", "string", "tojson", "unique", "upper")
"""What may stand behind `|`."""
TESTS = ("defined", "undefined", "none", "string", "number", "boolean", "mapping", "sequence", "in", "eq", "ne")
"""What may stand behind `is`."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}


class ExpressionFailed(Exception):
    """An expression has no value. `str()` is the text for people; `hint` says how to mend it.

    `within` are the offsets of the expression in the text that holds it.
    """

    def __init__(self, message: str, hint: str = "", within: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.hint, self.within = hint, within


class FaultyExpression(ExpressionFailed):
    """The text is no expression, or one that does what is not allowed."""


class UnknownValue(ExpressionFailed):
    """It names a value that is not there."""


class UnfitResult(ExpressionFailed):
    """It gives what cannot stand in a definition."""


def expressions(text: str) -> Iterator[tuple[int, int, str]]:
    """Every expression in a text: (start, end, text between the braces). Raises `FaultyExpression` when one is open."""
    start = text.find(OPENING)
    while start >= 0:
        end = _closing(text, start)
        yield start, end, text[start + len(OPENING) : end - 2].strip()
        start = text.find(OPENING, end)


def _closing(text: str, start: int) -> int:
    """The offset behind the braces that close an expression; braces in strings and mappings do not count."""
    quote, depth, position = "", 0, start + len(OPENING)
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif depth == 0 and text.startswith("}}", position):
            return position + 2
        elif character in "{[(":
            depth += 1
        elif character in "}])":
            depth -= 1
        position += 1
    hint = "close it with `}}`, or set `x-gitops: {expressions: false}`"
    raise FaultyExpression("`${{` is not closed", hint, (start, len(text)))


class Evaluator:
    """Evaluates expressions over `names` (plain JSON data), and remembers what it has compiled."""

    def __init__(self, names: Mapping[str, JSON]) -> None:
        self._names = dict(names)
        self._compiled: dict[str, Callable[..., Any]] = {}

    def text(self, text: str, more: Mapping[str, JSON] | None = None) -> JSON:
        """What a scalar means: a text that is one expression gives its value with its type, others are filled in.

        `more` are names for this text alone. Raises an `ExpressionFailed`.
        """
        parts: list[str] = []
        position = 0
        for start, end, source in expressions(text):
            try:
                value = self.value(source, more)
                if (start, end) == (0, len(text)):
                    return value
                parts += (text[position:start], _filled_in(value))
            except ExpressionFailed as error:
                error.within = (start, end)
                raise
            position = end
        return "".join((*parts, text[position:]))

    def value(self, source: str, more: Mapping[str, JSON] | None = None) -> JSON:
        """The value of one expression, without its braces. Raises an `ExpressionFailed`."""
        from jinja2 import TemplateError, Undefined

        try:
            compiled = self._compiled.get(source)
            if compiled is None:
                compiled = self._compiled[source] = self._compile(source)
            value = compiled(**self._names, **(more or {}))
            if isinstance(value, Undefined):
                str(value)
        except ExpressionFailed:
            raise
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise FaultyExpression(f"`{_short(source)}`: {error}") from error
        result = _as_json(value, source)
        if isinstance(result, dict | list):
            _within(len(json.encode(result)))
        return result

    def _compile(self, source: str) -> Callable[..., Any]:
        from jinja2 import TemplateSyntaxError

        if not source:
            raise FaultyExpression("the expression is empty", "write `${{ values.name }}`")
        if len(source) > MAX_EXPRESSION_CHARS:
            raise FaultyExpression(
                f"the expression has {len(source):,} characters, the limit is {MAX_EXPRESSION_CHARS:,}",
                "put the value into the values file",
            )
        try:
            _refuse_calls(self._sandbox, source)
            return self._sandbox.compile_expression(source, undefined_to_none=False)
        except TemplateSyntaxError as error:
            hint = ""
            if "No filter named" in str(error):
                hint = f"filters are {', '.join(FILTERS)}"
            elif "No test named" in str(error):
                hint = f"tests are {', '.join(TESTS)}"
            raise FaultyExpression(f"`{_short(source)}`: {error.message or error}", hint) from error

    @cached_property
    def _sandbox(self) -> Any:
        # Imported here: most files hold no expression, and an engine never sees one.
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        class Missing(StrictUndefined):
            """A name that is not there; any use of it but `default` and `is defined` says so."""

            @property
            def _undefined_message(self) -> str:
                name, owner = str(self._undefined_name), self._undefined_obj
                if isinstance(owner, Mapping):
                    known = [str(key) for key in cast(Mapping[str, Any], owner)]
                    raise UnknownValue(f"there is no `{name}` here", did_you_mean(name, known) or _listed(known))
                if isinstance(owner, list):
                    members = len(cast(list[Any], owner))
                    raise UnknownValue(f"there is no `{name}` in the list", f"it has {members} members, from 0")
                if isinstance(owner, str | int | float | bool):
                    raise UnknownValue(f"{_kind(owner)} has no `{name}`", "only mappings and lists have members")
                known = list(names)
                raise UnknownValue(f"there is no `{name}`", did_you_mean(name, known) or _listed(known))

        class Sandbox(ImmutableSandboxedEnvironment):
            """Data only: names lead to members of mappings, never to attributes of Python objects."""

            intercepted_binops = frozenset((*_OPERATORS, "**"))

            def getattr(self, obj: Any, attribute: str) -> Any:
                return self.getitem(obj, attribute)

            def getitem(self, obj: Any, argument: Any) -> Any:
                if isinstance(obj, Missing):
                    # The first name that is missing is the one to speak of.
                    return obj
                if isinstance(obj, Mapping | list):
                    try:
                        return obj[argument]
                    except (LookupError, TypeError):
                        pass
                return self.undefined(obj=obj, name=str(argument))

            def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
                return _calculate(operator, left, right)

        names = self._names
        sandbox: Any = Sandbox(undefined=Missing, autoescape=False, extensions=(), cache_size=0)
        sandbox.globals.clear()
        own: dict[str, Callable[..., Any]] = {
            "int": _int,
            "join": _join,
            "replace": _replace,
            "string": _string,
            "tojson": _tojson,
        }
        sandbox.filters = {name: own.get(name) or sandbox.filters[name] for name in FILTERS}
        sandbox.tests = {name: sandbox.tests[name] for name in TESTS} | {"==": sandbox.tests["eq"]}
        return sandbox


def _refuse_calls(sandbox: Any, source: str) -> None:
    from jinja2 import nodes

    tree = sandbox.parse("{{ (" + source + "\n) }}")
    outputs = tree.find_all(nodes.Output)
    if sum(1 for _ in outputs) != 1 or len(tree.body) != 1:
        raise FaultyExpression(f"`{_short(source)}` is more than one expression")
    if tree.find(nodes.Call) is not None:
        raise FaultyExpression(
            f"`{_short(source)}` calls something, which expressions cannot",
            f"use a filter: {', '.join(FILTERS)}",
        )


def _calculate(operator: str, left: Any, right: Any) -> Any:
    """Arithmetic of numbers; `+` also joins two lists. Text is joined with `~`."""
    if operator == "+" and isinstance(left, list) and isinstance(right, list):
        return cast(list[JSON], left) + cast(list[JSON], right)
    for side in (left, right):
        if isinstance(side, bool) or not isinstance(side, int | float):
            hint = "join text with `~`" if operator == "+" else ""
            raise FaultyExpression(f"`{operator}` needs numbers, this is {_kind(side)}", hint)
    calculation = _OPERATORS.get(operator)
    if calculation is None:
        raise FaultyExpression(f"`{operator}` is not available", f"operators are {' '.join(_OPERATORS)} and ~")
    return _bounded(calculation(left, right))


def _bounded(number: Any) -> Any:
    if not math.isfinite(number) or abs(number) > MAX_NUMBER:
        raise UnfitResult(f"the result is beyond {MAX_NUMBER:,}")
    return number


def _int(value: Any) -> int:
    if isinstance(value, str) and len(value) > 20:
        raise UnfitResult("text of more than 20 characters is no number")
    if not isinstance(value, str | int | float):
        raise FaultyExpression(f"`int` needs text or a number, this is {_kind(value)}")
    return _bounded(int(value))


def _string(value: Any) -> str:
    return _filled_in(value)


def _tojson(value: Any) -> str:
    return _short_enough(json.text(value))


def _join(value: Any, separator: str = "") -> str:
    if not isinstance(value, list):
        raise FaultyExpression(f"`join` needs a list, this is {_kind(value)}")
    items = [_filled_in(item) for item in cast(list[JSON], value)]
    _within(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def _replace(value: Any, old: str, new: str) -> str:
    if not (isinstance(value, str) and old):
        raise FaultyExpression("`replace` needs text, and something to replace")
    _within(len(value) + value.count(old) * len(new))
    return value.replace(old, new)


def _within(size: int) -> None:
    if size > MAX_RESULT_CHARS:
        raise UnfitResult(f"the text would have {size:,} characters, the limit is {MAX_RESULT_CHARS:,}")


def _short_enough(text: str) -> str:
    _within(len(text))
    return text


def _filled_in(value: JSON) -> str:
    """A value as a part of text: as JSON spells it, strings without their quotes."""
    if isinstance(value, str):
        return _short_enough(value)
    if isinstance(value, bool | int | float):
        return json.text(value)
    raise UnfitResult(f"{_kind(value)} cannot be a part of text", "take one of its members, or use `| tojson`")


def _as_json(value: Any, source: str) -> JSON:
    """The value, when it is one that JSON has."""
    if value is None or isinstance(value, bool | int | float):
        return value if value is None or isinstance(value, bool) else _bounded(value)
    if isinstance(value, str):
        return _short_enough(str(value))
    if isinstance(value, Mapping):
        return {str(key): _as_json(item, source) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, Sequence | Iterator):
        return [_as_json(item, source) for item in cast(Sequence[Any], value)]
    raise UnfitResult(f"`{_short(source)}` gives nothing that a definition can hold")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _short(source: str) -> str:
    return source if len(source) <= 60 else source[:59] + "…"


def _listed(known: Sequence[str]) -> str:
    return f"there is {', '.join(known[:8])}" if known else "there is nothing"
