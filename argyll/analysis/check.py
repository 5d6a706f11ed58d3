"""Everything that can be said about definitions: of one step's JSON, or of all files of a repository."""

import gc
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from argyll.analysis.diagnostics import Diagnostic, Related, Span, any_rejects, finding, of_step, place_order
from argyll.analysis.draft import Draft, read_draft
from argyll.analysis.lint import check_repository
from argyll.analysis.project import PROJECT_FILE, Project, read_project
from argyll.analysis.rules import check_rules
from argyll.analysis.source import Document, Source, read_source
from argyll.analysis.structure import check_structure
from argyll.analysis.suppress import suppress
from argyll.analysis.wiring import check_against
from argyll.model.catalog import Catalog
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON
from argyll.model.limits import MAX_STEP_BODY_BYTES
from argyll.model.shape import STEP_MARKS
from argyll.model.step import Step
from argyll.model.wire import JSONObject, canonical_step
from argyll.scripts import Scripts

SMALL_DOCUMENT = MAX_STEP_BODY_BYTES // 8
"""Characters up to which a document cannot reach the limit on a step, escapes included."""


def check_step(value: JSON, *, native: bool, scripts: Scripts) -> tuple[Step | None, list[Diagnostic]]:
    """All findings of one step's JSON in either spelling, and the step when nothing rejects it.

    `native` says that the value was written as YAML: `default` and `value` mean themselves, and nothing may be null.
    """
    draft, findings = _examine(value, native, scripts)
    step = draft.step if draft is not None and not any_rejects(findings) else None
    return step, findings


def _examine(value: JSON, native: bool, scripts: Scripts) -> tuple[Draft | None, list[Diagnostic]]:
    findings = check_structure(value, native=native)
    draft = read_draft(value, findings, native=native)
    if draft is None:
        return None, findings
    findings += check_rules(draft, scripts)
    return draft, of_step(draft.step.id, findings) if draft.step.id else findings


class LocatedStep(Struct, frozen=True):
    """A sound step and where it is defined; `span` is that of its id."""

    step: Step
    path: str
    span: Span


@dataclass
class Report:
    """What was found in some files: findings by place, and the steps that nothing rejects, by id."""

    steps: dict[str, LocatedStep] = field(default_factory=dict[str, LocatedStep])
    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])
    files: int = 0
    project: Project = field(default_factory=Project)

    @property
    def has_errors(self) -> bool:
        """Whether a finding is of severity error, whatever its class (decisions 48)."""
        return any(found.severity == "error" for found in self.diagnostics)


class _Definition(Struct):
    """A document that is meant to be a step, read as far as possible."""

    source: Source
    document: Document
    draft: Draft | None
    findings: list[Diagnostic]

    @property
    def id(self) -> str:
        return self.draft.step.id if self.draft is not None else ""

    def place(self) -> tuple[str, int]:
        return self.source.path, self.document.locate(("id",)).start


def check_files(
    files: Mapping[str, bytes] | Iterable[Path], *, scripts: Scripts, project: Project | None = None
) -> Report:
    """All findings of all files, each alone and all together.

    `files` maps paths to contents, or lists files to read (raises `OSError`). A file called `argyll.yaml` among them
    is read as the project unless one is given.
    """
    contents: dict[str, bytes] = {}
    for file in files:
        contents[str(file)] = file.read_bytes() if isinstance(file, Path) else cast(Mapping[str, bytes], files)[file]
    with _collector_paused():
        return _checked(contents, scripts, project)


@contextmanager
def _collector_paused() -> Generator[None]:
    """Spare the collector from walking trees that all live to the end: it would double the time of a large check."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _checked(contents: Mapping[str, bytes], scripts: Scripts, project: Project | None) -> Report:
    report = Report(files=len(contents))
    sources: list[Source] = []
    for path in sorted(contents):
        if PurePath(path).name == PROJECT_FILE:
            read, findings = read_project(contents[path], path)
            report.diagnostics += findings
            project = project or read
        else:
            sources.append(read_source(path, contents[path]))
    report.project = project or Project()
    definitions = [definition for source in sources for definition in _definitions(source, scripts)]
    unique = _together(definitions, report.project)
    by_path: dict[str, list[Diagnostic]] = {source.path: list(source.findings) for source in sources}
    for definition in definitions:
        by_path[definition.source.path] += definition.findings
    for source in sources:
        report.diagnostics += suppress(source, by_path[source.path])
    report.diagnostics = sorted(_graded(report.diagnostics, report.project), key=place_order)
    for step_id, definition in sorted(unique.items()):
        if definition.draft is not None and definition.source.complete and not any_rejects(definition.findings):
            span = definition.document.locate(("id",))
            report.steps[step_id] = LocatedStep(definition.draft.step, definition.source.path, span)
    return report


def _graded(findings: Iterable[Diagnostic], project: Project) -> list[Diagnostic]:
    graded: list[Diagnostic] = []
    for found in findings:
        severity = project.severity(found)
        if severity is not None:
            graded.append(found if severity == found.severity else replace(found, severity=severity))
    return graded


def _definitions(source: Source, scripts: Scripts) -> list[_Definition]:
    definitions: list[_Definition] = []
    for document in source.documents:
        value = document.value()
        if isinstance(value, dict) and value and STEP_MARKS.isdisjoint(cast(JSONObject, value)):
            if source.complete:
                place = document.locate(())
                hint = "a step has `id`, `name` and `type`"
                source.report("ARG015", "this document is no step", place.start, place.end, hint=hint)
            continue
        draft, findings = _examine(value, True, scripts)
        if source.complete:
            findings += _file_rules(source, document, draft)
        definition = _Definition(source, document, draft, [])
        # Of a file that could not be read to its end, only what it defines is known, not what it lacks.
        for found in findings if source.complete else ():
            _report(definition, found)
        definitions.append(definition)
    return definitions


def _file_rules(source: Source, document: Document, draft: Draft | None) -> list[Diagnostic]:
    if draft is None:
        return []
    findings: list[Diagnostic] = []
    for name in draft.step.attributes:
        node = document.find(("attributes", name, "type"))
        if node is not None and node.value is None and node.kind == "scalar" and node.text != "null":
            hint = "give it a value, or remove the key"
            findings.append(finding("ARG106", "`type` is empty", ("attributes", name, "type"), hint=hint, at="key"))
    if document.root.weight > SMALL_DOCUMENT:
        size = len(canonical_step(draft.step))
        if size > MAX_STEP_BODY_BYTES:
            message = f"the step has {size:,} bytes as JSON, the limit is {MAX_STEP_BODY_BYTES:,}"
            findings.append(finding("ARG011", message, ("id",), hint="move large values out of the definition"))
    stem = PurePath(source.path).stem
    if sanitize_id(draft.step.id) == draft.step.id != "" and len(source.documents) == 1 and stem != draft.step.id:
        message = f"the file is called `{stem}`, the step `{draft.step.id}`"
        findings.append(finding("ARG210", message, ("id",), hint=f"rename the file to `{draft.step.id}.yaml`"))
    return of_step(draft.step.id, findings)


def _report(definition: _Definition, found: Diagnostic) -> None:
    span = definition.document.locate(found.pointer, found.at, found.within)
    related = tuple(
        other
        if other.path
        else replace(other, path=definition.source.path, span=definition.document.locate(other.pointer, other.at))
        for other in found.related
    )
    definition.findings.append(replace(found, path=definition.source.path, span=span, related=related))


def _together(definitions: list[_Definition], project: Project) -> dict[str, _Definition]:
    """Check all definitions as one catalog, add the findings to them, and return the first definition of each id."""
    unique: dict[str, _Definition] = {}
    for definition in sorted((d for d in definitions if d.id), key=_Definition.place):
        first = unique.setdefault(definition.id, definition)
        if first is not definition:
            path, span = first.source.path, first.document.locate(("id",))
            other = Related("first defined here", first.id, ("id",), "value", path, span)
            message = f"step `{definition.id}` is defined twice"
            hint = "rename or remove one of the two"
            _report(definition, finding("ARG600", message, ("id",), hint=hint, step_id=first.id, related=(other,)))
    steps = {step_id: d.draft.step for step_id, d in unique.items() if d.draft is not None}
    findings = check_against(Catalog(), list(steps.values()), complete=True)
    # With a file unread, nobody knows what is missing.
    if all(definition.source.complete for definition in definitions):
        findings += check_repository(steps, project.external_inputs)
    for found in findings:
        _report_wiring(unique, found)
    return unique


def _report_wiring(unique: Mapping[str, _Definition], found: Diagnostic) -> None:
    """Report a finding about several steps at the place that comes last (decisions 49), with the others as related."""
    sides = [Related(found.label, found.step_id, found.pointer, found.at), *found.related]
    located = [_locate(unique[side.step_id], side) for side in sides]
    here = located[0]
    if found.code in _SYMMETRICAL:
        here = max(located, key=lambda side: (side.path, side.span.start if side.span else 0))
    unique[here.step_id].findings.append(
        replace(
            found,
            path=here.path,
            span=here.span,
            step_id=here.step_id,
            pointer=here.pointer,
            label=here.message,
            related=tuple(side for side in located if side is not here),
        )
    )


_SYMMETRICAL = frozenset({"ARG603", "ARG605", "ARG701"})
"""Findings that are about several steps alike."""


def _locate(definition: _Definition, side: Related) -> Related:
    return replace(side, path=definition.source.path, span=definition.document.locate(side.pointer, side.at))


def find_step_files(root: Path) -> list[Path]:
    """Every `*.yaml` and `*.yml` below a directory, sorted; hidden ones and `argyll.yaml` are left out.

    A file is returned as it is. Raises `FileNotFoundError` when there is nothing at `root`.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such file or directory")
    return sorted(
        path
        for pattern in ("*.yaml", "*.yml")
        for path in root.rglob(pattern)
        if path.is_file()
        and path.name != PROJECT_FILE
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
