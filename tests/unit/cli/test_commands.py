"""Commands ask the engine the right thing, print data on stdout and the rest on stderr, and exit by the table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from argyll.cli.exitcodes import ExitCode

Run = Callable[..., Result]
Engine = Any

PRICE = {
    "id": "price-order",
    "name": "Price order",
    "type": "script",
    "attributes": {
        "coupon": {"role": "optional", "type": "string", "optional": {"default": '"none"'}},
        "items": {"role": "required", "type": "array"},
        "total": {"role": "output", "type": "number"},
    },
    "script": {"language": "ale", "script": "{:total\n 1}"},
}
SHIP = {
    "id": "ship-order",
    "name": "Ship order",
    "type": "sync",
    "attributes": {"total": {"role": "required"}, "parcel": {"role": "output"}},
    "http": {"endpoint": "http://localhost/ship", "timeout": 0},
}
PLAN = {
    "goals": ["ship-order"],
    "required": ["items"],
    "steps": {"price-order": PRICE, "ship-order": SHIP},
    "attributes": {
        "coupon": {"providers": [], "consumers": ["price-order"]},
        "items": {"providers": [], "consumers": ["price-order"]},
        "total": {"providers": ["price-order"], "consumers": ["ship-order"]},
        "parcel": {"providers": ["ship-order"], "consumers": []},
    },
    "excluded": {},
}
FLOW = {
    "id": "order-1",
    "status": "failed",
    "error": "step ship-order failed",
    "plan": PLAN,
    "attributes": {"items": [{"value": [1], "set_at": "2026-01-01T00:00:00.000000Z"}],
                   "total": [{"value": 7, "set_at": "2026-01-01T00:00:00.000000Z", "step": "price-order"}]},
    "executions": {
        "price-order": {"status": "completed", "inputs": {}, "duration": 3, "work_items": {}},
        "ship-order": {"status": "failed", "inputs": {}, "error": "410 gone",
                       "work_items": {"t": {"status": "failed", "inputs": {}, "retry_count": 2}}},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def shop(engine: Engine) -> None:
    engine.on("GET /engine/step", {"steps": [SHIP, PRICE], "count": 2})
    engine.on("GET /engine/step/price-order", PRICE)
    engine.on("POST /engine/plan", PLAN)
    engine.on("POST /engine/flow", {"flow_id": "order-1", "message": ""}, 201)
    engine.on("GET /engine/flow/order-1", FLOW)
    engine.on(
        "POST /engine/flow/query",
        {"flows": [{"id": "order-1", "status": "failed", "timestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}}],
         "count": 1},
    )  # fmt: skip


def test_step_list_is_a_sorted_table_for_people(run: Run):
    result = run("step", "list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ID", "price-order", "ship-order", "2"]


def test_json_is_the_shape_of_the_api(run: Run):
    assert json.loads(run("step", "get", "price-order", "-o", "json").stdout) == PRICE
    assert json.loads(run("step", "list", "-o", "json").stdout)["count"] == 2


def test_yaml_of_a_step_is_what_a_step_file_holds(run: Run):
    text = run("step", "get", "price-order", "-o", "yaml").stdout
    assert yaml.safe_load(text)["attributes"]["coupon"] == {"role": "optional", "type": "string", "default": "none"}
    assert "script: |-\n" in text, "scripts are literal blocks"
    steps = list(yaml.safe_load_all(run("step", "list", "-o", "yaml").stdout))
    assert [step["id"] for step in steps] == ["price-order", "ship-order"]


@pytest.mark.parametrize(
    "arguments", [("step", "get"), ("step", "delete", "--yes"), ("plan",), ("flow", "start"), ("health",)]
)
def test_a_mistyped_step_is_9_with_the_nearest_name(run: Run, engine: Engine, arguments: tuple[str, ...]):
    missing = {"title": "Step not found", "status": 404, "detail": "step not found: price-ordr"}
    for call in ("POST /engine/plan", "POST /engine/flow"):
        engine.on(call, missing, 404)
    result = run(*arguments, "price-ordr")
    assert (result.exit_code, result.stdout) == (ExitCode.NOT_FOUND, "")
    assert "did you mean 'price-order'?" in result.stderr


def test_a_mistyped_flow_is_9_with_the_nearest_name(run: Run, engine: Engine):
    for command in ("get", "cancel"):
        result = run("flow", command, "order-l")
        assert result.exit_code == ExitCode.NOT_FOUND
        assert "did you mean 'order-1'?" in result.stderr


def test_plan_shows_picture_reasons_and_init_and_sends_a_list_as_one_value(run: Run, engine: Engine):
    result = run("plan", "ship-order", "--init", "items=[1, 2]", "--init", "note=hi")
    assert engine.body_of("POST /engine/plan") == {
        "goals": ["ship-order"],
        "init": {"items": [[1, 2]], "note": ["hi"]},
    }
    assert "○  price-order  script  writes total for ship-order" in result.stdout
    assert result.stdout.splitlines()[-2:] == ["init supplies: items, note", "init must also supply: nothing"]


def test_flow_start_sends_everything_and_says_how_to_follow(run: Run, engine: Engine):
    result = run("flow", "start", "ship-order", "--id", "order-1", "-i", "items=[1]", "-l", "env=test", "-o", "json")
    assert json.loads(result.stdout) == {"flow_id": "order-1"}
    assert "argyll flow watch order-1" in result.stderr
    assert engine.body_of("POST /engine/flow") == {
        "id": "order-1",
        "goals": ["ship-order"],
        "init": {"items": [[1]]},
        "labels": {"env": "test"},
    }


def test_flow_start_makes_up_an_id_of_the_goal(run: Run, engine: Engine):
    run("flow", "start", "ship-order")
    assert engine.body_of("POST /engine/flow")["id"].startswith("ship-order-")


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, ExitCode.CONFLICT), (400, ExitCode.INVALID), (403, ExitCode.ERROR), (500, ExitCode.ERROR)],
)
def test_a_refused_start_exits_by_its_kind_with_every_finding(run: Run, engine: Engine, status: int, code: ExitCode):
    findings = [{"path": "/init/items", "code": "required_input", "message": "items is missing"}]
    engine.on("POST /engine/flow", {"title": "t", "status": status, "detail": "why", "errors": findings}, status)
    result = run("flow", "start", "ship-order")
    assert result.exit_code == code
    assert "why" in result.stderr
    assert "items is missing" in result.stderr


def test_flow_list_filters_and_prints_status_words(run: Run, engine: Engine):
    result = run("flow", "list", "--status", "failed", "--label", "a=b", "--prefix", "order", "--limit", "7")
    assert engine.body_of("POST /engine/flow/query") == {
        "sort": "recent_desc", "limit": 7, "id_prefix": "order", "labels": {"a": "b"}, "statuses": ["failed"],
    }  # fmt: skip
    assert result.stdout.splitlines()[1].split() == ["order-1", "failed", "2026-01-01T00:00:00Z", "a=b"]


def test_flow_get_shows_how_each_step_fared_and_every_value_with_its_origin(run: Run):
    lines = run("flow", "get", "order-1").stdout.splitlines()
    assert lines[2:5] == [
        "✔  price-order  completed     3 ms",
        "✖  ship-order   failed        2 retries, 410 gone",
        "flow failed: step ship-order failed",
    ]
    assert lines[-2:] == ["items      [1]    init", "total      7      price-order"]


def test_health_is_8_when_a_step_is_unhealthy(run: Run, engine: Engine):
    engine.on("GET /health", {"service": "argyll-engine", "status": "healthy"})
    nodes = {"n1": {"health": {"ship-order": {"status": "unhealthy", "error": "refused"}}}}
    engine.on("GET /engine/health", {"nodes": nodes})
    result = run("health")
    assert result.exit_code == ExitCode.FAILED
    assert result.stdout.splitlines()[-1].split() == ["ship-order", "n1", "unhealthy", "refused"]


GOOD = """\
id: greet
name: Greet
type: sync
http: {endpoint: http://localhost/g}
attributes:
  x: {role: optional, default: [1]}
"""


def test_register_checks_first_and_sends_the_api_spelling(run: Run, engine: Engine, tmp_path: Path):
    engine.on("POST /engine/step", {"step": {}, "message": "Step registered"}, 201)
    file = tmp_path / "greet.yaml"
    file.write_text(GOOD)
    result = run("step", "register", str(file))
    assert (result.exit_code, result.stdout) == (0, "greet registered\n")
    assert engine.body_of("POST /engine/step")["attributes"]["x"] == {
        "role": "optional",
        "optional": {"default": "[1]"},
    }


def test_register_of_a_faulty_file_shows_the_line_and_sends_nothing(run: Run, engine: Engine):
    result = run("step", "register", "-", input=GOOD.replace("sync", "snyc"))
    assert result.exit_code == ExitCode.INVALID
    assert "3 | type: snyc" in result.stderr
    assert engine.asked == []


def test_delete_asks_nothing_when_nobody_can_answer(run: Run, engine: Engine):
    engine.on("DELETE /engine/step/price-order", {"message": "Step unregistered"})
    assert run("step", "delete", "price-order").exit_code == 0


class TestCheck:
    """`argyll check` needs no engine."""

    def test_good_files_are_0_and_said_on_stderr(self, run: Run, tmp_path: Path):
        (tmp_path / "greet.yaml").write_text(GOOD)
        result = run("check", str(tmp_path))
        assert (result.exit_code, result.stdout) == (0, "")
        assert "checked 1 file with 1 sound step" in result.stderr

    def test_errors_are_3_with_file_line_and_mend(self, run: Run, tmp_path: Path):
        file = tmp_path / "greet.yaml"
        file.write_text(GOOD.replace("type: sync", "type: snyc"))
        result = run("check", str(tmp_path))
        assert result.exit_code == ExitCode.INVALID
        assert f"{file}:3:7" in result.stderr

    def test_json_lists_findings_for_programs(self, run: Run, tmp_path: Path):
        (tmp_path / "greet.yaml").write_text(GOOD.replace("type: sync", "type: snyc"))
        findings = json.loads(run("check", str(tmp_path), "-o", "json").stdout)
        (error,) = [found for found in findings if found["severity"] == "error"]
        assert (error["line"], error["column"], error["pointer"], error["path"][-10:]) == (3, 7, "/type", "greet.yaml")

    def test_the_project_file_says_where_steps_are(self, run: Run, tmp_path: Path):
        (tmp_path / "argyll.yaml").write_text("paths: [steps]\n")
        (tmp_path / "compose.yaml").write_text("services: {}\n")
        (tmp_path / "steps").mkdir()
        (tmp_path / "steps" / "greet.yaml").write_text(GOOD)
        result = run("check", str(tmp_path), "-o", "json")
        assert [found["path"] for found in json.loads(result.stdout) if "compose" in found["path"]] == []

    @pytest.mark.parametrize("there", [False, True])
    def test_nothing_to_check_is_9(self, run: Run, tmp_path: Path, there: bool):
        place = tmp_path / "steps"
        if there:
            place.mkdir()
        result = run("check", str(place))
        assert result.exit_code == ExitCode.NOT_FOUND
        assert str(place) in result.stderr
