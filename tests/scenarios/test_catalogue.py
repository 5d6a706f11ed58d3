"""Every scenario has a test, every test names scenarios that exist, and the page says which is which."""

import ast

import pytest

from tests.scenarios import test_over_http
from tools import scenarios
from tools.scenarios import ShownBy, faults, page, read_catalogue

TEXT = """
["13.1"]
title = "One"
1 = "It runs"
2 = { says = "It runs on three nodes", cluster = "needs three" }
[settled]
title = "Settled"
B1 = { says = "It ends", decision = "19" }
"""


def shows(*keys: str, named_after: str = "") -> ShownBy:
    return ShownBy("tests/t.py", "test_t", frozenset(keys), named_after)


def test_no_scenario_is_without_a_test_and_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert scenarios.main(["--check"]) == 0, capsys.readouterr().err


def test_the_catalogue_has_every_number_once() -> None:
    sections = read_catalogue((scenarios.REPOSITORY / scenarios.CATALOGUE).read_text("utf-8"))
    entries = [scenario.key for section in sections for scenario in section.scenarios if "/" in scenario.key]

    assert sorted(int(key.partition("/")[2]) for key in entries) == list(range(1, 267))


@pytest.mark.parametrize(
    ("tests", "fault"),
    [
        ([shows("13.1/1"), shows("B1", named_after="B1")], None),
        ([shows("13.1/1", "13.1/2"), shows("B1", named_after="B1")], None),
        ([shows("B1", named_after="B1")], "no test names 13.1/1 (It runs)"),
        ([shows("13.1/1", "B1")], "no test is named after B1"),
        ([shows("13.1/1", "13.2/1"), shows("B1", named_after="B1")], "names 13.2/1, which the catalogue does not have"),
        ([shows("13.1/1"), shows("B1", named_after="B1"), shows("B7", named_after="B7")], "names B7"),
    ],
)
def test_what_keeps_the_catalogue_from_being_shown(tests: list[ShownBy], fault: str | None) -> None:
    found = faults(read_catalogue(TEXT), tests)

    assert [bool(fault and fault in each) for each in found] == ([True] if fault else [])


def test_the_page_names_tests_decisions_and_reasons() -> None:
    text = page(read_catalogue(TEXT), [shows("13.1/1"), shows("B1", named_after="B1")])

    assert "| 13.1/1 | It runs | `t.py::test_t` |" in text
    assert "| 13.1/2 | It runs on three nodes (cluster: needs three) | - |" in text
    assert "| B1 | It ends (decision 19) | `t.py::test_t` |" in text


def test_the_table_over_http_shows_what_it_says() -> None:
    docstring = test_over_http.test_a_scenario_is_seen_from_outside.__doc__ or ""
    assert sorted(scenarios._references(docstring)) == sorted(case.key for case in test_over_http.CASES)


def test_references_are_read_from_docstrings_and_names() -> None:

    module = ast.parse('def test_b17_x():\n    """execution.md 13.1/2-3, 13.4/5 (S2)"""\ndef test_y(): ...\n')
    first, second = scenarios._tests_of("tests/t.py", module)

    assert first == ShownBy("tests/t.py", "test_b17_x", frozenset({"13.1/2", "13.1/3", "13.4/5", "S2", "B17"}), "B17")
    assert second.shows == frozenset()
