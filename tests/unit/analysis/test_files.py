"""Files remembered between checks: the same report as without memory, and only new files are examined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.analysis import Report, check_files
from argyll.analysis.files import CheckedFiles, StepFile
from argyll.scripts import Scripts

SCRIPTS = Scripts()


def step(step_id: str, needs: str = "", timeout: str = "5", more: str = "") -> str:
    inputs = f"  {needs}: {{role: required}}\n" if needs else ""
    return (
        f"id: {step_id}\nname: {step_id}\ntype: sync\nhttp: {{endpoint: 'http://h/', timeout: {timeout}}}\n"
        f"attributes:\n{inputs}  out_{step_id}: {{role: output}}\n{more}"
    )


def check(files: dict[str, str], remembered: CheckedFiles | None = None, env: str | None = None) -> Report:
    contents = {path: text.encode() for path, text in files.items()}
    return check_files(contents, scripts=SCRIPTS, env=env, remembered=remembered)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are examined from now on."""
    paths: list[str] = []
    original = StepFile.__init__

    def noting(self: StepFile, path: str, *more: object) -> None:
        paths.append(path)
        original(self, path, *more)

    monkeypatch.setattr(StepFile, "__init__", noting)
    return paths


def test_only_new_and_changed_files_are_examined(examined: list[str]) -> None:
    remembered = CheckedFiles()
    check({"a.yaml": step("a"), "b.yaml": step("b")}, remembered)
    examined.clear()
    check({"a.yaml": step("a"), "b.yaml": step("b", timeout="6"), "c.yaml": step("c")}, remembered)
    assert examined == ["b.yaml", "c.yaml"]


def test_a_file_that_is_gone_is_forgotten(examined: list[str]) -> None:
    remembered = CheckedFiles()
    for files in ({"a.yaml": step("a")}, {}, {"a.yaml": step("a")}):
        check(files, remembered)
    assert examined == ["a.yaml", "a.yaml"]


def test_other_values_examine_the_files_that_use_values(examined: list[str]) -> None:
    remembered = CheckedFiles()
    files = {"argyll.yaml": "values: [v.yaml]\n", "a.yaml": step("a", timeout="'${{ values.t }}'"), "b.yaml": step("b")}
    check(files | {"v.yaml": "t: 5\n"}, remembered)
    examined.clear()
    report = check(files | {"v.yaml": "t: 6\n"}, remembered)
    http = report.steps["a"].step.http
    assert (examined, http and http.timeout_ms) == (["a.yaml"], 6)


FILES = st.dictionaries(
    st.sampled_from(["a.yaml", "b.yaml", "sub/a.yaml", "c.yaml"]),
    st.sampled_from(
        [
            step("a"),
            step("b", needs="out_a"),
            step("c", needs="out_b", timeout="'${{ values.t }}'"),
            step("a", timeout="soon"),
            step("b", needs="out_c", more="labels: {x: 1}\n"),
            step("c", more="memoizable: true  # argyll: ignore[ARG601, ARG602]\n"),
            "# argyll: ignore-file[ARG601]\n" + step("b", needs="missing"),
            step("a") + "---\n" + step("b"),
            "id: [",
            "nothing: here\n",
        ]
    ),
)
VALUES = st.sampled_from([{}, {"v.yaml": "t: 5\n"}, {"v.yaml": "t: 6\n"}, {"v.yaml": "[]"}])


@given(st.lists(st.tuples(FILES, VALUES), min_size=2, max_size=4))
def test_memory_changes_no_report(revisions: list[tuple[dict[str, str], dict[str, str]]]) -> None:
    remembered = CheckedFiles()
    for files, values in revisions:
        project = {"argyll.yaml": "values: [v.yaml]\n"} | files | values
        assert check(project, remembered) == check(project)
