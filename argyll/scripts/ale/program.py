"""A compiled Ale script: the whole way from text to a result, with every failure as one of the interface's errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn, TypeVar

from argyll.model.json import JSON
from argyll.scripts.ale import library, macros, special
from argyll.scripts.ale.convert import inbound, outbound
from argyll.scripts.ale.evaluator import compile_body
from argyll.scripts.ale.expander import Expander, Scope
from argyll.scripts.ale.reader import MAX_NESTING, is_parameter_name, place, read
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import TAIL, AleError, Frame, Node, Value
from argyll.scripts.interface import (
    DEFAULT_LIMITS,
    CallSite,
    Clock,
    CompileError,
    Language,
    Limits,
    RunError,
    as_mapped,
    as_outputs,
)
from argyll.scripts.meter import exceeded

LANGUAGE_PARTS = (library, special, macros)
"""Importing these defines the language."""

MAX_MESSAGE: Final = 4_096
"""Characters of a failure's message that leave a script; `raise` can make longer ones."""

Result = TypeVar("Result")


def compile_ale(text: str, names: Sequence[str], clock: Clock) -> "AleProgram":
    """Compile a script against its parameter names. Raises `CompileError`."""
    for name in names:
        if not is_parameter_name(name):
            raise CompileError(f"an Ale script cannot have an input named {name!r}; give it another with mapping.name")
    forms = read(text)
    if not forms:
        raise CompileError("the script is empty; it needs at least one form")
    scope = Scope((), None, names)
    try:
        node = compile_body(Expander(text, Run(DEFAULT_LIMITS, clock)).body(forms, scope))
    except RecursionError:
        raise CompileError(f"the script nests too deeply; {MAX_NESTING} levels are safe") from None
    return AleProgram(text, tuple(names), tuple(scope.names), node, clock)


class AleProgram:
    """Holds no state of any run. `_used` are the parameters the script mentions, in frame order; only they are
    bound."""

    __slots__ = ("_clock", "_node", "_text", "_used", "names")

    language: Language = "ale"

    def __init__(self, text: str, names: tuple[str, ...], used: tuple[str, ...], node: Node, clock: Clock) -> None:
        self.names = names
        self._text = text
        self._used = used
        self._node = node
        self._clock = clock

    def outputs(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> dict[str, JSON]:
        result = self._run(args, limits, outbound)
        return result if type(result) is dict else {"result": result}

    def test(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> bool:
        return self._run(args, limits, _truth)

    def test_value(self, value: JSON, limits: Limits = DEFAULT_LIMITS) -> bool:
        return self._run({"value": value}, limits, _truth)

    def map(self, args: Mapping[str, JSON], document: JSON, limits: Limits = DEFAULT_LIMITS) -> JSON:
        return as_mapped(as_outputs(self._run(args, limits, outbound)))

    def _run(self, args: Mapping[str, JSON], limits: Limits, finish: Callable[[Run, Value], Result]) -> Result:
        run = Run(limits, self._clock)
        frame: Frame = [run, None]
        try:
            for name in self._used:
                frame.append(inbound(run, args.get(name)))
            result = self._node(frame)
            while result is TAIL:
                result = run.next_body(run.next_frame)
            return finish(run, result)
        except AleError as error:
            self._failed(error)
        except RecursionError:
            raise exceeded("depth", "the nested calls this process allows; see configure_process") from None
        except MemoryError:
            raise exceeded("memory", "the memory of this process") from None

    def _failed(self, error: AleError) -> NoReturn:
        line, column = self._place(error.offset)
        calls = tuple([CallSite(name, *self._place(offset)) for name, offset in error.calls])
        raise RunError(_shortened(error.message), line, column, calls, error.deeper) from None

    def _place(self, offset: int) -> tuple[int | None, int | None]:
        return place(self._text, offset) if offset >= 0 else (None, None)


def _shortened(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."


def _truth(_run: Run, value: Value) -> bool:
    return value is not False
