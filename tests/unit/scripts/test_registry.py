"""Compiling once, and what the registry refuses."""

import subprocess
import sys

import pytest

from argyll.scripts import LANGUAGES, CompileError, LimitExceeded, RunError, Scripts

ONE = {"ale": "1", "lua": "return 1", "jpath": "$.a"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_script_is_the_same_object(language):
    scripts = Scripts()
    first = scripts.compile(language, ONE[language], ["b", "a"])
    assert scripts.compile(language, ONE[language], ("a", "b")) is first
    assert scripts.compile(language, ONE[language], ["a"]) is not first
    assert (first.language, first.names) == (language, ("a", "b"))


def test_failures_are_not_cached():
    scripts = Scripts()
    for _ in range(2):
        with pytest.raises(CompileError):
            scripts.compile("ale", "(")
    with pytest.raises(CompileError, match="old"):
        scripts.compile("ale", "old", ["new"])
    assert scripts.compile("ale", "old", ["old"]).outputs({"old": 1}) == {"result": 1}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_script_is_no_script(language, text):
    with pytest.raises(CompileError, match="empty"):
        Scripts().compile(language, text)


def test_a_script_of_comments_is_empty():
    with pytest.raises(CompileError, match="empty"):
        Scripts().compile("ale", "; nothing")


def test_an_unknown_language_names_the_known_ones():
    with pytest.raises(CompileError, match="'python'; use ale, lua, jpath"):
        Scripts().compile("python", "1")


@pytest.mark.parametrize("language", ["ale", "lua"])
def test_absent_arguments_are_null_and_undeclared_ones_ignored(language):
    script = {"ale": "{:x x}", "lua": "return {x = x == nil}"}[language]
    expected = {"ale": {"x": None}, "lua": {"x": True}}[language]
    assert Scripts().compile(language, script, ["x"]).outputs({"y": 1}) == expected


def test_errors_read_well_and_survive_pickling():
    import pickle

    for error, text in [
        (CompileError("no", 2, 3), "line 2, column 3: no"),
        (RunError("no", 2), "line 2: no"),
        (RunError("no"), "no"),
        (LimitExceeded("time", "late"), "late"),
    ]:
        assert str(error) == text
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), type(copy), vars(copy)) == (text, type(error), vars(error))


def test_importing_the_room_loads_no_language():
    code = (
        "import sys, argyll.scripts; print([m for m in sys.modules if m.split('.')[0] in ('lupa', 're2', 'fractions')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
