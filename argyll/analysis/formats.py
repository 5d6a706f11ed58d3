"""Findings in the forms that build systems read: SARIF 2.1.0, JUnit XML, and annotations of GitHub Actions.

Pure functions of findings; none of them reads a file or decides an exit code.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote
from xml.etree import ElementTree

from argyll.analysis.catalogue import CATALOGUE, Severity
from argyll.analysis.diagnostics import Diagnostic, Span
from argyll.analysis.render import summary
from argyll.model.json import JSON
from argyll.model.wire import JSONObject

MAX_ANNOTATIONS = 10
"""Annotations of one severity that GitHub shows for a step of a job; more are dropped there without a word."""

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_SARIF_LEVELS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note", "hint": "note"}
_GITHUB_COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "notice", "hint": "notice"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fingerprint(found: Diagnostic) -> str:
    """What stays the same of a finding when lines move or, for one about a step, when its file is renamed."""
    place = found.step_id or found.path
    return hashlib.sha256("\0".join((found.code, place, found.json_pointer, found.message)).encode()).hexdigest()


def new_findings(findings: Iterable[Diagnostic], earlier: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings that were not there before; one that now stands twice is new once."""
    known: dict[str, int] = {}
    for found in earlier:
        key = fingerprint(found)
        known[key] = known.get(key, 0) + 1
    fresh: list[Diagnostic] = []
    for found in findings:
        key = fingerprint(found)
        if known.get(key, 0):
            known[key] -= 1
        else:
            fresh.append(found)
    return fresh


def sarif(findings: Sequence[Diagnostic], version: str) -> JSONObject:
    """A SARIF log of one run; `version` is that of the tool. Paths are relative to where the check ran."""
    codes = sorted({found.code for found in findings})
    rules: list[JSON] = [_rule(code) for code in codes]
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "argyll", "version": version, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(found, codes.index(found.code)) for found in findings],
            }
        ],
    }


def _rule(code: str) -> JSONObject:
    entry = CATALOGUE[code]
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.explanation},
        "defaultConfiguration": {"level": _SARIF_LEVELS[entry.severity]},
    }


def _result(found: Diagnostic, rule: int) -> JSONObject:
    location = _location(found.path, found.span)
    if found.step_id:
        name = found.step_id + found.json_pointer
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "member"}]
    result: JSONObject = {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": _SARIF_LEVELS[found.severity],
        "message": {"text": found.text},
        "locations": [location],
        "partialFingerprints": {"argyllFinding/v1": fingerprint(found)},
    }
    related = [
        _location(other.path, other.span) | {"id": number, "message": {"text": other.message or "see also"}}
        for number, other in enumerate(found.related)
    ]
    return result | ({"relatedLocations": related} if related else {})


def _location(path: str, span: Span | None) -> JSONObject:
    place: JSONObject = {"artifactLocation": {"uri": quote(path)}}
    if span is not None:
        place["region"] = {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": max(span.end_column, span.column + (span.line == span.end_line)),
        }
    return {"physicalLocation": place}


def junit(findings: Sequence[Diagnostic], paths: Iterable[str]) -> str:
    """A JUnit report: a test case for every file, failed when the file has an error; the rest is its output."""
    by_path: dict[str, list[Diagnostic]] = {path: [] for path in sorted(paths)}
    for found in findings:
        by_path.setdefault(found.path, []).append(found)
    failed = sum(any(found.severity == "error" for found in group) for group in by_path.values())
    totals = {"tests": str(len(by_path)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", totals)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "argyll check", **totals})
    for path, group in by_path.items():
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "argyll", "name": _xml(path), "file": _xml(path)}
        )
        errors = [found for found in group if found.severity == "error"]
        if errors:
            attributes = {"type": errors[0].code, "message": _xml(summary(errors))}
            ElementTree.SubElement(case, "failure", attributes).text = _xml("\n".join(map(_line, errors)))
        others = [found for found in group if found.severity != "error"]
        if others:
            ElementTree.SubElement(case, "system-out").text = _xml("\n".join(map(_line, others)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _line(found: Diagnostic) -> str:
    place = f"{found.path}:{found.span.line}:{found.span.column}" if found.span else found.path
    return f"{place}: {found.severity} {found.code}: {found.text}"


def _xml(text: str) -> str:
    """Text without the characters that no XML document may hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def github(findings: Sequence[Diagnostic]) -> str:
    """Workflow commands that make annotations, the first of each kind that GitHub would show, then a line that counts."""
    lines: list[str] = []
    shown = dict.fromkeys(_GITHUB_COMMANDS.values(), 0)
    for found in findings:
        command = _GITHUB_COMMANDS[found.severity]
        shown[command] += 1
        if shown[command] <= MAX_ANNOTATIONS:
            lines.append(f"::{command} {_github_properties(found)}::{_github_text(found.text)}")
    hidden = sum(max(0, number - MAX_ANNOTATIONS) for number in shown.values())
    return "\n".join([*lines, summary(findings) + (f" ({hidden} not annotated)" if hidden else "")])


def _github_properties(found: Diagnostic) -> str:
    properties = {"file": found.path}
    if found.span is not None:
        properties |= {"line": str(found.span.line), "endLine": str(found.span.end_line)}
        # Columns over several lines are refused.
        if found.span.line == found.span.end_line:
            properties |= {"col": str(found.span.column), "endColumn": str(found.span.end_column)}
    properties["title"] = f"{found.code} {CATALOGUE[found.code].title}"
    return ",".join(f"{name}={_github_property(value)}" for name, value in properties.items())


def _github_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_text(text).replace(":", "%3A").replace(",", "%2C")
