"""Findings as build systems read them, and which of them a change brought."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.analysis.diagnostics import Diagnostic, Related, Span
from argyll.analysis.formats import MAX_ANNOTATIONS, fingerprint, github, junit, new_findings, sarif


def found(
    code: str = "ARG102",
    severity: str = "error",
    message: str = "no `type`",
    path: str = "a.yaml",
    line: int = 3,
    **more: object,
) -> Diagnostic:
    return Diagnostic(code, severity, message, path=path, span=Span(10, 14, line, 1, line, 5), **more)


def test_sarif_has_a_rule_for_each_code_and_a_result_for_each_finding() -> None:
    other = Related("first defined here", "a", path="b c.yaml", span=Span(0, 1, 1, 1, 1, 2))
    findings = [found(), found("ARG600", step_id="a", pointer=("id",), hint="rename", related=(other,)), found(line=9)]
    log = sarif(findings, "1.2.3")
    (run,) = log["runs"]
    assert run["tool"]["driver"]["version"] == "1.2.3"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["ARG102", "ARG600"]
    assert [(result["ruleId"], result["ruleIndex"]) for result in run["results"]] == [
        ("ARG102", 0), ("ARG600", 1), ("ARG102", 0)
    ]  # fmt: skip
    duplicate = run["results"][1]
    assert duplicate["message"]["text"] == "no `type`; rename"
    (place,) = duplicate["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 5}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "a/id"
    (related,) = duplicate["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "b%20c.yaml"


@pytest.mark.parametrize(
    ("severity", "level"), [("error", "error"), ("warning", "warning"), ("info", "note"), ("hint", "note")]
)
def test_sarif_levels(severity: str, level: str) -> None:
    assert sarif([found(severity=severity)], "1")["runs"][0]["results"][0]["level"] == level


def test_sarif_regions_are_never_empty() -> None:
    empty = Diagnostic("ARG001", "error", "x", path="a.yaml", span=Span(0, 0, 1, 1, 1, 1))
    region = sarif([empty], "1")["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region["endColumn"] > region["startColumn"]


def test_junit_has_a_case_for_every_file_and_fails_those_with_errors() -> None:
    suites = ElementTree.fromstring(
        junit([found(), found(severity="warning", path="b.yaml")], ["a.yaml", "b.yaml", "c.yaml"])
    )
    assert suites.attrib == {"tests": "3", "failures": "1", "errors": "0"}
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    failure = cases["a.yaml"].find("failure")
    assert failure is not None
    assert failure.get("type") == "ARG102"
    assert failure.text == "a.yaml:3:1: error ARG102: no `type`"
    assert cases["b.yaml"].find("failure") is None
    assert cases["b.yaml"].findtext("system-out") == "b.yaml:3:1: warning ARG102: no `type`"
    assert list(cases["c.yaml"]) == []


@given(st.text())
def test_junit_is_xml_whatever_a_file_holds(text: str) -> None:
    ElementTree.fromstring(junit([found(message=text, path=text)], [text]))


def test_github_annotations_escape_what_has_a_meaning_there() -> None:
    (line, counted) = github([found(message="100%\nsure", path="a:b,c.yaml")]).splitlines()
    assert line.startswith("::error file=a%3Ab%2Cc.yaml,line=3,endLine=3,col=1,endColumn=5,title=ARG102 ")
    assert line.endswith("::100%25%0Asure")
    assert counted == "1 error in 1 file"


def test_github_shows_as_many_as_it_would_show_and_counts_the_rest() -> None:
    lines = github([found(line=number) for number in range(1, MAX_ANNOTATIONS + 4)]).splitlines()
    assert len(lines) == MAX_ANNOTATIONS + 1
    assert lines[-1] == f"{MAX_ANNOTATIONS + 3} errors in 1 file (3 not annotated)"


def test_a_finding_keeps_its_identity_when_lines_move_and_when_the_file_of_its_step_is_renamed() -> None:
    assert fingerprint(found(line=3, step_id="a")) == fingerprint(found(line=30, step_id="a", path="other.yaml"))
    assert fingerprint(found()) != fingerprint(found(path="other.yaml"))
    assert fingerprint(found(step_id="a")) != fingerprint(found(step_id="b"))


def test_findings_that_were_there_before_are_not_new_and_a_second_one_is() -> None:
    old, again, other = found(line=1), found(line=8), found(message="no `name`")
    assert new_findings([old, again, other], [found(line=5)]) == [again, other]
    assert new_findings([old], [old, other]) == []
