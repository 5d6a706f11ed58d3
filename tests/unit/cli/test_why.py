"""`argyll flow why` asks about what a name means, and tells it in words or in the API's shape."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from click.testing import Result

from argyll.cli.exitcodes import ExitCode
from tests.unit.flow.test_explain import ask, bank_is_busy

Run = Callable[..., Result]
Engine = Any


@pytest.fixture(autouse=True)
def explained(engine: Engine) -> None:
    # One canned answer for every question: `step` and `attribute` have the same place in it.
    engine.on("GET /engine/flow/f/explain", ask(bank_is_busy()))
    engine.on("POST /engine/flow/query", {"flows": [{"id": "f", "status": "failed", "timestamp": ""}], "count": 1})


def test_it_tells_the_story_on_stdout(run: Run):
    result = run("flow", "why", "f")
    assert result.exit_code == 0
    assert result.stdout.startswith("f failed at +300 ms: it could not reach ship\n  because ship failed at +300 ms")
    assert result.stderr == ""


@pytest.mark.parametrize(("fmt", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_answer_as_it_is(run: Run, fmt: str, read: Callable[[str], Any]):
    assert read(run("flow", "why", "f", "-o", fmt).stdout) == ask(bank_is_busy())


@pytest.mark.parametrize("name", ["ship", "parcel", "order"])
def test_a_step_an_attribute_and_what_is_both_can_be_asked_about(run: Run, engine: Engine, name: str):
    result = run("flow", "why", "f", name, "--at", "3")
    assert result.exit_code == 0
    assert len(engine.asked) == 2


def test_a_name_that_is_neither_suggests_one_that_is(run: Run):
    result = run("flow", "why", "f", "shipp")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "flow 'f' has no step and no attribute 'shipp'; did you mean 'ship'?" in result.stderr


def test_an_unknown_flow_suggests_a_known_one(run: Run):
    result = run("flow", "why", "ff")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "there is no flow 'ff'; did you mean 'f'?" in result.stderr


def test_what_others_said_cannot_control_the_terminal(run: Run, engine: Engine):
    answer = ask(bank_is_busy())
    answer["flow_id"] = "f\x1b[2J"
    engine.on("GET /engine/flow/f/explain", answer)
    assert "\x1b" not in run("flow", "why", "f").stdout
