"""Step files of several environments: values, expressions in scalars, and how a file is delivered."""

from __future__ import annotations

import pytest

from argyll.analysis import Report, check_files
from argyll.analysis.delivery import Delivery
from argyll.scripts import Scripts

PROJECT = 'values: [base.yaml, "envs/${{ env }}.yaml"]\n'
STEP = """\
id: pay
name: Pay
type: sync
http:
  endpoint: https://${{ values.host }}/pay
  timeout: ${{ values.timeout }}
attributes:
  receipt: {role: output}
"""
FILES = {
    "argyll.yaml": PROJECT,
    "base.yaml": "timeout: 1000\n",
    "envs/prod.yaml": "host: pay.internal\n",
    "envs/test.yaml": "host: localhost\ntimeout: 5\n",
    "pay.yaml": STEP,
}


def check(files: dict[str, str], env: str | None = None) -> Report:
    return check_files({path: text.encode() for path, text in files.items()}, scripts=Scripts(), env=env)


def codes(report: Report) -> list[str]:
    return [found.code for found in report.diagnostics if found.severity == "error"]


@pytest.mark.parametrize(
    ("env", "endpoint", "timeout_ms"),
    [("prod", "https://pay.internal/pay", 1000), ("test", "https://localhost/pay", 5)],
)
def test_an_environment_fills_in_its_values_and_later_files_win(env: str, endpoint: str, timeout_ms: int) -> None:
    report = check(FILES, env)
    http = report.steps["pay"].step.http
    assert (report.has_errors, http and http.endpoint, http and http.timeout_ms) == (False, endpoint, timeout_ms)


def test_every_environment_is_checked_when_none_is_chosen() -> None:
    report = check(FILES | {"envs/prod.yaml": "host: pay.internal\ntimeout: soon\n"})
    (found,) = [found for found in report.diagnostics if found.severity == "error"]
    assert (found.code, found.path, found.span and found.span.line) == ("ARG103", "pay.yaml", 6)
    assert found.message.endswith("(in prod)")


def test_a_finding_of_all_environments_is_said_once() -> None:
    report = check(FILES | {"pay.yaml": STEP.replace("type: sync", "type: nonsense")})
    assert len([found for found in report.diagnostics if found.code == "ARG104"]) == 1


def test_a_value_that_is_missing_is_found_where_it_is_used() -> None:
    report = check(FILES | {"pay.yaml": STEP.replace("values.host", "values.hots")}, "prod")
    (found,) = [found for found in report.diagnostics if found.severity == "error"]
    assert (found.code, found.hint) == ("ARG811", "did you mean `host`?")
    assert found.span is not None
    assert (found.span.line, found.span.column) == (5, 21)
    assert "pay" not in report.steps


@pytest.mark.parametrize(
    ("files", "env", "code", "says"),
    [
        ({}, "", "ARG812", "choose one with --env: prod, test"),
        ({}, "prdo", "ARG812", "did you mean `prod`?"),
        ({"base.yaml": "[1]\n"}, "prod", "ARG812", "one mapping"),
        ({"base.yaml": "host: {name: x}\n"}, "prod", "ARG812", "use two names"),
        ({"base.yaml": "a: [\n"}, "prod", "ARG001", ""),
        ({"argyll.yaml": "values: ['${{ nope }}.yaml']\n"}, "prod", "ARG811", ""),
    ],
)
def test_values_that_cannot_be_had_are_one_finding_and_bring_no_others(
    files: dict[str, str], env: str, code: str, says: str
) -> None:
    report = check(FILES | files, env)
    (found,) = [
        found
        for found in report.diagnostics
        if found.severity == "error" and found.path not in ("envs/prod.yaml", "envs/test.yaml")
    ]
    assert (found.code, says in found.text, found.path in ("argyll.yaml", "base.yaml")) == (code, True, True)


def test_values_files_are_no_step_files() -> None:
    assert "ARG015" not in [found.code for found in check(FILES, "prod").diagnostics]


def test_scripts_are_literal_unless_the_file_wants_them_filled_in() -> None:
    script = """\
id: count
name: Count
type: script
script: {language: lua, script: 'return {n = "${{ values.host }}"}'}
attributes: {n: {role: output}}
"""
    texts = {
        settings: check(FILES | {"count.yaml": script + settings}, "prod").steps["count"].step.script
        for settings in ("", "x-gitops: {expressions: scripts}\n")
    }
    assert [found and found.script for found in texts.values()] == [
        'return {n = "${{ values.host }}"}',
        'return {n = "pay.internal"}',
    ]


def test_a_file_can_be_taken_as_it_stands() -> None:
    labelled = STEP.replace("${{ values.timeout }}", "5") + "x-gitops: {expressions: false}\nlabels: {a: '${{ x }}'}\n"
    step = check(FILES | {"pay.yaml": labelled.replace("${{ values.host }}", "h")}, "prod").steps["pay"].step
    assert step.labels == {"a": "${{ x }}"}


def test_keys_are_never_expressions() -> None:
    report = check(FILES | {"pay.yaml": STEP + "labels: {'${{ env }}': x}\n"}, "prod")
    assert codes(report) == ["ARG810"]


def test_a_result_is_never_read_as_yaml() -> None:
    nasty = "host: h\nlabel: 'a: {b: [c'\n"
    labelled = STEP + "labels: {a: '${{ values.label }}'}\n"
    report = check(FILES | {"envs/prod.yaml": nasty, "pay.yaml": labelled}, "prod")
    assert report.steps["pay"].step.labels == {"a": "a: {b: [c"}


def test_a_step_belongs_to_the_environments_it_names() -> None:
    files = FILES | {"pay.yaml": STEP + "x-gitops: {envs: [prod]}\n"}
    assert list(check(files, "prod").steps) == ["pay"]
    assert list(check(files, "test").steps) == []


def test_one_id_may_be_defined_once_for_each_environment() -> None:
    files = FILES | {
        "pay.yaml": STEP + "x-gitops: {envs: [prod]}\n",
        "test/pay.yaml": STEP + "x-gitops: {envs: [test]}\n",
    }
    assert codes(check(files)) == []


def test_a_disabled_step_is_checked_and_not_delivered() -> None:
    sound = check(FILES | {"pay.yaml": STEP + "x-gitops: {disabled: true}\n"}, "prod")
    faulty = check(FILES | {"pay.yaml": STEP.replace("type: sync", "type: x") + "x-gitops: {disabled: true}\n"}, "prod")
    assert (sound.steps, codes(sound)) == ({}, [])
    assert "ARG104" in codes(faulty)


def test_settings_of_delivery_are_read_and_checked() -> None:
    text = STEP + "x-gitops: {envs: [prod], moved_from: [charge]}\n"
    assert check(FILES | {"pay.yaml": text}, "prod").steps["pay"].delivery == Delivery(("charge",), ("prod",))


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("{env: [prod]}", "ARG101"),
        ("{moved_from: charge}", "ARG103"),
        ("{expressions: maybe}", "ARG105"),
        ("3", "ARG103"),
    ],
)
def test_faulty_settings_of_delivery_are_found_where_they_stand(settings: str, code: str) -> None:
    report = check(FILES | {"pay.yaml": f"{STEP}x-gitops: {settings}\n"}, "prod")
    (found,) = [found for found in report.diagnostics if found.severity == "error"]
    assert (found.code, found.span and found.span.line, found.json_pointer.startswith("/x-gitops")) == (code, 9, True)


def test_an_engine_knows_nothing_of_delivery() -> None:
    from argyll.analysis import check_step

    step = {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://h/"}, "x-gitops": {}}
    _, findings = check_step(step, native=False, scripts=Scripts())
    assert "ARG101" in [found.code for found in findings]


def test_a_project_below_a_directory_finds_its_values_there() -> None:
    files = {f"repo/{path}": text for path, text in FILES.items()}
    assert list(check(files, "prod").steps) == ["pay"]
