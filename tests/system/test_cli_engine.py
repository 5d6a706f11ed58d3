"""The real `argyll` command against a real engine node: serve, sync, plan, flow, and how they end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ARGYLL = (sys.executable, "-m", "argyll")
TIMEOUT_S = 60

GREET = """\
id: greet
name: Greet
type: script
script: { language: ale, script: '{:greeting name}' }
attributes:
  name: { role: required, type: string }
  greeting: { role: output, type: string }
"""
FAIL = """\
id: fail
name: Fail
type: sync
http: { endpoint: "http://127.0.0.1:9/nobody" }
work_config: { max_attempts: 1 }
attributes:
  never: { role: output, type: string }
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARGYLL", "API_", "RAFT_"))}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Node:
    process: subprocess.Popen[str]
    ready_line: str
    url: str
    data: Path

    def argyll(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return argyll(*arguments, ARGYLL_ENGINE=self.url)


def argyll(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ARGYLL, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, env=environment(**env)
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("node") / "data"
    process = subprocess.Popen(
        [*ARGYLL, "serve", "--port", str(free_port()), "--data-dir", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = next(word for word in line.split() if word.startswith("http://"))
    yield Node(process, line, url, data)
    process.terminate()
    assert process.wait(TIMEOUT_S) == 0, "SIGTERM is an orderly end"
    process.stdout.close()


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    directory = tmp_path / "steps"
    directory.mkdir()
    (directory / "greet.yaml").write_text(GREET)
    (directory / "fail.yaml").write_text(FAIL)
    return directory


@pytest.fixture
def synced(node: Node, steps: Path) -> Node:
    done = node.argyll("sync", "--dir", str(steps), "--owner", "tests", "--allow-prune", "--allow-empty")
    assert done.returncode == 0, done.stderr
    return node


def test_serve_says_in_one_line_where_it_is_and_where_it_keeps_things(node: Node):
    assert node.ready_line.count("http://127.0.0.1:") == 1
    assert str(node.data) in node.ready_line


def test_a_second_node_on_the_port_is_refused_with_the_port(node: Node, tmp_path: Path):
    port = node.url.rpartition(":")[2]
    done = argyll("serve", "--port", port, "--data-dir", str(tmp_path / "other"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_node_on_the_data_is_refused_with_the_first_ones_pid(node: Node):
    done = argyll("serve", "--port", str(free_port()), "--data-dir", str(node.data))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(node.process.pid) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "192.0.2.1"), "192.0.2.1"),
        (("--host", "no such host"), "no such host"),
        (("--data-dir", "/dev/null/data"), "/dev/null"),
        (("--port", "0x1"), "--"),
        (("--config", "/nowhere/engine.yaml"), "/nowhere/engine.yaml"),
    ],
)
def test_what_cannot_be_listened_on_or_kept_is_named(tmp_path: Path, arguments: tuple[str, ...], words: str):
    done = argyll("serve", "--port", str(free_port()), "--data-dir", str(tmp_path / "data"), *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path):
    config = tmp_path / "engine.yaml"
    config.write_text("api_port: eighty\n")
    done = argyll("serve", "--config", str(config), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "api_port is 'eighty'" in done.stderr


def test_a_synced_directory_is_the_catalog_and_syncing_again_is_nothing(synced: Node, steps: Path):
    done = synced.argyll("sync", "--dir", str(steps), "--owner", "tests", "-o", "json")
    status = json.loads(done.stdout)
    assert (status["state"], status["changed"], status["unchanged"]) == ("synced", False, 2)
    assert "greet" in synced.argyll("step", "list").stdout


def test_a_faulty_file_is_shown_and_keeps_the_catalog(synced: Node, steps: Path):
    (steps / "fail.yaml").write_text(FAIL.replace("sync", "snyc"))
    (steps / "greet.yaml").unlink()
    done = synced.argyll("sync", "--dir", str(steps), "--owner", "tests")
    assert done.returncode == 3
    assert "type: snyc" in done.stderr
    assert synced.argyll("step", "get", "greet").returncode == 0


def test_pending_changes_are_2_when_asked_for(synced: Node, steps: Path):
    (steps / "fail.yaml").unlink()
    done = synced.argyll("sync", "--dir", str(steps), "--owner", "tests", "--dry-run", "--detailed-exitcode")
    assert done.returncode == 2
    assert "- delete  fail" in done.stdout
    assert synced.argyll("step", "get", "fail").returncode == 0


def test_a_flow_runs_to_its_end_and_is_told_in_every_way(synced: Node):
    done = synced.argyll("flow", "start", "greet", "--id", "hello", "--init", "name=Ada", "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'flow completed\n  greeting = "Ada"\n'
    assert "greet completed" in done.stderr

    watched = synced.argyll("flow", "watch", "hello", "-o", "json")
    types = [json.loads(line)["type"] for line in watched.stdout.splitlines()]
    assert (types[0], types[-1]) == ("flow_started", "flow_deactivated")
    events = json.loads(synced.argyll("flow", "events", "hello", "-o", "json").stdout)["events"]
    assert [event["type"] for event in events] == types

    state = json.loads(synced.argyll("flow", "get", "hello", "-o", "json").stdout)
    assert state["status"] == "completed"
    assert "✔  greet  completed" in synced.argyll("flow", "get", "hello").stdout


def test_a_failed_flow_is_8_and_says_why(synced: Node):
    done = synced.argyll("flow", "start", "fail", "--wait", "-o", "json")
    assert done.returncode == 8
    assert json.loads(done.stdout)["status"] == "failed"
    assert "fail failed" in done.stderr


def test_waiting_can_end_before_the_flow_which_then_runs_on(synced: Node, steps: Path):
    # A server that accepts and never answers keeps the step active.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (steps / "fail.yaml").write_text(FAIL.replace(":9/", f":{port}/"))
        assert synced.argyll("sync", "--dir", str(steps), "--owner", "tests").returncode == 0
        done = synced.argyll("flow", "start", "fail", "--id", "slow", "--wait", "--timeout", "0.5")
        assert done.returncode == 7
        assert "argyll flow watch slow" in done.stderr
        assert synced.argyll("flow", "cancel", "slow").returncode == 0
    assert synced.argyll("flow", "watch", "slow", "--timeout", "30").returncode == 8


def test_interrupting_a_watch_leaves_the_flow_alone_and_says_so(synced: Node, steps: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (steps / "fail.yaml").write_text(FAIL.replace(":9/", f":{port}/"))
        assert synced.argyll("sync", "--dir", str(steps), "--owner", "tests").returncode == 0
        assert synced.argyll("flow", "start", "fail", "--id", "held").returncode == 0
        watch = subprocess.Popen(
            [*ARGYLL, "flow", "watch", "held"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(ARGYLL_ENGINE=synced.url, PYTHONUNBUFFERED="1"),
        )
        assert watch.stdout is not None
        assert "started" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=TIMEOUT_S)
        assert watch.returncode == 130
        assert "held runs on" in errors
        assert "Traceback" not in errors
        assert json.loads(synced.argyll("flow", "get", "held", "-o", "json").stdout)["status"] == "active"
        synced.argyll("flow", "cancel", "held")


def test_the_watching_agent_follows_the_directory_and_ends_cleanly(node: Node, steps: Path):
    # Ids of its own: the node is shared, and what another owner has cannot be taken.
    (steps / "greet.yaml").write_text(GREET.replace("id: greet", "id: watched").replace("greeting", "watching"))
    (steps / "fail.yaml").unlink()
    agent = subprocess.Popen(
        [*ARGYLL, "sync", "--dir", str(steps), "--owner", "tests", "--watch", "--interval", "0.2", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(ARGYLL_ENGINE=node.url, PYTHONUNBUFFERED="1"),
    )
    assert agent.stdout is not None
    assert json.loads(agent.stdout.readline())["state"] == "synced"

    (steps / "wave.yaml").write_text(GREET.replace("id: greet", "id: wave").replace("greeting", "waving"))
    assert json.loads(agent.stdout.readline())["created"] == ["wave"]

    (steps / "wave.yaml").write_text("id: [")
    assert json.loads(agent.stdout.readline())["state"] == "invalid"

    (steps / "wave.yaml").unlink()
    assert json.loads(agent.stdout.readline())["deleted"] == ["wave"]

    agent.send_signal(signal.SIGTERM)
    _, errors = agent.communicate(timeout=TIMEOUT_S)
    assert agent.returncode == 0
    assert "Traceback" not in errors


def test_a_git_branch_is_followed_commit_by_commit(node: Node, steps: Path, tmp_path: Path):
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, env=environment())

    def sync() -> dict[str, object]:
        done = node.argyll("sync", "--git", str(tmp_path), "--ref", "main", "--path", "steps", "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (steps / "greet.yaml").write_text(GREET.replace("id: greet", "id: bow").replace("greeting", "bowing"))
    (steps / "greet.yaml").rename(steps / "bow.yaml")
    (steps / "fail.yaml").unlink()
    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    assert sync()["created"] == ["bow"]
    (steps / "bow.yaml").write_text("not committed: yet")
    assert sync()["changed"] is False


def test_a_terminal_without_box_characters_gets_ascii_and_escapes(synced: Node):
    started = synced.argyll("flow", "start", "greet", "--id", "stroke", "--init", "name=Łukasz", "--wait")
    assert started.returncode == 0
    done = argyll("flow", "get", "stroke", ARGYLL_ENGINE=synced.url, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "v  greet  completed" in done.stdout
    assert "\\u0141ukasz" in done.stdout


def test_a_reader_that_goes_away_is_no_error(synced: Node):
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {' '.join(ARGYLL)} step list -o json | head -c 1 >/dev/null"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(ARGYLL_ENGINE=synced.url),
    )
    assert (done.returncode, done.stderr) == (0, "")
