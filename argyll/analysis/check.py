"""Everything that can be said about definitions: of one step's JSON, or of all files of a repository."""

import gc
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from argyll.analysis.delivery import DEFAULT, KEY, Delivery, read_delivery
from argyll.analysis.diagnostics import Diagnostic, Pointer, Related, Span, any_rejects, finding, of_step, place_order
from argyll.analysis.draft import Draft, read_draft
from argyll.analysis.lint import check_repository
from argyll.analysis.project import PROJECT_FILE, Project, read_project
from argyll.analysis.rendering import Renderer, ValuesFiles, without_followers
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
    """A sound step, where it is defined (`span` is that of its id), and how its file wants it delivered."""

    step: Step
    path: str
    span: Span
    delivery: Delivery = DEFAULT


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
    delivery: Delivery = DEFAULT
    rendered: frozenset[Pointer] = frozenset()
    """Where the text of the file is not the value of the step."""

    @property
    def id(self) -> str:
        return self.draft.step.id if self.draft is not None else ""

    def place(self) -> tuple[str, int]:
        return self.source.path, self.document.locate(("id",)).start


def check_files(
    files: Mapping[str, bytes] | Iterable[Path],
    *,
    scripts: Scripts,
    project: Project | None = None,
    env: str | None = None,
) -> Report:
    """All findings of all files, each alone and all together.

    `files` maps paths to contents, or lists files to read (raises `OSError`). A file called `argyll.yaml` among them
    is read as the project unless one is given. `env` is the environment whose values fill in expressions, empty for
    none. By default every environment that has a values file is checked, and the report is that of all of them.
    """
    contents: dict[str, bytes] = {}
    for file in files:
        contents[str(file)] = file.read_bytes() if isinstance(file, Path) else cast(Mapping[str, bytes], files)[file]
    with _collector_paused():
        return _checked(contents, scripts, project, env)


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


def _checked(contents: Mapping[str, bytes], scripts: Scripts, project: Project | None, env: str | None) -> Report:
    findings: list[Diagnostic] = []
    root, place = "", ""
    for path in sorted(path for path in contents if PurePath(path).name == PROJECT_FILE):
        read, problems = read_project(contents[path], path)
        findings += problems
        if project is None:
            project, root, place = read, str(PurePosixPath(path).parent), path
    files = _Files(contents, project or Project(), root, place)
    names = [env] if env is not None else files.values.environments() or [""]
    reports = {name: _of_environment(files, name, scripts, findings) for name in names}
    return reports[names[0]] if len(names) == 1 else _merged(reports)


class _Files:
    """Files with the project that they belong to. `place` is where the project stands, empty if in no file."""

    def __init__(self, contents: Mapping[str, bytes], project: Project, root: str, place: str) -> None:
        self.project, self.count = project, len(contents)
        self.values = ValuesFiles(project, root, contents)
        self.steps = {
            path: contents[path]
            for path in sorted(contents)
            if PurePath(path).name != PROJECT_FILE and not self.values.holds(path)
        }
        self._contents, self._place = contents, place

    def values_of(self, env: str) -> tuple[JSONObject, list[Diagnostic]]:
        """The values of an environment; findings about the list of files are placed in the project file."""
        values, findings = self.values.read(env)
        if not findings or not self._place:
            return values, findings
        document = next(iter(read_source(self._place, self._contents[self._place]).documents))
        return values, [
            found
            if found.path
            else replace(found, path=self._place, span=document.locate(found.pointer, found.at, found.within))
            for found in findings
        ]


def _of_environment(files: _Files, env: str, scripts: Scripts, findings: list[Diagnostic]) -> Report:
    report = Report(files=files.count, project=files.project)
    values, problems = files.values_of(env)
    sources = [read_source(path, content) for path, content in files.steps.items()]
    report.diagnostics = [*findings, *problems]
    # Without the values, every use of one would be a finding of its own.
    renderer = Renderer(None if any_rejects(problems) else values, env)
    definitions = [definition for source in sources for definition in _definitions(source, scripts, renderer, env)]
    unique = _together([definition for definition in definitions if not definition.delivery.disabled], files.project)
    by_path: dict[str, list[Diagnostic]] = {source.path: list(source.findings) for source in sources}
    for definition in definitions:
        by_path[definition.source.path] += definition.findings
    for source in sources:
        report.diagnostics += suppress(source, by_path[source.path])
    report.diagnostics = sorted(_graded(report.diagnostics, report.project), key=place_order)
    for step_id, definition in sorted(unique.items()):
        if definition.draft is not None and definition.source.complete and not any_rejects(definition.findings):
            span = definition.document.locate(("id",))
            report.steps[step_id] = LocatedStep(
                definition.draft.step, definition.source.path, span, definition.delivery
            )
    return report


def _merged(reports: Mapping[str, Report]) -> Report:
    """One report about several environments; a finding that not all of them have says which do."""
    first = next(iter(reports.values()))
    merged = Report(files=first.files, project=first.project)
    environments: dict[Diagnostic, list[str]] = {}
    for env, report in reports.items():
        merged.steps |= report.steps
        for found in dict.fromkeys(report.diagnostics):
            environments.setdefault(found, []).append(env)
    merged.diagnostics = sorted(
        (
            found if len(envs) == len(reports) else replace(found, message=f"{found.message} (in {', '.join(envs)})")
            for found, envs in environments.items()
        ),
        key=place_order,
    )
    return merged


def _graded(findings: Iterable[Diagnostic], project: Project) -> list[Diagnostic]:
    graded: list[Diagnostic] = []
    for found in findings:
        severity = project.severity(found)
        if severity is not None:
            graded.append(found if severity == found.severity else replace(found, severity=severity))
    return graded


def _definitions(source: Source, scripts: Scripts, renderer: Renderer, env: str) -> list[_Definition]:
    definitions: list[_Definition] = []
    for document in source.documents:
        root = document.value() if document.root.kind != "mapping" or document.root.child(KEY) else {}
        delivery, findings = read_delivery(root[KEY]) if isinstance(root, dict) and KEY in root else (DEFAULT, [])
        if not delivery.belongs_to(env):
            continue
        rendered = renderer.render(document, source.path, delivery)
        value = _without_delivery(rendered.value)
        if isinstance(value, dict) and value and STEP_MARKS.isdisjoint(cast(JSONObject, value)):
            if source.complete:
                place = document.locate(())
                hint = "a step has `id`, `name` and `type`"
                source.report("ARG015", "this document is no step", place.start, place.end, hint=hint)
            continue
        draft, problems = _examine(value, True, scripts)
        if source.complete:
            problems += _file_rules(source, document, draft, grown=bool(rendered.places))
        findings += rendered.findings + without_followers(problems, rendered.failed)
        definition = _Definition(source, document, draft, [], delivery, frozenset(rendered.places))
        # Of a file that could not be read to its end, only what it defines is known, not what it lacks.
        for found in findings if source.complete else ():
            _report(definition, found)
        definitions.append(definition)
    return definitions


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


def _report(definition: _Definition, found: Diagnostic) -> None:
    within = None if found.pointer in definition.rendered else found.within
    span = definition.document.locate(found.pointer, found.at, within)
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
