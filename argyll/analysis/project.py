"""`argyll.yaml`: what a repository says about its own checks. Settings that would widen rights are not here."""

from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from argyll.analysis.catalogue import CATALOGUE, Severity
from argyll.analysis.diagnostics import Diagnostic, Pointer, finding
from argyll.analysis.nearest import did_you_mean
from argyll.analysis.source import Document, read_source
from argyll.analysis.structure import check_fields
from argyll.model.json import JSON
from argyll.model.shape import Field, shape
from argyll.model.wire import JSONObject

PROJECT_FILE = "argyll.yaml"

LEVELS: dict[str, Severity | None] = {"off": None, "hint": "hint", "info": "info", "warn": "warning", "error": "error"}
"""What a rule can be set to in `check.rules`."""

CHECK = shape(
    "check",
    "How findings are graded.",
    Field("rules", "map", f"Severity by code: {', '.join(LEVELS)}. Findings that engines refuse cannot be changed."),
)

PROJECT = shape(
    "argyll.yaml",
    "The settings of a repository of steps.",
    Field("apiVersion", "text", "Version of this format.", choices=("argyll/v1",)),
    Field("kind", "text", "What this document is.", choices=("Project",)),
    Field("paths", "list", "Directories that hold step files; absent means all."),
    Field("external_inputs", "list", "Names, or patterns with `*`, of attributes that flows are started with."),
    Field(
        "values",
        "list",
        "Files with the values of `${{ values.name }}`, later ones over earlier ones; `${{ env }}` in a path stands for "
        "the environment.",
    ),
    Field("check", "object", CHECK.doc, members=CHECK),
)


class Project(Struct, frozen=True):
    """The settings of a repository. `rules` maps codes to a severity, None for off."""

    paths: tuple[str, ...] = ()
    external_inputs: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    rules: dict[str, Severity | None] = {}

    def severity(self, found: Diagnostic) -> Severity | None:
        """The severity that the repository gives a finding; None when it is switched off."""
        return found.severity if found.rejects else self.rules.get(found.code, found.severity)


def read_project(content: bytes, path: str = PROJECT_FILE) -> tuple[Project, list[Diagnostic]]:
    """The settings that a file holds, and its findings; what is faulty is passed over."""
    source = read_source(path, content)
    # `ARG601: off` is how a rule is switched off, and no trap.
    unread = [found for found in source.findings if found.code != "ARG012"]
    if not source.documents or not source.complete:
        return Project(), unread
    document = source.documents[0]
    value = document.value()
    findings = [replace(found, code="ARG804", severity="warning") for found in check_fields(value, PROJECT)]
    faulty = {found.pointer[:1] for found in findings}
    settings = cast(JSONObject, value) if isinstance(value, dict) else {}
    sound: JSONObject = {key: item for key, item in settings.items() if (key,) not in faulty}
    rules: dict[str, Severity | None] = {}
    written = cast(dict[str, JSON], (sound.get("check") or {}).get("rules") or {})
    for code, level in written.items():
        problem = _rule_problem(code, str(level))
        if problem is not None:
            findings.append(problem)
        else:
            rules[code] = LEVELS[str(level)]
    project = Project(
        paths=tuple(sound.get("paths") or ()),
        external_inputs=tuple(sound.get("external_inputs") or ()),
        values=tuple(sound.get("values") or ()),
        rules=rules,
    )
    return project, unread + [_located(found, document, path) for found in findings]


def _rule_problem(code: str, level: str) -> Diagnostic | None:
    here: Pointer = ("check", "rules", code)
    entry = CATALOGUE.get(code)
    if entry is None:
        return finding(
            "ARG804", f"`{code}` is not a code of a finding", here, hint=did_you_mean(code, CATALOGUE), at="key"
        )
    if entry.rejects:
        return finding(
            "ARG804", f"engines refuse `{code}`, so it cannot be changed", here, hint="remove the line", at="key"
        )
    if level not in LEVELS:
        return finding("ARG804", f"`{level}` is not a severity", here, hint=f"one of {', '.join(LEVELS)}")
    return None


def _located(found: Diagnostic, document: Document, path: str) -> Diagnostic:
    return replace(found, path=path, span=document.locate(found.pointer, found.at, found.within))
