"""`argyll check` for build systems: formats, strictness, and findings that a change brought."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

from argyll.cli.exitcodes import ExitCode

Run = Callable[..., Result]

MAKES = "id: makes\nname: Makes\ntype: sync\nhttp: {endpoint: 'http://localhost/'}\nattributes: {x: {role: output}}\n"
FAULTY = "id: faulty\nname: Faulty\ntype: nonsense\n"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    directory = tmp_path / "steps"
    directory.mkdir()
    return directory


def test_sarif_is_the_whole_of_standard_output(steps: Path, run: Run) -> None:
    (steps / "faulty.yaml").write_text(FAULTY)
    result = run("check", str(steps), "--format", "sarif")
    assert result.exit_code == ExitCode.INVALID
    assert json.loads(result.stdout)["version"] == "2.1.0"


def test_junit_has_good_files_too(steps: Path, run: Run) -> None:
    (steps / "faulty.yaml").write_text(FAULTY)
    (steps / "makes.yaml").write_text(MAKES)
    suites = ElementTree.fromstring(run("check", str(steps), "-o", "junit").stdout)
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")


def test_github_annotations_name_the_file_as_given(steps: Path, run: Run) -> None:
    (steps / "faulty.yaml").write_text(FAULTY)
    assert f"::error file={steps.as_posix()}/faulty.yaml,line=3," in run("check", str(steps), "-o", "github").stdout


def test_a_warning_is_an_error_only_when_strict(steps: Path, run: Run) -> None:
    (steps / "makes.yaml").write_text(MAKES.replace("x: {role: output}", 'x: {role: optional, default: "[1]"}'))
    assert run("check", str(steps)).exit_code == ExitCode.OK
    assert run("check", str(steps), "--strict").exit_code == ExitCode.INVALID


@pytest.mark.system
class TestChangedOnly:
    """`--changed-only BASE`, with a real repository."""

    @pytest.fixture
    def commit(self, steps: Path) -> Callable[[], None]:
        def git(*arguments: str) -> None:
            identity = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
            subprocess.run(["git", *identity, *arguments], cwd=steps, check=True, capture_output=True, timeout=30)

        def committing() -> None:
            git("init", "--quiet", "--initial-branch=main")
            git("add", "--all")
            git("commit", "--quiet", "--message", "change")

        return committing

    def test_old_findings_are_counted_and_new_ones_shown(
        self, steps: Path, run: Run, commit: Callable[[], None]
    ) -> None:
        (steps / "faulty.yaml").write_text(FAULTY)
        commit()
        (steps / "faulty.yaml").write_text(f"# moved down\n{FAULTY}")
        old = run("check", str(steps), "--changed-only", "main")
        assert old.exit_code == ExitCode.OK
        assert "there before main already" in old.stderr
        (steps / "worse.yaml").write_text(FAULTY.replace("faulty", "worse"))
        new = run("check", str(steps), "--changed-only", "main", "-o", "json")
        assert new.exit_code == ExitCode.INVALID
        assert {found["step_id"] for found in json.loads(new.stdout)} == {"worse"}

    def test_what_a_removed_file_breaks_elsewhere_is_new(
        self, steps: Path, run: Run, commit: Callable[[], None]
    ) -> None:
        (steps / "argyll.yaml").write_text("external_inputs: []\n")
        (steps / "flow.yaml").write_text(
            "id: flow\nname: Flow\ntype: flow\nflow: {goals: [makes]}\nattributes: {x: {role: output}}\n"
        )
        (steps / "makes.yaml").write_text(MAKES)
        commit()
        (steps / "makes.yaml").unlink()
        result = run("check", str(steps), "--changed-only", "main", "-o", "json")
        assert result.exit_code == ExitCode.INVALID
        assert any(found["path"].endswith("flow.yaml") for found in json.loads(result.stdout))

    def test_a_single_file_is_compared_with_itself(self, steps: Path, run: Run, commit: Callable[[], None]) -> None:
        (steps / "faulty.yaml").write_text(FAULTY)
        commit()
        assert run("check", str(steps / "faulty.yaml"), "--changed-only", "HEAD").exit_code == ExitCode.OK

    def test_an_unknown_base_is_said(self, steps: Path, run: Run, commit: Callable[[], None]) -> None:
        (steps / "makes.yaml").write_text(MAKES)
        commit()
        result = run("check", str(steps), "--changed-only", "nowhere")
        assert (result.exit_code, "no commit for ref 'nowhere'" in result.stderr) == (ExitCode.ERROR, True)
