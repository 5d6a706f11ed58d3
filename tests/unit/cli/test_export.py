"""`argyll export`: what it writes is sound, means the same step, and never replaces somebody's work unasked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from msgspec.structs import replace

from argyll.analysis import check_files
from argyll.cli.exitcodes import ExitCode
from argyll.cli.export import as_file, file_name
from argyll.model.step import DEFAULT_WORK, Step
from argyll.model.wire import step_to_json
from argyll.scripts import Scripts

Run = Callable[..., Result]

EXAMPLES = Path(__file__).parents[3] / "examples" / "steps"


@cache
def examples() -> list[Step]:
    files = {path.name: path.read_bytes() for path in EXAMPLES.glob("*.yaml")}
    return [found.step for found in check_files(files, scripts=Scripts()).steps.values()]


@pytest.mark.parametrize("step", examples(), ids=lambda step: step.id)
def test_a_file_means_the_step_that_the_engine_keeps(step: Step) -> None:
    live = step.with_work_defaults(DEFAULT_WORK)
    text = as_file(live)
    report = check_files({file_name(step.id): text.encode()}, scripts=Scripts())
    assert report.steps[step.id].step.with_work_defaults(DEFAULT_WORK) == live


def test_defaults_of_the_engine_are_left_out_and_other_settings_stay() -> None:
    step = examples()[0]
    assert "work_config" not in as_file(step.with_work_defaults(DEFAULT_WORK))
    patient = replace(DEFAULT_WORK, max_retries=3)
    assert "max_retries: 3" in as_file(step.with_work_defaults(patient))


def test_every_step_gets_a_file_that_a_source_reads() -> None:
    assert (file_name("pay"), file_name(".hidden")) == ("pay.yaml", "dot.hidden.yaml")


@pytest.fixture
def live(engine: Any) -> None:
    engine.on("GET /engine/step", {"steps": [step_to_json(step) for step in examples()]})


@pytest.mark.usefixtures("live")
class TestCommand:
    """The command itself."""

    def test_all_steps_are_written_and_a_second_time_nothing_changes(self, run: Run, tmp_path: Path) -> None:
        result = run("export", "--dir", str(tmp_path / "out"))
        assert (result.exit_code, len(list((tmp_path / "out").iterdir()))) == (ExitCode.OK, len(examples()))
        assert run("export", "--dir", str(tmp_path / "out")).exit_code == ExitCode.OK

    def test_only_the_steps_asked_for_are_written(self, run: Run, tmp_path: Path) -> None:
        assert run("export", "--dir", str(tmp_path), "price-order").exit_code == ExitCode.OK
        assert [path.name for path in tmp_path.iterdir()] == ["price-order.yaml"]

    def test_an_unknown_step_is_said_with_the_nearest_name(self, run: Run, tmp_path: Path) -> None:
        result = run("export", "--dir", str(tmp_path), "price-ordr")
        assert (result.exit_code, "did you mean 'price-order'" in result.stderr) == (ExitCode.NOT_FOUND, True)

    def test_nothing_is_written_over_other_content_unless_forced(self, run: Run, tmp_path: Path) -> None:
        mine = tmp_path / "price-order.yaml"
        mine.write_text("mine")
        refused = run("export", "--dir", str(tmp_path))
        assert (refused.exit_code, [path.name for path in tmp_path.iterdir()]) == (
            ExitCode.CONFLICT,
            ["price-order.yaml"],
        )
        assert run("export", "--dir", str(tmp_path), "--force").exit_code == ExitCode.OK
        assert mine.read_text() != "mine"
