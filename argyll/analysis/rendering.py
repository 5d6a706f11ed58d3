"""From files as written to the steps of one environment: its values, and the expressions that use them.

Structure comes first: a file is parsed, then expressions inside its scalars are evaluated. A result is data and never
read as YAML again, so lines stay where they are and nothing can be injected.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import cast

from msgspec import Struct

from argyll.analysis.delivery import Delivery
from argyll.analysis.diagnostics import Diagnostic, Pointer, finding
from argyll.analysis.expressions import (
    OPENING,
    Evaluator,
    ExpressionFailed,
    FaultyExpression,
    UnfitResult,
    UnknownValue,
    expressions,
)
from argyll.analysis.nearest import did_you_mean
from argyll.analysis.project import Project
from argyll.analysis.source import MAX_FILE_BYTES, Document, Node, read_source
from argyll.model import json
from argyll.model.json import JSON
from argyll.model.wire import JSONObject

_CODES: tuple[tuple[type[ExpressionFailed], str], ...] = (
    (FaultyExpression, "ARG810"),
    (UnknownValue, "ARG811"),
    (UnfitResult, "ARG813"),
)


class Rendered(Struct):
    """A document as data. `places` are the pointers of scalars that were filled in, `failed` of those that could not be."""

    value: JSON
    findings: list[Diagnostic] = []
    places: set[Pointer] = set()
    failed: set[Pointer] = set()


def values_pattern(text: str) -> re.Pattern[str] | None:
    """What paths a `values` entry of `argyll.yaml` stands for, with the environment as group `env`; None if it is faulty."""
    pattern, position = "", 0
    try:
        for start, end, source in expressions(text):
            if source != "env":
                return None
            group = "(?P=env)" if "(?P<env>" in pattern else "(?P<env>[^/]+)"
            pattern += re.escape(text[position:start]) + group
            position = end
    except ExpressionFailed:
        return None
    return re.compile(pattern + re.escape(text[position:]))


class ValuesFiles:
    """The values files of a project among some files; `root` is the directory of `argyll.yaml`."""

    def __init__(self, project: Project, root: str, contents: Mapping[str, bytes]) -> None:
        self._entries, self._root, self._contents = project.values, PurePosixPath(root), contents
        self._patterns = [pattern for entry in project.values if (pattern := values_pattern(entry)) is not None]

    def holds(self, path: str) -> bool:
        """Whether a file is one of them, for whatever environment."""
        return any(pattern.fullmatch(self._inside(path)) for pattern in self._patterns)

    def environments(self) -> list[str]:
        """The environments that have a values file, ascending."""
        found: set[str] = set()
        for pattern in self._patterns:
            if "env" in pattern.groupindex:
                matches = (pattern.fullmatch(self._inside(path)) for path in self._contents)
                found.update(match["env"] for match in matches if match is not None)
        return sorted(found)

    def read(self, env: str) -> tuple[JSONObject, list[Diagnostic]]:
        """The values of an environment, later files over earlier ones, and the findings.

        Findings about the list itself point into `argyll.yaml` and have no path yet.
        """
        values: JSONObject = {}
        findings: list[Diagnostic] = []
        for index, entry in enumerate(self._entries):
            here: Pointer = ("values", index)
            if not env and OPENING in entry:
                known = ", ".join(self.environments())
                hint = f"choose one with --env: {known}" if known else "choose one with --env"
                findings.append(finding("ARG812", "the values depend on the environment", here, hint=hint))
                continue
            try:
                inside = str(Evaluator({"env": env}).text(entry))
            except ExpressionFailed as error:
                findings.append(_failure(error, here))
                continue
            path = str(self._root / inside)
            if path not in self._contents:
                hint = did_you_mean(env, self.environments()) or "every environment needs its file, even if it is empty"
                findings.append(finding("ARG812", f"there is no `{inside}`", here, hint=hint))
                continue
            read, problems = _read_mapping(path, self._contents[path])
            findings += problems
            _merge(values, read, (), findings, path)
        return values, findings

    def _inside(self, path: str) -> str:
        try:
            return PurePosixPath(path).relative_to(self._root).as_posix()
        except ValueError:
            return ""


def _read_mapping(path: str, content: bytes) -> tuple[JSONObject, list[Diagnostic]]:
    source = read_source(path, content)
    if not source.documents or not source.complete:
        return {}, source.findings
    document = source.documents[0]
    value = document.value()
    if not isinstance(value, dict) or len(source.documents) > 1:
        span = document.locate(())
        source.report("ARG812", "a values file is one mapping of names to values", span.start, span.end)
        return {}, source.findings
    return cast(JSONObject, value), source.findings


def _merge(into: JSONObject, later: JSONObject, pointer: Pointer, findings: list[Diagnostic], path: str) -> None:
    """Mappings merge, everything else replaces; a mapping and something else are no two forms of one value."""
    for key, value in later.items():
        earlier = into.get(key)
        if isinstance(earlier, dict) and isinstance(value, dict):
            _merge(cast(JSONObject, earlier), cast(JSONObject, value), (*pointer, key), findings, path)
        elif key in into and isinstance(earlier, dict) != isinstance(value, dict) and None not in (earlier, value):
            name = ".".join(map(str, (*pointer, key)))
            message = f"`{path}` makes `{name}` a mapping in one file and something else in another"
            findings.append(finding("ARG812", message, ("values",), hint="use two names"))
        else:
            into[key] = value


class Renderer:
    """Fills in the documents of one environment. Without values (None) it only finds out what cannot be known."""

    def __init__(self, values: JSONObject | None, env: str) -> None:
        self.env = env
        self._key = None if values is None else json.canonical(values)
        self._evaluator = None if values is None else Evaluator({"values": values, "env": env})

    def key_for(self, content: bytes) -> bytes | None:
        """What the outcome of rendering a file depends on beside its content; empty when it holds no expression."""
        return self._key if OPENING.encode() in content else b""

    def render(self, document: Document, path: str, delivery: Delivery) -> Rendered:
        """A document as data; scalars that cannot be filled in keep their text and give a finding."""
        if delivery.expressions == "none" or OPENING not in document.lines.text:
            return Rendered(document.value())
        filling = _Filling(self._evaluator, path, delivery)
        filling.rendered.value = filling.fill(document.root, ())
        return filling.rendered


class _Filling:
    """One document in the making."""

    def __init__(self, evaluator: Evaluator | None, path: str, delivery: Delivery) -> None:
        self._evaluator, self._names = evaluator, {"file": {"path": path}}
        self._scripts = delivery.expressions == "scripts"
        self._size = 0
        self.rendered = Rendered(None, [], set(), set())

    def fill(self, node: Node, pointer: Pointer) -> JSON:
        if node.kind == "sequence":
            return [self.fill(item, (*pointer, index)) for index, item in enumerate(node.items)]
        if node.kind == "mapping":
            return {key.text: self._member(key, item, pointer) for key, item in node.entries}
        if OPENING not in node.text or (pointer[-1:] == ("script",) and not self._scripts):
            return node.value
        if self._evaluator is None:
            self.rendered.failed.add(pointer)
            return node.value
        try:
            value = self._evaluator.text(node.text, self._names)
            self._account(value)
        except ExpressionFailed as error:
            self.rendered.findings.append(_failure(error, pointer))
            self.rendered.failed.add(pointer)
            return node.value
        self.rendered.places.add(pointer)
        return value

    def _member(self, key: Node, item: Node, pointer: Pointer) -> JSON:
        here = (*pointer, key.text)
        if OPENING in key.text:
            hint = "write the key out; only values can be expressions"
            self.rendered.findings.append(finding("ARG810", "a key cannot be an expression", here, hint=hint, at="key"))
            self.rendered.failed.add(here)
        return self.fill(item, here)

    def _account(self, value: JSON) -> None:
        self._size += len(value) if isinstance(value, str) else len(json.encode(value))
        if self._size > MAX_FILE_BYTES:
            raise UnfitResult(f"the document grows beyond {MAX_FILE_BYTES:,} bytes", "use smaller values")


def _failure(error: ExpressionFailed, pointer: Pointer) -> Diagnostic:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return finding(code, str(error), pointer, hint=error.hint, within=error.within)


def without_followers(findings: Iterable[Diagnostic], failed: set[Pointer]) -> list[Diagnostic]:
    """The findings that are not about places whose value is unknown."""
    return [
        found
        for found in findings
        if not any(found.pointer[:length] in failed for length in range(1, len(found.pointer) + 1))
    ]
