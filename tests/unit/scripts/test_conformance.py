"""The conformance runner tells what fails and exits accordingly."""

import json

import pytest

from argyll.scripts import conformance

GOOD = [
    {"lang": "ale", "kind": "step", "script": "{:r (+ a 1)}", "args": {"a": 1}, "expect": {"r": 2.0}},
    {"lang": "ale", "kind": "step", "script": "x", "params": ["x"], "expect": {"result": None}},
    {"lang": "lua", "kind": "predicate", "script": "return a", "args": {"a": False}, "expect": False},
    {"lang": "jpath", "kind": "match", "script": "$.a", "value": {"a": 1}, "expect": True},
    {"lang": "ale", "kind": "mapping", "script": "(inc n)", "name": "n", "value": 1, "expect": 2},
    {"lang": "ale", "kind": "step", "script": "(", "error": True, "stage": "compile"},
    {"lang": "ale", "kind": "step", "script": "(/ 1 0)", "error": True, "stage": "run"},
]
BAD = [
    ({"lang": "ale", "kind": "step", "script": "1", "expect": {"result": True}}, "expected {'result': True}"),
    ({"lang": "ale", "kind": "step", "script": "(", "expect": {}}, "compile error"),
    ({"lang": "ale", "kind": "step", "script": "(/ 1 0)", "expect": {}}, "run error"),
    ({"lang": "ale", "kind": "step", "script": "(/ 1 0)", "error": True, "stage": "compile"}, "compiled; an error"),
    ({"lang": "ale", "kind": "step", "script": "1", "error": True, "stage": "run"}, "an error was expected"),
]


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(conformance, "configure_process", lambda _limit: None)

    def run_file(cases):
        path = tmp_path / "cases.jsonl"
        path.write_text("\n".join(map(json.dumps, cases)) + "\n\n")
        return conformance.main([str(path)]), capsys.readouterr().out

    return run_file


def test_passes(run):
    assert run(GOOD) == (0, "scripts: 7 of 7 passed\n")


@pytest.mark.parametrize(("case", "words"), BAD)
def test_fails(run, case, words):
    code, out = run([*GOOD, case])
    assert code == 1
    assert words in out
    assert "cases.jsonl:8: ale step" in out
    assert out.endswith("scripts: 7 of 8 passed\n")


def test_needs_a_file(capsys):
    assert conformance.main([]) == 2
    assert "usage" in capsys.readouterr().err
