"""Every code of the table is raised by its example, and by nothing graver beside it."""

import re
from pathlib import Path

import pytest

import argyll.analysis
from argyll.analysis.catalogue import CATALOGUE
from argyll.analysis.check import check_files
from argyll.analysis.examples import EXAMPLES
from argyll.scripts import Scripts

SOURCES = Path(argyll.analysis.__file__).parent
DATA = {"catalogue.py", "examples.py", "docs.py"}


@pytest.mark.parametrize("code", CATALOGUE)
def test_an_example_raises_its_code_and_no_other_problem(code: str, scripts: Scripts):
    files = {path: text.encode() for path, text in EXAMPLES[code].items()}
    report = check_files(files, scripts=scripts)
    found = [each for each in report.diagnostics if each.code == code]
    others = [each for each in report.diagnostics if each.code != code and each.severity in ("error", "warning")]
    assert found
    assert not others
    assert all(each.severity == CATALOGUE[code].severity for each in found)
    assert all(each.path in files and each.span is not None and each.message for each in found)


def test_every_error_says_how_to_mend_it(scripts: Scripts):
    for code, example in EXAMPLES.items():
        report = check_files({path: text.encode() for path, text in example.items()}, scripts=scripts)
        for found in report.diagnostics:
            spoken_by_compiler = found.code in ("ARG501", "ARG502", "ARG503")
            assert found.hint or spoken_by_compiler or found.severity == "hint", (code, found)


def test_the_table_and_the_rules_name_the_same_codes():
    raised = {
        code
        for path in SOURCES.rglob("*.py")
        if path.name not in DATA
        for code in re.findall(r"ARG\d{3}", path.read_text("utf-8"))
    }
    assert raised == set(CATALOGUE)
    assert set(EXAMPLES) == set(CATALOGUE)


def test_codes_ascend_within_their_family():
    codes = list(CATALOGUE)
    assert all(code == entry.code for code, entry in CATALOGUE.items())
    families = [code[3] if code != "ARG090" else "0" for code in codes]
    assert families == sorted(families)


def test_what_engines_refuse_is_an_error():
    assert all(entry.severity == "error" for entry in CATALOGUE.values() if entry.rejects)
