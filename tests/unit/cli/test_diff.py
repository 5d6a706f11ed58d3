"""`argyll diff`: revisions of a real repository, the files as they are, and an engine of canned answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from argyll.cli.exitcodes import ExitCode

pytestmark = pytest.mark.system

Run = Callable[..., Result]


def definition(step_id: str, timeout: int = 10, needs: str = "", makes: str = "") -> str:
    attributes = {name: {"role": "required"} for name in needs.split()}
    attributes |= {name: {"role": "output"} for name in makes.split()}
    http = {"endpoint": "http://localhost/x", "timeout": timeout}
    return json.dumps({"id": step_id, "name": step_id, "type": "sync", "http": http, "attributes": attributes})


class Work:
    """A work tree with step files in `steps/`."""

    def __init__(self, root: Path) -> None:
        self.root, self.steps = root, root / "steps"
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True, timeout=30)

    def write(self, **steps: str) -> None:
        self.steps.mkdir(exist_ok=True)
        for step_id, text in steps.items():
            (self.steps / f"{step_id}.yaml").write_text(text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_the_files_are_compared_with_head(work: Work, run: Run) -> None:
    work.write(a=definition("a", makes="x"), b=definition("b", needs="x", makes="y"))
    work.commit()
    (work.steps / "a.yaml").unlink()
    work.write(b=definition("b", 20, needs="x", makes="y"))
    result = run("diff", "--dir", str(work.steps))
    assert result.exit_code == ExitCode.OK
    assert "http.timeout: 10 -> 20" in result.stdout
    assert "- delete  a" in result.stdout
    assert "callers must now give: x" in result.stdout
    assert "lost: x was written by a; still read by b" in result.stdout


def test_two_revisions_are_compared_and_the_place_of_a_step_is_its_line(work: Work, run: Run) -> None:
    work.commit()
    work.write(a=f"# a step\n{definition('a')}")
    work.commit()
    told = json.loads(run("diff", "HEAD~1..HEAD", "--dir", str(work.steps), "-o", "json").stdout)
    (change,) = told["steps"]
    assert (change["id"], change["action"]) == ("a", "create")
    assert change["place"] == f"{work.steps.as_posix()}/a.yaml:2"


def test_three_dots_leave_out_what_the_other_branch_did(work: Work, run: Run) -> None:
    work.write(a=definition("a"))
    work.commit()
    work.git("checkout", "--quiet", "-b", "feature")
    work.write(b=definition("b"))
    work.commit()
    work.git("checkout", "--quiet", "main")
    work.write(c=definition("c"))
    work.commit()
    ids = {
        dots: [change["id"] for change in json.loads(
            run("diff", f"main{dots}feature", "--dir", str(work.steps), "-o", "json").stdout)["steps"]]
        for dots in ("..", "...")
    }  # fmt: skip
    assert ids == {"..": ["b", "c"], "...": ["b"]}


def test_the_exit_code_tells_a_difference_only_when_asked(work: Work, run: Run) -> None:
    work.write(a=definition("a"))
    work.commit()
    assert run("diff", "--dir", str(work.steps), "--detailed-exitcode").exit_code == ExitCode.OK
    work.write(b=definition("b"))
    assert run("diff", "--dir", str(work.steps), "--detailed-exitcode").exit_code == ExitCode.CHANGES
    assert run("diff", "--dir", str(work.steps)).exit_code == ExitCode.OK


def test_faulty_files_are_shown_and_not_compared_and_a_faulty_past_is_no_obstacle(work: Work, run: Run) -> None:
    work.write(a="id: a\nname: A\ntype: nonsense\n")
    work.commit()
    faulty = run("diff", "--dir", str(work.steps))
    assert (faulty.exit_code, "nothing was compared" in faulty.stderr) == (ExitCode.INVALID, True)
    work.write(a=definition("a"))
    mended = run("diff", "--dir", str(work.steps))
    assert (mended.exit_code, "+ create  a" in mended.stdout) == (ExitCode.OK, True)
    assert "HEAD@" in mended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], ExitCode.ERROR, "no commit for ref 'nowhere'"),
        (["--owner", "shop"], ExitCode.USAGE, "--owner goes with --against engine"),
        (["a..b", "--against", "engine"], ExitCode.USAGE, "takes one revision"),
        (["--", "--upload-pack=x"], ExitCode.ERROR, "is no name of a branch"),
    ],
)
def test_what_cannot_be_compared_is_said(work: Work, run: Run, arguments: list[str], code: int, says: str) -> None:
    work.write(a=definition("a"))
    work.commit()
    result = run("diff", "--dir", str(work.steps), *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


def test_a_directory_outside_of_git_is_said_to_be_none(tmp_path: Path, run: Run) -> None:
    result = run("diff", "--dir", str(tmp_path))
    assert (result.exit_code, "not a git repository" in result.stderr) == (ExitCode.ERROR, True)


def live(step_id: str, **attributes: str) -> dict[str, Any]:
    return {
        "id": step_id,
        "name": step_id,
        "type": "sync",
        "http": {"endpoint": "http://localhost/x", "timeout": 10},
        "work_config": {"max_retries": 10, "init_backoff": 1000, "max_backoff": 60000, "backoff_type": "exponential"},
        "attributes": {name: {"role": role} for name, role in attributes.items()},
    }


def test_an_engine_is_compared_with_what_an_apply_would_make_of_it(work: Work, run: Run, engine: Any) -> None:
    work.write(a=definition("a", 20, makes="x"))
    foreign = live("report", x="required", y="required", z="output")
    engine.on("GET /engine/step", {"steps": [live("a", x="output"), live("b", y="output"), foreign]})
    engine.on(
        "POST /engine/catalog/apply",
        {"created": [], "updated": ["a"], "deleted": ["b"], "unchanged": 0, "sequence": 7, "warnings": []},
    )
    engine.on("POST /engine/flow/query", {"flows": [{"id": "f1", "status": "active"}], "count": 1})
    engine.on("GET /engine/flow/f1", {"id": "f1", "plan": {"steps": {"b": {}}}})
    result = run("diff", "--against", "engine", "--owner", "shop", "--dir", str(work.steps), "-o", "json")
    assert result.exit_code == ExitCode.OK, result.stderr
    told = json.loads(result.stdout)
    sent = engine.body_of("POST /engine/catalog/apply")
    assert (sent["owner"], sent["dry_run"]) == ("shop", True)
    assert told["steps"][0]["fields"] == [{"pointer": "/http/timeout", "before": 10, "after": 20}]
    assert told["impact"]["providers_lost"] == [{"attribute": "y", "providers": ["b"], "consumers": ["report"]}]
    assert told["active_flows"] == {"by_step": {"b": ["f1"]}, "complete": True}
