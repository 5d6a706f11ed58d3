"""Everything that can be said about definitions: of one step's JSON, or of all files of a repository."""

import gc
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from argyll.analysis.delivery import DEFAULT, Delivery
from argyll.analysis.diagnostics import Diagnostic, Related, Span, any_rejects, finding, place_order
from argyll.analysis.files import CheckedFiles, Definition, examine
from argyll.analysis.lint import check_repository
from argyll.analysis.project import PROJECT_FILE, Project, read_project
from argyll.analysis.rendering import Renderer, ValuesFiles
from argyll.analysis.source import read_source
from argyll.analysis.suppress import suppress
from argyll.analysis.wiring import check_against
from argyll.model.catalog import Catalog
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import JSONObject
from argyll.scripts import Scripts


def check_step(value: JSON, *, native: bool, scripts: Scripts) -> tuple[Step | None, list[Diagnostic]]:
    """All findings of one step's JSON in either spelling, and the step when nothing rejects it.

    `native` says that the value was written as YAML: `default` and `value` mean themselves, and nothing may be null.
    """
    draft, findings = examine(value, native, scripts)
    step = draft.step if draft is not None and not any_rejects(findings) else None
    return step, findings


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


@dataclass
class _Member:
    """A definition among all others, with the findings of it alone and together with them."""

    definition: Definition
    findings: list[Diagnostic]

    @property
    def id(self) -> str:
        return self.definition.id

    def place(self) -> tuple[str, int]:
        return self.definition.path, self.definition.id_span.start


def check_files(
    files: Mapping[str, bytes] | Iterable[Path],
    *,
    scripts: Scripts,
    project: Project | None = None,
    env: str | None = None,
    remembered: CheckedFiles | None = None,
) -> Report:
    """All findings of all files, each alone and all together.

    `files` maps paths to contents, or lists files to read (raises `OSError`). A file called `argyll.yaml` among them
    is read as the project unless one is given. `env` is the environment whose values fill in expressions, empty for
    none. By default every environment that has a values file is checked, and the report is that of all of them.
    With `remembered`, files that have not changed since its last check are not examined again.
    """
    contents: dict[str, bytes] = {}
    for file in files:
        contents[str(file)] = file.read_bytes() if isinstance(file, Path) else cast(Mapping[str, bytes], files)[file]
    with _collector_paused():
        return _checked(contents, scripts, project, env, remembered or CheckedFiles())


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


def _checked(
    contents: Mapping[str, bytes],
    scripts: Scripts,
    project: Project | None,
    env: str | None,
    remembered: CheckedFiles,
) -> Report:
    findings: list[Diagnostic] = []
    root, place = "", ""
    for path in sorted(path for path in contents if PurePath(path).name == PROJECT_FILE):
        read, problems = read_project(contents[path], path)
        findings += problems
        if project is None:
            project, root, place = read, str(PurePosixPath(path).parent), path
    files = _Files(contents, project or Project(), root, place)
    names = [env] if env is not None else files.values.environments() or [""]
    reports = {name: _of_environment(files, name, scripts, findings, remembered) for name in names}
    remembered.settle()
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


def _of_environment(
    files: _Files, env: str, scripts: Scripts, findings: list[Diagnostic], remembered: CheckedFiles
) -> Report:
    report = Report(files=files.count, project=files.project)
    values, problems = files.values_of(env)
    # Without the values, every use of one would be a finding of its own.
    renderer = Renderer(None if any_rejects(problems) else values, env)
    read = [remembered.file(path, content, scripts, renderer) for path, content in files.steps.items()]
    members = [_Member(definition, list(definition.findings)) for file in read for definition in file.definitions]
    unique = _together([member for member in members if not member.definition.delivery.disabled], files.project)
    by_path = {file.path: list(file.findings) for file in read}
    for member in members:
        by_path[member.definition.path] += member.findings
    report.diagnostics = [*findings, *problems]
    for file in read:
        report.diagnostics += suppress(file.source, file.content, by_path[file.path])
    report.diagnostics = sorted(_graded(report.diagnostics, report.project), key=place_order)
    for step_id, member in sorted(unique.items()):
        definition = member.definition
        if definition.draft is not None and definition.file.complete and not any_rejects(member.findings):
            report.steps[step_id] = LocatedStep(
                definition.draft.step, definition.path, definition.id_span, definition.delivery
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


def _together(members: list[_Member], project: Project) -> dict[str, _Member]:
    """Check all definitions as one catalog, add the findings to them, and return the first definition of each id."""
    unique: dict[str, _Member] = {}
    for member in sorted((each for each in members if each.id), key=_Member.place):
        first = unique.setdefault(member.id, member)
        if first is not member:
            path, span = first.definition.path, first.definition.id_span
            other = Related("first defined here", first.id, ("id",), "value", path, span)
            message = f"step `{member.id}` is defined twice"
            hint = "rename or remove one of the two"
            found = finding("ARG600", message, ("id",), hint=hint, step_id=first.id, related=(other,))
            member.findings.append(member.definition.placed(found))
    steps = {step_id: each.definition.draft.step for step_id, each in unique.items() if each.definition.draft}
    findings = check_against(Catalog(), list(steps.values()), complete=True)
    # With a file unread, nobody knows what is missing.
    if all(member.definition.file.complete for member in members):
        findings += check_repository(steps, project.external_inputs)
    for found in findings:
        _report_wiring(unique, found)
    return unique


def _report_wiring(unique: Mapping[str, _Member], found: Diagnostic) -> None:
    """Report a finding about several steps at the place that comes last (decisions 49), with the others as related."""
    sides = [Related(found.label, found.step_id, found.pointer, found.at), *found.related]
    located = [_locate(unique[side.step_id].definition, side) for side in sides]
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


def _locate(definition: Definition, side: Related) -> Related:
    return replace(side, path=definition.path, span=definition.locate(side.pointer, side.at))


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
