"""YAML text to documents in which every key and value knows its place; every trap of YAML is a finding, never a guess.

Reads parser events only, so nothing is constructed from tags, nothing is expanded without bound, and a file cut off
anywhere still gives what came before. Plain scalars follow the YAML 1.2 core schema as decisions 45 narrows it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from sys import intern
from typing import Any, Literal

from msgspec.structs import replace

from argyll.analysis.diagnostics import At, Diagnostic, Pointer, Related, Span, finding
from argyll.analysis.scalars import InvalidNumber, is_ambiguous, resolve_plain, source_offset
from argyll.model.json import JSON
from argyll.model.limits import MAX_JSON_DEPTH

MAX_FILE_BYTES = 1024 * 1024
MAX_ALIAS_NODES = 1_000
"""Nodes that all aliases of a document may add to it."""
MAX_FINDINGS_PER_FILE = 100
"""More findings of one file are not told apart any more."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_ODD_BREAK = re.compile("[\x85\u2028\u2029]")
_CONFLICT = re.compile(r"^<{7} .*?^>{7} ", re.MULTILINE | re.DOTALL)
_CORE_TAGS = {
    "scalar": "tag:yaml.org,2002:str",
    "mapping": "tag:yaml.org,2002:map",
    "sequence": "tag:yaml.org,2002:seq",
}

Kind = Literal["scalar", "mapping", "sequence"]


@dataclass(slots=True)
class Node:
    """A value in the text. `start` and `end` are offsets in code points; `style` is empty for a plain scalar."""

    kind: Kind
    start: int
    end: int
    text: str = ""
    style: str = ""
    value: JSON = None
    entries: Sequence[tuple["Node", "Node"]] = ()
    items: Sequence["Node"] = ()
    size: int = 1
    height: int = 1
    weight: int = 0
    """Nodes, levels and characters of the whole value."""

    def to_json(self) -> JSON:
        """The JSON value; nesting is bounded by the reader."""
        if self.kind == "scalar":
            return self.value
        if self.kind == "sequence":
            return [item.to_json() for item in self.items]
        return {key.text: item.to_json() for key, item in self.entries}

    def child(self, key: str | int) -> tuple["Node | None", "Node"] | None:
        """The key node (of a mapping) and the value node of a member."""
        if isinstance(key, int):
            return (None, self.items[key]) if key < len(self.items) else None
        return next(((name, item) for name, item in self.entries if name.text == key), None)


def copy_at(node: Node, start: int, end: int) -> Node:
    """The same value at another place: what an alias stands for."""
    copied = copy(node)
    copied.start, copied.end = start, end
    return copied


class Lines:
    """Offsets to lines and columns, both from 1. Lines end as in every editor: LF, CRLF or CR."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def position(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, without its end."""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")

    def span(self, start: int, end: int) -> Span:
        """The span between two offsets, which are moved into the text."""
        start = max(0, min(start, len(self.text)))
        end = max(start, min(end, len(self.text)))
        return Span(start, end, *self.position(start), *self.position(end))


@dataclass(slots=True)
class Document:
    """One document of a file; `root` is the tree as far as the file could be read."""

    root: Node
    lines: Lines

    def value(self) -> JSON:
        """The document as JSON."""
        return self.root.to_json()

    def find(self, pointer: Pointer) -> Node | None:
        """The node that a pointer names, or None."""
        node = self.root
        for key in pointer:
            found = node.child(key)
            if found is None:
                return None
            node = found[1]
        return node

    def locate(self, pointer: Pointer, at: At = "value", within: tuple[int, int] | None = None) -> Span:
        """The smallest known place of a pointer: a value, its key, or a stretch of its text.

        A pointer to something that is not there is at the key of the innermost owner that is.
        """
        key: Node | None = None
        node, missing = self.root, False
        for part in pointer:
            found = node.child(part)
            if found is None:
                missing = True
                break
            key, node = found[0] or key, found[1]
        if within is not None and not missing and node.kind == "scalar":
            first = source_offset(self.lines.text, node.start, node.end, node.style, node.text, within[0])
            last = source_offset(
                self.lines.text, node.start, node.end, node.style, node.text, max(within[1] - 1, within[0])
            )
            return self.lines.span(first, last + 1)
        if (at == "key" or missing) and key is not None:
            return self.lines.span(key.start, key.end)
        if at == "key" or missing or node.kind != "scalar":
            return self._first_line(node)
        return self.lines.span(node.start, _trimmed(self.lines.text, node.start, node.end))

    def _first_line(self, node: Node) -> Span:
        start = self.lines.span(node.start, node.start)
        line_end = node.start - start.column + 1 + len(self.lines.line(start.line).rstrip())
        return self.lines.span(node.start, max(min(node.end, line_end), node.start))


@dataclass
class Source:
    """A file as read: its documents, in order, and what was wrong with the text. Empty documents are left out.

    When the text could not be read to its end, `complete` is False and the last document holds what came before.
    """

    path: str
    text: str
    complete: bool = True
    documents: list[Document] = field(default_factory=list[Document])
    findings: list[Diagnostic] = field(default_factory=list[Diagnostic])

    @cached_property
    def lines(self) -> Lines:
        """The line table of the text."""
        return Lines(self.text)

    def report(
        self, code: str, message: str, start: int, end: int, *, hint: str = "", related: tuple[Related, ...] = ()
    ) -> None:
        """Add a finding at two offsets."""
        if len(self.findings) < MAX_FINDINGS_PER_FILE:
            found = finding(code, message, hint=hint, related=related)
            self.findings.append(replace(found, path=self.path, span=self.lines.span(start, end)))

    def related(self, message: str, start: int, end: int) -> Related:
        """Another place of this file."""
        return Related(message, path=self.path, span=self.lines.span(start, end))


def read_source(path: str, content: bytes) -> Source:
    """The documents of a YAML file. Never raises on bad content: every problem is in `findings`."""
    if len(content) > MAX_FILE_BYTES:
        source = Source(path, "", complete=False)
        message = f"the file has {len(content):,} bytes, the limit is {MAX_FILE_BYTES:,}"
        source.report("ARG011", message, 0, 0, hint="split it into several files")
        return source
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _not_utf8(path, content, error)
    return read_text(path, text)


def read_text(path: str, text: str) -> Source:
    """The documents of YAML text that was decoded already, as an editor holds it."""
    source = Source(path, text)
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        end = conflict.start() + 7
        source.report(
            "ARG014",
            "the file holds Git conflict markers",
            conflict.start(),
            end,
            hint="choose one side, and remove the markers",
        )
        source.complete = False
        return source
    control = _UNPRINTABLE.search(text)
    if control is not None:
        message = f"control character U+{ord(control.group()):04X}"
        hint = f'remove it, or write it as an escape in double quotes: "\\u{ord(control.group()):04x}"'
        source.report("ARG009", message, control.start(), control.end(), hint=hint)
        source.complete = False
        return source
    for odd in _ODD_BREAK.finditer(text):
        message = f"invisible line separator U+{ord(odd.group()):04X}"
        source.report("ARG010", message, odd.start(), odd.end(), hint="replace it by a space or a line feed")
    _Reader(source).read()
    return source


def _not_utf8(path: str, content: bytes, error: UnicodeDecodeError) -> Source:
    before = content[: error.start].decode("utf-8", "replace").removeprefix("\ufeff")
    source = Source(path, before, complete=False)
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    what = "UTF-16" if wide else f"not UTF-8 (byte 0x{content[error.start]:02X})"
    source.report("ARG009", f"the file is {what}", len(before), len(before), hint="save it as UTF-8")
    return source


def _trimmed(text: str, start: int, end: int) -> int:
    """The end of a node without the blank lines that a block scalar takes along."""
    return start + len(text[start:end].rstrip()) if end > start else end


class _Stop(Exception):
    """Reading cannot go on."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still open: what was read of it, and for a mapping the key that waits for its value."""

    node: Node
    anchor: str | None
    items: list[Node] = field(default_factory=list[Node])
    entries: list[tuple[Node, Node]] = field(default_factory=list[tuple[Node, Node]])
    key: Node | None = None
    names: dict[str, Node] = field(default_factory=dict[str, Node])


class _Reader:
    """Turns parser events into nodes, with the open collections on a stack."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._alias_nodes = 0
        self._alias_text = 0
        self._root: Node | None = None

    def read(self) -> None:
        # Imported here: an engine analyses definitions, but never reads YAML.
        import yaml

        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document_start,
            yaml.DocumentEndEvent: self._document_end,
        }
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self._source.text)
        try:
            while True:
                event = loader.get_event()
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(event)
                elif event is None or isinstance(event, yaml.StreamEndEvent):
                    return
        except yaml.YAMLError as error:
            self._syntax(error)
            self._keep_partial()
        except _Stop:
            self._keep_partial()
        finally:
            loader.dispose()

    def _document_start(self, _event: Any) -> None:
        self._root = None
        self._anchors.clear()
        self._alias_nodes = 0
        self._alias_text = 0

    def _document_end(self, _event: Any) -> None:
        root, self._root = self._root, None
        empty = root is None or (root.kind == "scalar" and not root.style and not root.text)
        if root is not None and not empty:
            self._source.documents.append(Document(root, self._source.lines))

    def _keep_partial(self) -> None:
        self._source.complete = False
        while self._open:
            self._finish(self._open.pop(), len(self._source.text))
        self._document_end(None)

    def _scalar(self, event: Any) -> None:
        node = Node("scalar", event.start_mark.index, event.end_mark.index, event.value, event.style or "")
        node.weight = len(node.text)
        if event.tag is not None and event.tag != "!":
            self._tag("scalar", event)
            node.value = event.value
        elif node.style or event.tag == "!":
            node.value = event.value
        else:
            self._plain(node)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._attach(node)

    def _plain(self, node: Node) -> None:
        try:
            node.value = resolve_plain(node.text)
        except InvalidNumber as error:
            self._source.report("ARG103", str(error), node.start, node.end, hint="quote it if it is text")
            node.value = node.text
            return
        if isinstance(node.value, str) and is_ambiguous(node.text):
            message = f"`{node.text}` is text here, but something else to other YAML readers"
            self._source.report("ARG012", message, node.start, node.end, hint=f'quote it: "{node.text}"')

    def _mapping(self, event: Any) -> None:
        self._begin("mapping", event)

    def _sequence(self, event: Any) -> None:
        self._begin("sequence", event)

    def _begin(self, kind: Kind, event: Any) -> None:
        node = Node(kind, event.start_mark.index, event.end_mark.index)
        if len(self._open) >= MAX_JSON_DEPTH:
            message = f"nested deeper than {MAX_JSON_DEPTH} levels"
            self._source.report("ARG011", message, node.start, node.start + 1, hint="flatten the document")
            raise _Stop
        if event.tag is not None and event.tag != "!":
            self._tag(kind, event)
        self._open.append(_Frame(node, event.anchor))

    def _close(self, event: Any) -> None:
        frame = self._open.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.node
        self._finish(frame, event.end_mark.index)

    def _finish(self, frame: _Frame, end: int) -> None:
        node = frame.node
        node.entries, node.items = frame.entries, frame.items
        members = [item for _, item in frame.entries] if node.kind == "mapping" else frame.items
        # A block collection ends where its last member does; the parser only says so at the next token.
        node.end = members[-1].end if members and self._source.text[node.start] not in "{[" else end
        node.size = 1 + sum(member.size for member in members)
        node.weight = sum(member.weight for member in members)
        node.height = 1 + max((member.height for member in members), default=0)
        self._attach(node)

    def _alias(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        target = self._anchors.get(event.anchor)
        if any(frame.anchor == event.anchor for frame in self._open):
            self._source.report("ARG011", f"`*{event.anchor}` contains itself", start, end, hint="write the value out")
            raise _Stop
        if target is None:
            hint = f"define `&{event.anchor}` earlier in this document"
            self._source.report("ARG001", f"`*{event.anchor}` refers to no anchor", start, end, hint=hint)
            raise _Stop
        self._alias_nodes += target.size
        self._alias_text += target.weight
        too_deep = len(self._open) + target.height > MAX_JSON_DEPTH
        if self._alias_nodes > MAX_ALIAS_NODES or self._alias_text > MAX_FILE_BYTES or too_deep:
            limits = f"{MAX_ALIAS_NODES:,} nodes, {MAX_FILE_BYTES:,} characters or {MAX_JSON_DEPTH} levels"
            message = f"aliases expand to more than {limits}"
            self._source.report("ARG011", message, start, end, hint="write the values out")
            raise _Stop
        self._attach(copy_at(target, start, end))

    def _tag(self, kind: Kind, event: Any) -> None:
        if event.tag == _CORE_TAGS[kind]:
            return
        start = event.start_mark.index
        match = re.compile(r"\S+").search(self._source.text, start)
        written = match.group() if match else event.tag
        hint = "remove the tag, and write the value itself"
        self._source.report("ARG008", f"unknown tag `{written}`", start, start + len(written), hint=hint)

    def _attach(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        frame = self._open[-1]
        if frame.node.kind == "sequence":
            frame.items.append(node)
        elif frame.key is None:
            # The same few names stand in every file.
            node.text = intern(node.text)
            frame.key = node
        else:
            key, frame.key = frame.key, None
            if self._key_is_sound(key, frame.names):
                frame.names[key.text] = key
                frame.entries.append((key, node))

    def _key_is_sound(self, key: Node, names: dict[str, Node]) -> bool:
        report, start, end = self._source.report, key.start, key.end
        if key.kind != "scalar" or not isinstance(key.value, str):
            written = key.text if key.kind == "scalar" else ""
            what = f"`{written}`" if written else "this"
            hint = f'quote it: "{written}"' if written else "write a name, or quote the text"
            report("ARG005", f"{what} is not a name, so it cannot be a key", start, end, hint=hint)
            return False
        if key.text == "<<" and not key.style:
            report("ARG007", "merge keys are not supported", start, end, hint="write the merged keys out")
            return False
        earlier = names.get(key.text)
        if earlier is not None:
            first = self._source.related("first given here", earlier.start, earlier.end)
            report("ARG002", f"`{key.text}` is given twice", start, end, hint="remove one of them", related=(first,))
            return False
        return True

    def _syntax(self, error: Any) -> None:
        problem, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
        text = str(getattr(error, "problem", None) or error).split("\n")[0]
        where = getattr(error, "context", None) or ""
        # For what was never closed, and for a key without colon, the parser notices much later than it began.
        unclosed = context is not None and ("quoted" in where or "flow" in where or "simple key" in where)
        mark = context if unclosed else problem or context
        start = mark.index if mark is not None else 0
        if "\t" in self._source.text[start : start + 1] or "tab character" in text:
            self._source.report("ARG006", "a tab is used for indentation", start, start + 1, hint="indent with spaces")
            return
        message = f"not valid YAML: {text}" + (f" {where}" if where else "")
        self._source.report("ARG001", message, start, start + 1, hint=_advice(text, where))


def _advice(problem: str, context: str) -> str:
    if "quoted" in context:
        return "close the quote"
    if "flow sequence" in context:
        return "close the `[`"
    if "flow mapping" in context:
        return "close the `{`, or quote text that begins with a brace"
    if "mapping values are not allowed" in problem:
        return "quote text that holds `: `, and check the indentation"
    if "cannot start any token" in problem:
        return "quote text that begins with this character"
    if "could not find expected ':'" in problem:
        return "a key is followed by a colon and a space"
    return "check the indentation of this line and the one before"


def walk_scalars(node: Node) -> Iterator[Node]:
    """Every scalar below a node, keys included; aliases give the scalars of their anchor again."""
    if node.kind == "scalar":
        yield node
    for key, item in node.entries:
        yield key
        yield from walk_scalars(item)
    for item in node.items:
        yield from walk_scalars(item)
