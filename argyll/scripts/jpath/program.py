"""A compiled jpath query behind the interface of scripts."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from argyll.model.json import JSON
from argyll.scripts.interface import DEFAULT_LIMITS, Clock, CompileError, Language, Limits, RunError
from argyll.scripts.jpath.evaluator import Nodes, compile_exists, compile_query
from argyll.scripts.jpath.syntax import MAX_NESTING, parse
from argyll.scripts.meter import Meter, exceeded

Result = TypeVar("Result")


def compile_jpath(text: str, names: Sequence[str], clock: Clock) -> "JpathProgram":
    """Compile a query; `names` are kept but mean nothing to it. Raises `CompileError`."""
    try:
        segments = parse(text)
        query, exists = compile_query(segments), compile_exists(segments)
    except RecursionError:
        raise CompileError(f"jpath: the query nests too deeply; {MAX_NESTING} levels are safe") from None
    return JpathProgram(tuple(names), query, exists, clock)


class JpathProgram:
    """Answers share structure with the document they were selected from; treat both as immutable."""

    __slots__ = ("_clock", "_exists", "_query", "names")

    language: Language = "jpath"

    def __init__(
        self,
        names: tuple[str, ...],
        query: Callable[[JSON, JSON, Meter], Nodes],
        exists: Callable[[JSON, JSON, Meter], bool],
        clock: Clock,
    ) -> None:
        self.names = names
        self._query = query
        self._exists = exists
        self._clock = clock

    def outputs(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> dict[str, JSON]:
        return {"value": self.map(args, dict(args), limits)}

    def test(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> bool:
        return self.test_value(args if type(args) is dict else dict(args), limits)

    def test_value(self, value: JSON, limits: Limits = DEFAULT_LIMITS) -> bool:
        return self._run(self._exists, value, limits)

    def map(self, args: Mapping[str, JSON], document: JSON, limits: Limits = DEFAULT_LIMITS) -> JSON:
        nodes = self._run(self._selected, document, limits)
        if not nodes:
            raise RunError("jpath: the query produced no matches")
        return nodes[0] if len(nodes) == 1 else nodes

    def _selected(self, node: JSON, root: JSON, meter: Meter) -> Nodes:
        nodes = self._query(node, root, meter)
        if len(nodes) > 1:
            _weigh(nodes, meter)
        return nodes

    def _run(self, evaluate: Callable[[JSON, JSON, Meter], Result], document: JSON, limits: Limits) -> Result:
        try:
            return evaluate(document, document, Meter(limits, self._clock))
        except RecursionError:
            raise exceeded("depth", "the nesting of documents this process can compare") from None
        except MemoryError:
            raise exceeded("memory", "the memory of this process") from None


def _weigh(nodes: Nodes, meter: Meter) -> None:
    """Charge for an answer of several nodes: `..` selects a node and again everything below it."""
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is str:
            meter.check_output(len(node))
        elif kind is list:
            meter.charge(len(node))
            waiting.extend(node)
        elif kind is dict:
            meter.charge(len(node))
            for name in node:
                meter.check_output(len(name))
            waiting.extend(node.values())
