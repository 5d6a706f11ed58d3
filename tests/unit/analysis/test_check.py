"""Whole repositories: files, suppressions, grades, places of findings about several files."""

from pathlib import Path

import pytest

from argyll.analysis import Report, check_files, check_step, find_step_files, read_project
from argyll.analysis.examples import EXAMPLES
from argyll.analysis.source import read_text
from argyll.model.limits import MAX_STEP_BODY_BYTES
from argyll.scripts import Scripts

HTTP = "http: {endpoint: 'http://h/p'}\n"
STEPS = Path(__file__).parents[3] / "examples" / "steps"


def step(step_id: str, attributes: str = "", more: str = "") -> str:
    block = f"attributes:\n{attributes}" if attributes else ""
    return f"id: {step_id}\nname: A\ntype: sync\n{block}{HTTP}{more}"


def check(scripts: Scripts, **files: str) -> Report:
    return check_files({f"{name}.yaml": text.encode() for name, text in files.items()}, scripts=scripts)


def graver(report: Report) -> list[str]:
    return [each.code for each in report.diagnostics if each.severity in ("error", "warning")]


def places(report: Report, code: str) -> list[tuple[str, int, int]]:
    return [
        (each.path, each.span.line, each.span.column) for each in report.diagnostics if each.code == code and each.span
    ]


def test_the_examples_of_the_project_are_sound(scripts: Scripts):
    report = check_files(find_step_files(STEPS), scripts=scripts)
    assert graver(report) == []
    assert report.files == len(report.steps) > 10


def test_sound_steps_are_returned_with_their_place(scripts: Scripts):
    report = check(scripts, a=step("a"), b=step("b") + "---\n" + step("c") + "---\n" + step("d", more="oops: 1\n"))
    assert {step_id: (found.path, found.span.line) for step_id, found in report.steps.items()} == {
        "a": ("a.yaml", 1),
        "b": ("b.yaml", 1),
        "c": ("b.yaml", 6),
    }
    assert report.has_errors


def test_findings_are_sorted_by_place(scripts: Scripts):
    report = check(scripts, b="oops: 1\nid: b\n", a="id: a\nzz: 1\naa: 1\n")
    keys = [(each.path, each.span.start) for each in report.diagnostics if each.span]
    assert keys == sorted(keys)


def test_a_finding_about_two_places_is_at_the_later_one(scripts: Scripts):
    gives, takes = "  x: {role: output, type: string}\n", "  x: {role: required, type: number}\n"
    first = check(scripts, a=step("a", gives), b=step("b", takes))
    second = check(scripts, a=step("a", takes), b=step("b", gives))
    for report in (first, second):
        assert places(report, "ARG603") == [("b.yaml", 5, 29 if report is first else 27)]
        (found,) = (each for each in report.diagnostics if each.code == "ARG603")
        assert [(other.path, other.span.line if other.span else 0) for other in found.related] == [("a.yaml", 5)]


def test_a_second_definition_is_reported_where_it_stands(scripts: Scripts):
    report = check(scripts, a=step("x"), b=step("x"))
    assert places(report, "ARG600") == [("b.yaml", 1, 5)]
    assert report.steps["x"].path == "a.yaml"


def test_a_faulty_step_still_exists_for_the_others(scripts: Scripts):
    flow = "id: f\nname: F\ntype: flow\nflow: {goals: [a, b]}\n"
    report = check(scripts, a=step("a", more="oops: 1\n"), b=step("b") + "labels: [\n", f=flow)
    assert sorted(graver(report)) == ["ARG001", "ARG101"]
    assert set(report.steps) == {"f"}


def test_a_broken_file_silences_advice_about_what_is_missing(scripts: Scripts):
    needs = step("a", "  x: {role: required}\n  y: {role: output}\n")
    assert "ARG601" in [each.code for each in check(scripts, a=needs).diagnostics]
    assert "ARG601" not in [each.code for each in check(scripts, a=needs, b="id: [").diagnostics]


def test_script_errors_stand_at_their_line(scripts: Scripts):
    text = "id: a\nname: A\ntype: script\nattributes:\n  y: {role: output}\nscript:\n  language: ale\n  script: |\n    {:y\n     nope}\n"
    assert places(check(scripts, a=text), "ARG501") == [("a.yaml", 10, 6)]


def test_an_empty_type_is_told_from_the_type_null(scripts: Scripts):
    report = check(
        scripts, a=step("a", "  x: {role: output, type: }\n"), b=step("b", "  y: {role: output, type: null}\n")
    )
    assert places(report, "ARG106") == [("a.yaml", 5, 21)]
    assert report.steps["b"].step.attributes["y"].type == "null"


def test_a_step_has_a_size(scripts: Scripts):
    fits, over = "x" * (MAX_STEP_BODY_BYTES - 1000), "x" * MAX_STEP_BODY_BYTES
    assert graver(check(scripts, a=step("a", more=f"labels: {{t: {fits}}}\n"))) == []
    assert graver(check(scripts, a=step("a", more=f"labels: {{t: {over}}}\n"))) == ["ARG011"]


class TestSuppressions:
    lint = "work_config: {max_retries: 0}"

    @pytest.mark.parametrize(
        "text",
        [
            lint + "  # argyll: ignore[ARG109]\n",
            "# argyll: ignore[ARG109]\n" + lint + "\n",
            "#argyll:ignore[ARG207, ARG109]\n" + lint + "\n",
            lint + "\n# argyll: ignore-file[ARG109]\n",
        ],
    )
    def test_a_comment_silences_its_code(self, scripts: Scripts, text: str):
        assert graver(check(scripts, a=step("a", more=text))) == []

    @pytest.mark.parametrize(
        "text",
        [
            "# argyll: ignore[ARG107]\n" + lint + "\n",
            "# argyll: ignore[ARG109]\n\n" + lint + "\n",
            lint + "\n# argyll: ignore[ARG109]\n",
            'labels: {a: "# argyll: ignore-file[ARG109]"}\n' + lint + "\n",
            "labels:\n  a: |\n    # argyll: ignore-file[ARG109]\n" + lint + "\n",
        ],
    )
    def test_other_comments_and_texts_do_not(self, scripts: Scripts, text: str):
        assert graver(check(scripts, a=step("a", more=text))) == ["ARG109"]

    def test_a_comment_without_effect_is_named(self, scripts: Scripts):
        report = check(scripts, a=step("a", more=self.lint + "  # argyll: ignore[ARG109, ARG206, ARG999]\n"))
        assert [each.message for each in report.diagnostics if each.code == "ARG090"] == [
            "`ARG999` is not a code of a finding",
            "there is no `ARG206` to suppress here",
        ]

    def test_what_engines_refuse_stays(self, scripts: Scripts):
        report = check(scripts, a=step("a", more="oops: 1  # argyll: ignore[ARG101]\n"))
        assert graver(report) == ["ARG101"]
        assert "ARG090" in [each.code for each in report.diagnostics]


class TestProject:
    def test_grades_change_what_counts(self, scripts: Scripts):
        lint = step("a", more="work_config: {max_retries: 0}\n")
        for level, expected in (
            ("off", []),
            ("hint", ["hint"]),
            ("info", ["info"]),
            ("warn", ["warning"]),
            ("error", ["error"]),
        ):
            report = check(scripts, a=lint, argyll=f"check: {{rules: {{ARG109: {level}}}}}\n")
            assert [each.severity for each in report.diagnostics if each.code == "ARG109"] == expected
            assert report.has_errors == (level == "error")

    def test_external_inputs_are_known_to_come_from_outside(self, scripts: Scripts):
        needs = step("a", "  user_id: {role: required}\n  order_id: {role: required}\n")
        report = check(scripts, a=needs, argyll="external_inputs: ['user_*']\n")
        assert [each.pointer[1] for each in report.diagnostics if each.code == "ARG601"] == ["order_id"]

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("pahts: [steps]\n", 1),
            ("paths: steps\n", 1),
            ("check:\n  rules: {ARG999: off}\n", 2),
            ("check:\n  rules: {ARG101: off}\n", 2),
            ("check:\n  rules:\n    ARG109: loud\n", 3),
            ("check:\n  rules:\n    ARG109: false\n", 3),
            ("apiVersion: argyll/v2\n", 1),
            ("- x\n", 1),
        ],
    )
    def test_faults_of_the_project_file_are_told_and_passed_over(self, text: str, line: int):
        project, findings = read_project(text.encode())
        assert [(each.code, each.span.line if each.span else 0) for each in findings] == [("ARG804", line)]
        assert project.rules == {}
        assert project.paths == ()

    def test_the_whole_file(self):
        text = "apiVersion: argyll/v1\nkind: Project\npaths: [steps]\nexternal_inputs: [a]\ncheck: {rules: {ARG601: off}}\n"
        project, findings = read_project(text.encode())
        assert findings == []
        assert (project.paths, project.external_inputs, project.rules) == (("steps",), ("a",), {"ARG601": None})

    @pytest.mark.parametrize("text", ["", "# nothing\n", "a: [\n", "\x00"])
    def test_an_empty_or_broken_file_is_no_project(self, text: str):
        project, findings = read_project(text.encode())
        assert project.rules == {}
        assert (
            [each.code for each in findings] == [{"a": "ARG001", "\x00": "ARG009"}[text[0]]]
            if text[:1] in ("a", "\x00")
            else not findings
        )


def test_files_are_found_below_a_directory(tmp_path: Path):
    for name in ("b.yaml", "sub/a.yml", ".git/c.yaml", "sub/.hidden.yaml", "argyll.yaml", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id: a\n")
    assert [str(path.relative_to(tmp_path)) for path in find_step_files(tmp_path)] == ["b.yaml", "sub/a.yml"]
    assert find_step_files(tmp_path / "b.yaml") == [tmp_path / "b.yaml"]
    with pytest.raises(FileNotFoundError):
        find_step_files(tmp_path / "nothing")


def test_no_prefix_of_a_file_crashes_the_check(scripts: Scripts):
    texts = [text for files in EXAMPLES.values() for text in files.values() if len(text) < 260]
    texts += [path.read_text("utf-8") for path in sorted(STEPS.glob("*.yaml"))]
    for text in dict.fromkeys(texts):
        for end in range(0, len(text), 11):
            check_files({"a.yaml": text[:end].encode()}, scripts=scripts)


def test_a_file_and_its_json_say_the_same(scripts: Scripts):
    for path in sorted(STEPS.glob("*.yaml")):
        value = read_text(path.name, path.read_text("utf-8")).documents[0].value()
        from_json, findings = check_step(value, native=True, scripts=scripts)
        from_file = check_files({path.name: path.read_bytes()}, scripts=scripts)
        assert not [each for each in findings if each.rejects]
        assert from_json == from_file.steps[path.stem].step
