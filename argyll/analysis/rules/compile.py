"""Rule: every script of a step compiles, in the context in which it will run (5xx)."""

from collections.abc import Iterator, Sequence

from argyll.analysis.diagnostics import Diagnostic, Pointer, finding
from argyll.analysis.draft import Draft
from argyll.model.json import JSON
from argyll.model.step import Script
from argyll.scripts import CompileError, Scripts

_CODES = {"ale": "ARG501", "lua": "ARG502", "jpath": "ARG503"}
_TITLES = {"ale": "Ale", "lua": "Lua", "jpath": "jpath"}

MATCH_NAMES = ("value",)
"""What a match script sees (scripting.md 1.1)."""


def compile_scripts(draft: Draft, scripts: Scripts) -> Iterator[Diagnostic]:
    """Findings of the compilers, each at its place in the script's text."""
    # With an input left out, its name would look unknown to the compiler.
    if not draft.whole:
        return
    for script, names, pointer in _scripts(draft):
        try:
            scripts.compile(script.language, script.script, names)
        except CompileError as error:
            yield finding(
                _CODES[script.language],
                f"{_TITLES[script.language]}: {error.message.removeprefix(f'{script.language}: ')}",
                (*pointer, "script"),
                within=_shifted(_stretch(script.script, error.line, error.column), _cut(draft, pointer, script)),
            )


def _cut(draft: Draft, pointer: Pointer, script: Script) -> int:
    """How much white space stands before the script in the definition and not in the model."""
    written: JSON = draft.value
    for key in (*pointer, "script"):
        written = written[key]
    return max(written.find(script.script), 0)


def _shifted(stretch: tuple[int, int] | None, by: int) -> tuple[int, int] | None:
    return stretch and (stretch[0] + by, stretch[1] + by)


def _scripts(draft: Draft) -> Iterator[tuple[Script, Sequence[str], Pointer]]:
    step = draft.step
    names = step.argument_names
    for name, spec in step.attributes.items():
        if spec.mapping is not None and spec.mapping.script is not None:
            seen = step.output_mapping_names if spec.role == "output" else names
            yield spec.mapping.script, seen, (*draft.setting(name, "mapping"), "script")
        if spec.match is not None:
            yield spec.match, MATCH_NAMES, draft.setting(name, "match")
    if step.predicate is not None:
        yield step.predicate, names, ("predicate",)
    if step.script is not None and step.type == "script":
        yield step.script, names, ("script",)


def _stretch(text: str, line: int | None, column: int | None) -> tuple[int, int] | None:
    """The word at a position that counts from 1, as offsets; without a column, its line."""
    if line is None:
        return None
    lines = text.split("\n")
    if line > len(lines):
        return (max(len(text.rstrip()) - 1, 0), len(text.rstrip()))
    start = sum(len(earlier) + 1 for earlier in lines[: line - 1])
    content = lines[line - 1]
    if column is None:
        indent = len(content) - len(content.lstrip())
        return (start + indent, start + len(content.rstrip()))
    first = start + min(column - 1, len(content))
    end = first
    while end < start + len(content) and not text[end].isspace() and text[end] not in "()[]{}\"',;":
        end += 1
    return (first, max(end, first + 1))
