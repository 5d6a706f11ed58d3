"""`argyll render`: the steps of one environment as they would be sent, each with its origin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from argyll.cli.exitcodes import ExitCode

Run = Callable[..., Result]

PAY = """\
# Takes the money.
id: pay
name: Pay
type: sync
http: { endpoint: "https://${{ values.host }}/pay" }
attributes: { receipt: { role: output } }
x-gitops: { moved_from: [charge] }
"""
TEST_ONLY = "id: probe\nname: Probe\ntype: sync\nhttp: {endpoint: 'http://h/'}\nx-gitops: {envs: [test]}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "argyll.yaml": 'paths: [steps]\nvalues: ["envs/${{ env }}/values.yaml"]\n',
        "envs/prod/values.yaml": "host: pay.internal\n",
        "envs/test/values.yaml": "host: localhost\n",
        "steps/pay.yaml": PAY,
        "steps/probe.yaml": TEST_ONLY,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_steps_are_filled_in_and_say_where_they_come_from(project: Path, run: Run) -> None:
    result = run("render", str(project), "--env", "prod")
    assert result.exit_code == ExitCode.OK
    assert result.stdout.startswith(f"# from: {project.as_posix()}/steps/pay.yaml:2\n")
    (step,) = yaml.safe_load_all(result.stdout)
    assert (step["http"]["endpoint"], "x-gitops" in step) == ("https://pay.internal/pay", False)


def test_what_is_printed_is_sound_again(project: Path, run: Run, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered"
    rendered.mkdir()
    (rendered / "all.yaml").write_text(run("render", str(project), "--env", "test").stdout)
    result = run("check", str(rendered))
    assert (result.exit_code, "2 sound steps" in result.stderr) == (ExitCode.OK, True)


def test_json_is_one_object_by_id(project: Path, run: Run) -> None:
    assert list(json.loads(run("render", str(project), "--env", "test", "-o", "json").stdout)) == ["pay", "probe"]


def test_only_the_steps_asked_for_are_printed(project: Path, run: Run) -> None:
    told = json.loads(run("render", str(project), "--env", "test", "--step", "probe", "-o", "json").stdout)
    assert list(told) == ["probe"]
    missing = run("render", str(project), "--env", "prod", "--step", "probe")
    assert (missing.exit_code, "no step 'probe' in prod" in missing.stderr) == (ExitCode.NOT_FOUND, True)


def test_without_an_environment_that_is_needed_nothing_is_rendered(project: Path, run: Run) -> None:
    result = run("render", str(project))
    assert (result.exit_code, result.stdout) == (ExitCode.INVALID, "")
    assert "choose one with --env: prod, test" in result.stderr


def test_check_looks_at_every_environment_or_at_one(project: Path, run: Run) -> None:
    (project / "envs/test/values.yaml").write_text("hosts: x\n")
    everywhere, prod = run("check", str(project)), run("check", str(project), "--env", "prod")
    assert (everywhere.exit_code, prod.exit_code) == (ExitCode.INVALID, ExitCode.OK)
    assert "(in test)" in everywhere.stderr
