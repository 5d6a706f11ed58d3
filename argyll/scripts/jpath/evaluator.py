"""Parsed jpath queries to Python closures over (node, root, meter). Lists of nodes are lists of values, in order.

Objects are visited in ascending key order, so results never depend on how a document was built. Inside a filter of a
relative path `$` is the node that path started from.
"""
# Plain loops, no all(): a generator costs more than these loops and nests C frames.
# ruff: noqa: SIM110

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

import re2

from argyll.model.json import JSON
from argyll.scripts.jpath import syntax
from argyll.scripts.meter import Meter, exceeded

REGEX_CACHE_SIZE: Final = 4096
MAX_PATTERN_CHARS: Final = 4096
REGEX_WORK_PER_STEP_SHIFT: Final = 12
"""A match costs one step for so many (as a power of two) characters of text times instructions of the pattern."""

SHORT_TEXT: Final = 4096
"""Longer strings cost steps to compare."""


class _Nothing:
    """The absence of a value; equal only to itself."""


NOTHING: Final = _Nothing()

Nodes: TypeAlias = list[JSON]
Query: TypeAlias = Callable[[JSON, JSON, Meter], Nodes]
Test: TypeAlias = Callable[[JSON, JSON, Meter], bool]
Single: TypeAlias = Callable[[JSON, JSON, Meter], JSON]
"""One value, or NOTHING."""


def compile_query(segments: tuple[syntax.Segment, ...]) -> Query:
    """The nodes a path selects, starting from its first argument."""
    names = _names(segments)
    if names is not None:
        walk = _named(names)

        def single(node: JSON, root: JSON, meter: Meter) -> Nodes:
            found = walk(node)
            return [] if found is NOTHING else [found]

        return single
    steps = [_segment(segment) for segment in segments]

    def query(node: JSON, root: JSON, meter: Meter) -> Nodes:
        nodes: Nodes = [node]
        for step in steps:
            nodes = step(nodes, root, meter)
            meter.charge(len(nodes))
        return nodes

    return query


def compile_exists(segments: tuple[syntax.Segment, ...]) -> Test:
    """Whether a query selects anything; a filter over the root's children stops at the first."""
    if len(segments) == 1 and not segments[0].descendants and len(segments[0].selectors) == 1:
        selector = segments[0].selectors[0]
        if isinstance(selector, syntax.Filter):
            test = compile_test(selector.test)

            def any_child(node: JSON, root: JSON, meter: Meter) -> bool:
                for child in _children(node, meter):
                    meter.charge(1)
                    if test(child, root, meter):
                        return True
                return False

            return any_child
    query = compile_query(segments)
    return lambda node, root, meter: bool(query(node, root, meter))


def _names(segments: tuple[syntax.Segment, ...]) -> list[str] | None:
    names: list[str] = []
    for segment in segments:
        selector = segment.selectors[0]
        if segment.descendants or len(segment.selectors) > 1 or not isinstance(selector, syntax.Name):
            return None
        names.append(selector.name)
    return names


def _named(names: list[str]) -> Callable[[JSON], JSON]:
    def walk(node: JSON) -> JSON:
        for name in names:
            if type(node) is not dict or name not in node:
                return NOTHING
            node = node[name]
        return node

    return walk


Step: TypeAlias = Callable[[Nodes, JSON, Meter], Nodes]
Select: TypeAlias = Callable[[Nodes, JSON, JSON, Meter], None]
"""Appends what one node's selector selects to the first argument."""


def _segment(segment: syntax.Segment) -> Step:
    selects = [_SELECTORS[type(selector)](selector) for selector in segment.selectors]
    descendants = segment.descendants

    def step(nodes: Nodes, root: JSON, meter: Meter) -> Nodes:
        selected: Nodes = []
        for node in _descendants(nodes, meter) if descendants else nodes:
            for select in selects:
                select(selected, node, root, meter)
        return selected

    return step


def _descendants(nodes: Nodes, meter: Meter) -> Nodes:
    """Every node and what is below it, parents first."""
    result: Nodes = []
    waiting = nodes[::-1]
    while waiting:
        node = waiting.pop()
        result.append(node)
        kind = type(node)
        if kind is list:
            meter.charge(len(node))
            waiting.extend(reversed(node))
        elif kind is dict:
            meter.charge(len(node))
            waiting.extend([node[key] for key in sorted(node, reverse=True)])
    return result


def _children(node: JSON, meter: Meter) -> Nodes:
    kind = type(node)
    if kind is list:
        return node
    if kind is dict:
        meter.charge(len(node) >> 1)
        return [node[key] for key in sorted(node)]
    return []


def _select_name(selector: syntax.Name) -> Select:
    name = selector.name

    def select(selected: Nodes, node: JSON, root: JSON, meter: Meter) -> None:
        if type(node) is dict and name in node:
            selected.append(node[name])

    return select


def _select_index(selector: syntax.Index) -> Select:
    index = selector.index

    def select(selected: Nodes, node: JSON, root: JSON, meter: Meter) -> None:
        if type(node) is list and -len(node) <= index < len(node):
            selected.append(node[index])

    return select


def _select_slice(selector: syntax.Slice) -> Select:
    start, stop, step = selector.start, selector.stop, selector.step

    def select(selected: Nodes, node: JSON, root: JSON, meter: Meter) -> None:
        if type(node) is list and step:
            chosen = node[start:stop:step]
            meter.charge(len(chosen))
            selected.extend(chosen)

    return select


def _select_all(_selector: syntax.Wildcard) -> Select:
    def select(selected: Nodes, node: JSON, root: JSON, meter: Meter) -> None:
        children = _children(node, meter)
        meter.charge(len(children))
        selected.extend(children)

    return select


def _select_filter(selector: syntax.Filter) -> Select:
    test = compile_test(selector.test)

    def select(selected: Nodes, node: JSON, root: JSON, meter: Meter) -> None:
        for child in _children(node, meter):
            meter.charge(1)
            if test(child, root, meter):
                selected.append(child)

    return select


_SELECTORS: Final[dict[type, Callable[..., Select]]] = {
    syntax.Name: _select_name,
    syntax.Index: _select_index,
    syntax.Slice: _select_slice,
    syntax.Wildcard: _select_all,
    syntax.Filter: _select_filter,
}


def _relative(path: syntax.Path) -> Query:
    """A path inside a filter. Its start is the root for the filters within it."""
    query = compile_query(path.segments)
    if path.absolute:
        return lambda node, root, meter: query(root, root, meter)
    return lambda node, root, meter: query(node, node, meter)


def compile_test(expression: syntax.Expression) -> Test:
    """The truth of an expression: paths by existence, null and nothing are false."""
    match expression:
        case syntax.Path():
            query = _relative(expression)
            return lambda node, root, meter: bool(query(node, root, meter))
        case syntax.Not():
            operand = compile_test(expression.operand)
            return lambda node, root, meter: not operand(node, root, meter)
        case syntax.Logical():
            left, right = compile_test(expression.left), compile_test(expression.right)
            if expression.conjunction:
                return lambda node, root, meter: left(node, root, meter) and right(node, root, meter)
            return lambda node, root, meter: left(node, root, meter) or right(node, root, meter)
        case syntax.Compare():
            return _compare(expression)
        case syntax.Function() | syntax.Literal():
            value = compile_value(expression)
            return lambda node, root, meter: value(node, root, meter) is True


def compile_value(expression: syntax.Expression) -> Single:
    """The value of an operand or argument."""
    match expression:
        case syntax.Literal():
            literal = expression.value
            return lambda node, root, meter: literal
        case syntax.Path():
            return _single(expression)
        case syntax.Function():
            return _FUNCTIONS[expression.name](expression.arguments)
        case _:
            return compile_test(expression)


def _single(path: syntax.Path) -> Single:
    names = _names(path.segments)
    if names is not None:
        walk = _named(names)
        if path.absolute:
            return lambda node, root, meter: walk(root)
        return lambda node, root, meter: walk(node)
    query = _relative(path)

    def single(node: JSON, root: JSON, meter: Meter) -> JSON:
        nodes = query(node, root, meter)
        return nodes[0] if len(nodes) == 1 else NOTHING

    return single


def _compare(expression: syntax.Compare) -> Test:
    left, right, holds = compile_value(expression.left), compile_value(expression.right), _HOLDS[expression.operator]
    return lambda node, root, meter: holds(left(node, root, meter), right(node, root, meter), meter)


def equal(a: JSON, b: JSON, meter: Meter) -> bool:
    """Deep equality; booleans are not numbers."""
    kind, other = type(a), type(b)
    if kind is not other:
        return kind in _NUMBERS and other in _NUMBERS and a == b
    if kind is dict:
        if len(a) != len(b):
            return False
        meter.charge(len(a))
        for key, value in a.items():
            if key not in b or not equal(value, b[key], meter):
                return False
        return True
    if kind is list:
        if len(a) != len(b):
            return False
        meter.charge(len(a))
        for index, value in enumerate(a):
            if not equal(value, b[index], meter):
                return False
        return True
    if kind is str and len(a) >= SHORT_TEXT:
        meter.charge(len(a) >> 10)
    return a == b


_NUMBERS: Final = frozenset({int, float})


def less(a: JSON, b: JSON, meter: Meter) -> bool:
    """Order of two numbers or two strings; false for anything else."""
    kind, other = type(a), type(b)
    if kind is str:
        if len(a) >= SHORT_TEXT:
            meter.charge(len(a) >> 10)
        return other is str and a < b
    return kind in _NUMBERS and other in _NUMBERS and a < b


def _at_most(a: JSON, b: JSON, meter: Meter) -> bool:
    return a is not NOTHING and b is not NOTHING and (less(a, b, meter) or equal(a, b, meter))


_HOLDS: Final[dict[str, Callable[[JSON, JSON, Meter], bool]]] = {
    "==": equal,
    "!=": lambda a, b, meter: not equal(a, b, meter),
    "<": lambda a, b, meter: less(a, b, meter),
    ">": lambda a, b, meter: less(b, a, meter),
    "<=": _at_most,
    ">=": lambda a, b, meter: _at_most(b, a, meter),
}


def _length(arguments: tuple[syntax.Expression, ...]) -> Single:
    value = compile_value(arguments[0])

    def length(node: JSON, root: JSON, meter: Meter) -> JSON:
        found = value(node, root, meter)
        return len(found) if type(found) in (str, list, dict) else NOTHING

    return length


def _nodes(arguments: tuple[syntax.Expression, ...]) -> Query:
    path = arguments[0]
    assert isinstance(path, syntax.Path), "the parser has checked it"
    return _relative(path)


def _count(arguments: tuple[syntax.Expression, ...]) -> Single:
    query = _nodes(arguments)
    return lambda node, root, meter: len(query(node, root, meter))


def _value(arguments: tuple[syntax.Expression, ...]) -> Single:
    query = _nodes(arguments)

    def value(node: JSON, root: JSON, meter: Meter) -> JSON:
        nodes = query(node, root, meter)
        return nodes[0] if len(nodes) == 1 else NOTHING

    return value


def _matching(whole: bool) -> Callable[[tuple[syntax.Expression, ...]], Single]:
    def build(arguments: tuple[syntax.Expression, ...]) -> Single:
        subject, pattern = compile_value(arguments[0]), compile_value(arguments[1])

        def matches(node: JSON, root: JSON, meter: Meter) -> JSON:
            text, expression = subject(node, root, meter), pattern(node, root, meter)
            if type(text) is not str or type(expression) is not str:
                return NOTHING
            meter.check_text(len(text))
            return _regex_holds(expression, text, whole, meter)

        return matches

    return build


def _regex_holds(pattern: str, text: str, whole: bool, meter: Meter) -> JSON:
    if len(pattern) > MAX_PATTERN_CHARS:
        raise exceeded("size", f"{MAX_PATTERN_CHARS:,} characters in one pattern")
    regex = _regex(pattern)
    if regex is None:
        return NOTHING
    # Linear in the text, but also in the size of the program that a short pattern can compile to.
    meter.charge(len(text) * regex.programsize >> REGEX_WORK_PER_STEP_SHIFT)
    try:
        return (regex.fullmatch(text) if whole else regex.search(text)) is not None
    except UnicodeEncodeError:
        return NOTHING


_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=REGEX_CACHE_SIZE)
def _regex(pattern: str) -> JSON:
    """The compiled pattern, None for an invalid one. `.` stands for anything but CR and LF."""
    try:
        return re2.compile(_without_line_ends(pattern), _OPTIONS)
    except (re2.error, UnicodeEncodeError):
        return None


def _without_line_ends(pattern: str) -> str:
    parts: list[str] = []
    escaped = in_class = False
    for character in pattern:
        if character == "." and not escaped and not in_class:
            parts.append(r"[^\r\n]")
            continue
        parts.append(character)
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "[":
            in_class = True
        elif character == "]":
            in_class = False
    return "".join(parts)


_FUNCTIONS: Final[dict[str, Callable[[tuple[syntax.Expression, ...]], Single]]] = {
    "length": _length,
    "count": _count,
    "value": _value,
    "match": _matching(True),
    "search": _matching(False),
}
