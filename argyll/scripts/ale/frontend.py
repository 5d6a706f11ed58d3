"""What an editor needs to know about an Ale text, finished or not: its names and where they stand, what is in scope, which
call the cursor is in, everything that is wrong. It runs nothing.

It expands the text with the compiler's own expander, so the two cannot disagree. Offsets are indexes into the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from argyll.scripts.ale import core, library, macros, special
from argyll.scripts.ale.catalogue import ENTRIES, Entry
from argyll.scripts.ale.expander import DOMAIN, Expander, Scope
from argyll.scripts.ale.reader import Form, SyntaxFault, Tag, read_tolerantly
from argyll.scripts.ale.run import Run
from argyll.scripts.interface import DEFAULT_LIMITS, CompileError

LANGUAGE_PARTS = (library, special, macros)
"""Importing these defines the language."""

MAX_FAULTS: Final = 20
"""How many faults of one text are told."""

NameKind = Literal["input", "local", "function", "constant", "form", "unknown"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong between two offsets; the first fault is what the compiler says."""

    message: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name where it is used. `entry` is its line in the table when it is part of the language."""

    text: str
    kind: NameKind
    start: int
    end: int
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class CallAt:
    """The call around an offset and which of its arguments the offset is in, from 0; -1 for the head itself."""

    name: str
    argument: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name that may stand at an offset. It replaces the text from `start` to `end`."""

    text: str
    kind: NameKind
    start: int
    end: int
    entry: Entry | None = None


class Reading:
    """One text as it was understood. Immutable; made by `read`."""

    def __init__(self, text: str, inputs: tuple[str, ...], observer: "_Observer", faults: Sequence[Fault]) -> None:
        self.text = text
        self.inputs = inputs
        self.faults = tuple(faults)
        self.names = tuple(sorted(observer.names.values(), key=lambda name: name.start))
        self._seen = observer.seen

    def name_at(self, offset: int) -> Name | None:
        """The name that an offset touches."""
        return next((name for name in self.names if name.start <= offset <= name.end), None)

    def in_scope(self, offset: int) -> tuple[str, ...]:
        """The locals and inputs that a form at an offset sees, innermost first, each once."""
        around = self._around(offset)
        visible = around[-1][1].visible() if around else self.inputs
        return tuple(dict.fromkeys(name for name in visible if not name.startswith(" ")))

    def call_at(self, offset: int) -> CallAt | None:
        """The innermost call around an offset."""
        for form, _ in reversed(self._around(offset)):
            if form.tag is Tag.LIST and form.items and form.items[0].tag is Tag.SYMBOL and form.offset < offset:
                before = sum(1 for item in form.items[1:] if item.offset < offset and 0 <= item.end < offset)
                head = form.items[0]
                name = head.value.name
                return CallAt(name, -1 if offset <= head.end else before, ENTRIES.get(name))
        return None

    def _around(self, offset: int) -> list[tuple[Form, Scope]]:
        """The forms around an offset, outermost first."""
        around = [seen for seen in self._seen.values() if seen[0].offset <= offset <= seen[0].end]
        return sorted(around, key=lambda seen: (seen[0].offset, -seen[0].end))


def read(text: str, inputs: Sequence[str] = ()) -> Reading:
    """Understand a text as far as possible. `inputs` are the names that the step gives it. Never fails."""
    names = tuple(sorted(set(inputs)))
    observer = _Observer(text)
    try:
        forms, faults = read_tolerantly(text)
        observer.body(forms, Scope((), None, names))
    except SyntaxFault as fault:  # too deep to be read at all
        faults = [fault]
    except RecursionError:
        faults = []
    told = sorted([*faults, *observer.faults], key=lambda fault: fault.offset)[:MAX_FAULTS]
    return Reading(text, names, observer, [Fault(f.message, f.offset, _word_end(text, f.offset)) for f in told])


def complete(text: str, inputs: Sequence[str], offset: int) -> list[Suggestion]:
    """The names that may stand at an offset: what is in scope, innermost first, then the language, by tier and name.

    Only those that begin with what is written before the offset. None inside strings, comments and keywords.
    """
    start = _word_start(text, offset)
    prefix, end = text[start:offset], _word_end(text, offset) if _is_word(text[offset : offset + 1]) else offset
    if prefix.startswith((":", "#")) or prefix[:1].isdigit():
        return []
    # A name at the cursor shows the scope there, also where nothing is written yet.
    marked = f"{text[:start]}{_CURSOR}{text[end:]}"
    reading = read(marked, inputs)
    if not any(name.start == start and name.text == _CURSOR for name in reading.names):
        return []
    found = [
        Suggestion(name, "input" if name in reading.inputs else "local", start, end)
        for name in reading.in_scope(start)
        if name.startswith(prefix) and name != _CURSOR
    ]
    seen = {suggestion.text for suggestion in found}
    language = sorted(ENTRIES.values(), key=lambda entry: (entry.tier, entry.name))
    found += [
        Suggestion(entry.name, entry.kind, start, end, entry)
        for entry in language
        if entry.name.startswith(prefix) and entry.name not in seen
    ]
    return found


def entry(name: str) -> Entry | None:
    """The line of a name in the table of the language: signature, documentation, tier."""
    return ENTRIES.get(name.removeprefix(f"{DOMAIN}/"))


_CURSOR = "\u2038"
"""Stands for what is being written; no name anybody uses."""
_DELIMITERS = frozenset("()[]{}\"'`,@ \t\n\f\r")
_WORD = re.compile(r"""[^()\[\]{}"\t\n\f\r ]+""")


def _is_word(character: str) -> bool:
    return bool(character) and character not in _DELIMITERS


def _word_start(text: str, offset: int) -> int:
    while offset > 0 and _is_word(text[offset - 1]):
        offset -= 1
    return offset


def _word_end(text: str, offset: int) -> int:
    """The end of the word at an offset; after a bracket, of the word behind it."""
    after = offset + 1 if text[offset : offset + 1] in ("(", "[", "{", "#", '"') else offset
    word = _WORD.match(text, after)
    return word.end() if word else min(offset + 1, len(text))


class _Observer(Expander):
    """Expands like the compiler, but notes every form with its scope and every name, and goes on after what is wrong."""

    def __init__(self, text: str) -> None:
        super().__init__(text, Run(DEFAULT_LIMITS, lambda: 0.0))  # expanding takes no measurable time
        self.seen: dict[int, tuple[Form, Scope]] = {}
        self.names: dict[int, Name] = {}
        self.faults: list[SyntaxFault] = []
        self._quiet = 0

    def expand(self, form: Form, scope: Scope) -> core.Core:
        if form.end >= 0:
            self.seen[id(form)] = (form, scope)
            self._note_head(form, scope)
        try:
            return super().expand(form, scope)
        except CompileError as error:
            self._report(error)
            self._look_inside(form, scope)
            return core.Const(None)

    def resolve(self, form: Form, scope: Scope) -> core.Core:
        self._note(form, scope)
        return super().resolve(form, scope)

    def symbol_name(self, form: Form, what: str) -> str:
        name = super().symbol_name(form, what)
        if form.end >= 0:
            self.names[form.offset] = Name(name, "local", form.offset, form.end)
        return name

    def _report(self, error: CompileError) -> None:
        # Looking for near names takes a millisecond each: enough is enough.
        if not self._quiet and len(self.faults) < MAX_FAULTS and isinstance(error, SyntaxFault):
            self.faults.append(error)

    def _look_inside(self, form: Form, scope: Scope) -> None:
        """See the parts of a form that could not be expanded; what is wrong with those follows from it."""
        self._quiet += 1
        for part in _parts(form):
            if id(part) not in self.seen:
                self.expand(part, scope)
        self._quiet -= 1

    def _note_head(self, form: Form, scope: Scope) -> None:
        """The head of a special form or macro is no expression; it is a name all the same."""
        if form.tag is Tag.LIST and form.items and self.syntax_of(form.items[0], scope) is not None:
            self._note(form.items[0], scope)

    def _note(self, form: Form, scope: Scope) -> None:
        if form.end < 0:
            return
        symbol = form.value
        if symbol.domain is None and (kind := _local_kind(symbol.name, scope)) is not None:
            found = None
        else:
            found = ENTRIES.get(symbol.name) if symbol.domain in (None, DOMAIN) else None
            kind = found.kind if found else "unknown"
        self.names[form.offset] = Name(symbol.full, kind, form.offset, form.end, found)


def _local_kind(name: str, scope: Scope | None) -> NameKind | None:
    while scope is not None:
        if name in scope.parameters:
            return "input"
        if name in scope.names:
            return "local"
        scope = scope.outer
    return None


def _parts(form: Form) -> Iterator[Form]:
    for item in form.items:
        if item.end >= 0 and not (item is form.items[0] and form.tag is Tag.LIST):
            yield item
    if form.tail is not None:
        yield form.tail
