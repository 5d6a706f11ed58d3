"""One step file for itself: read, rendered and examined, and remembered while it stays the same.

What files mean together is `argyll.analysis.check`. A remembered file keeps its steps and findings but not its tree of
positions, which is read again when somebody asks for a place.
"""

from collections.abc import Iterable
from pathlib import PurePath
from typing import cast

from msgspec.structs import replace

from argyll.analysis.delivery import DEFAULT, KEY, Delivery, read_delivery
from argyll.analysis.diagnostics import At, Diagnostic, Pointer, Span, finding, of_step
from argyll.analysis.draft import Draft, read_draft
from argyll.analysis.rendering import Renderer, without_followers
from argyll.analysis.rules import check_rules
from argyll.analysis.source import Document, Source, read_source
from argyll.analysis.structure import check_structure
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON
from argyll.model.limits import MAX_STEP_BODY_BYTES
from argyll.model.shape import STEP_MARKS
from argyll.model.wire import JSONObject, canonical_step
from argyll.scripts import Scripts

SMALL_DOCUMENT = MAX_STEP_BODY_BYTES // 8
"""Characters up to which a document cannot reach the limit on a step, escapes included."""


def examine(value: JSON, native: bool, scripts: Scripts) -> tuple[Draft | None, list[Diagnostic]]:
    """A step's JSON as far as it can be read, and every finding of it alone; pointers, no places."""
    findings = check_structure(value, native=native)
    draft = read_draft(value, findings, native=native)
    if draft is None:
        return None, findings
    findings += check_rules(draft, scripts)
    return draft, of_step(draft.step.id, findings) if draft.step.id else findings


class StepFile:
    """A file with the definitions in it. `findings` are those of the text and of documents that are no steps."""

    def __init__(self, path: str, content: bytes, scripts: Scripts, renderer: Renderer) -> None:
        self.path, self.content = path, content
        self._source: Source | None = read_source(path, content)
        self.complete = self._source.complete
        """Whether the text could be read to its end."""
        self.rendered_with = renderer.key_for(content)
        self.definitions = list(self._definitions(self._source, scripts, renderer))
        self.findings = tuple(self._source.findings)

    def source(self) -> Source:
        """The file with its positions."""
        if self._source is None:
            self._source = read_source(self.path, self.content)
        return self._source

    def forget_positions(self) -> None:
        """Let go of the positions, which take most of the memory."""
        self._source = None

    def _definitions(self, source: Source, scripts: Scripts, renderer: Renderer) -> Iterable["Definition"]:
        for index, document in enumerate(source.documents):
            delivery, findings = _delivery_of(document)
            if not delivery.belongs_to(renderer.env):
                continue
            rendered = renderer.render(document, self.path, delivery)
            value = _without_delivery(rendered.value)
            if isinstance(value, dict) and value and STEP_MARKS.isdisjoint(cast(JSONObject, value)):
                if source.complete:
                    place = document.locate(())
                    hint = "a step has `id`, `name` and `type`"
                    source.report("ARG015", "this document is no step", place.start, place.end, hint=hint)
                continue
            draft, problems = examine(value, True, scripts)
            if source.complete:
                problems += _file_rules(source, document, draft, grown=bool(rendered.places))
            findings += rendered.findings + without_followers(problems, rendered.failed)
            definition = Definition(self, index, draft, delivery, frozenset(rendered.places))
            # Of a file that could not be read to its end, only what it defines is known, not what it lacks.
            definition.findings = tuple(map(definition.placed, findings)) if source.complete else ()
            yield definition


class Definition:
    """A document that is meant to be a step, read as far as possible, with the findings of it alone."""

    def __init__(
        self, file: StepFile, index: int, draft: Draft | None, delivery: Delivery, rendered: frozenset[Pointer]
    ) -> None:
        self.file, self.draft, self.delivery = file, draft, delivery
        self.findings: tuple[Diagnostic, ...] = ()
        self.id = draft.step.id if draft is not None else ""
        self._index, self._rendered = index, rendered
        self._spans: dict[tuple[Pointer, At], Span] = {}
        self.id_span = self.locate(("id",))

    @property
    def path(self) -> str:
        """The file that it stands in."""
        return self.file.path

    def locate(self, pointer: Pointer, at: At = "value") -> Span:
        """The place of a value or key."""
        span = self._spans.get((pointer, at))
        if span is None:
            span = self._spans[pointer, at] = self._document.locate(pointer, at)
        return span

    def placed(self, found: Diagnostic) -> Diagnostic:
        """A finding about this definition with its place, and with those of related places in it."""
        if found.within is not None and found.pointer not in self._rendered:
            span = self._document.locate(found.pointer, found.at, found.within)
        else:
            span = self.locate(found.pointer, found.at)
        related = tuple(
            other if other.path else replace(other, path=self.path, span=self.locate(other.pointer, other.at))
            for other in found.related
        )
        return replace(found, path=self.path, span=span, related=related)

    @property
    def _document(self) -> Document:
        return self.file.source().documents[self._index]


class CheckedFiles:
    """Remembers files between checks, so that a check reads and examines only what is new. For one thread at a time."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], StepFile] = {}
        self._used: dict[tuple[str, str], StepFile] = {}

    def file(self, path: str, content: bytes, scripts: Scripts, renderer: Renderer) -> StepFile:
        """The file, as remembered if neither its content nor the values it uses have changed."""
        key = (renderer.env, path)
        file = self._files.get(key)
        if file is None or file.content != content or file.rendered_with != renderer.key_for(content):
            file = StepFile(path, content, scripts, renderer)
        self._used[key] = file
        return file

    def settle(self) -> None:
        """After a check: forget the files it did not see, and the positions of the others."""
        self._files, self._used = self._used, {}
        for file in self._files.values():
            file.forget_positions()


def _delivery_of(document: Document) -> tuple[Delivery, list[Diagnostic]]:
    if document.root.kind != "mapping":
        return DEFAULT, []
    member = document.root.child(KEY)
    return (DEFAULT, []) if member is None else read_delivery(member[1].to_json())


def _without_delivery(value: JSON) -> JSON:
    if isinstance(value, dict) and KEY in value:
        return {key: item for key, item in cast(JSONObject, value).items() if key != KEY}
    return value


def _file_rules(source: Source, document: Document, draft: Draft | None, *, grown: bool) -> list[Diagnostic]:
    if draft is None:
        return []
    findings: list[Diagnostic] = []
    for name in draft.step.attributes:
        node = document.find(("attributes", name, "type"))
        if node is not None and node.value is None and node.kind == "scalar" and node.text != "null":
            hint = "give it a value, or remove the key"
            findings.append(finding("ARG106", "`type` is empty", ("attributes", name, "type"), hint=hint, at="key"))
    if grown or document.root.weight > SMALL_DOCUMENT:
        size = len(canonical_step(draft.step))
        if size > MAX_STEP_BODY_BYTES:
            message = f"the step has {size:,} bytes as JSON, the limit is {MAX_STEP_BODY_BYTES:,}"
            findings.append(finding("ARG011", message, ("id",), hint="move large values out of the definition"))
    stem = PurePath(source.path).stem
    if sanitize_id(draft.step.id) == draft.step.id != "" and len(source.documents) == 1 and stem != draft.step.id:
        message = f"the file is called `{stem}`, the step `{draft.step.id}`"
        findings.append(finding("ARG210", message, ("id",), hint=f"rename the file to `{draft.step.id}.yaml`"))
    return of_step(draft.step.id, findings)
