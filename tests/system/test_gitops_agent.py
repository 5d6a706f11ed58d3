"""A real agent between a real git remote and a real engine: commits, mistakes, force pushes, other writers, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ARGYLL = (sys.executable, "-m", "argyll")
TIMEOUT_S = 60
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARGYLL", "API_", "RAFT_"))}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PYTHONUNBUFFERED": "1"}


def definition(step_id: str, needs: str = "", makes: str = "", kind: str = "string", host: str = "localhost") -> str:
    inputs = "".join(f"  {name}: {{role: required, type: {kind}}}\n" for name in needs.split())
    outputs = "".join(f"  {name}: {{role: output, type: {kind}}}\n" for name in makes.split())
    return f"id: {step_id}\nname: {step_id}\ntype: sync\nhttp: {{endpoint: 'http://{host}/'}}\n" + (
        f"attributes:\n{inputs}{outputs}" if needs or makes else ""
    )


class Remote:
    """A bare repository and a clone to push from."""

    def __init__(self, root: Path) -> None:
        self.bare, self.clone = root / "remote.git", root / "clone"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.bare], check=True, env=environment())
        subprocess.run(
            ["git", "clone", "-q", self.bare, self.clone], check=True, env=environment(), capture_output=True
        )
        self.git("checkout", "-q", "-B", "main")

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *IDENTITY, *arguments],
            cwd=self.clone,
            check=True,
            env=environment(),
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def push(self, **steps: str | None) -> str:
        """Write files (None removes one), commit and push; the commit's id."""
        for name, text in steps.items():
            path = self.clone / f"{name}.yaml"
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        self.git("push", "-q", "--force", "origin", "main")
        return self.git("rev-parse", "HEAD")


class Engine:
    """A node in a process of its own."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [*ARGYLL, "serve", "--port", "0", "--data-dir", str(data)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stdout is not None
        self.url = next(word for word in self.process.stdout.readline().split() if word.startswith("http://"))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}", method=method, data=json.dumps(body).encode() if body else None
        )
        request.add_header("Content-Type", "application/json")
        request.add_header("Argyll-Override", "the test is somebody else")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"null")

    def steps(self) -> dict[str, Any]:
        return {step["id"]: step for step in self.ask("GET", "/engine/step")["steps"]}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Agent:
    """`argyll sync --watch` in a process of its own; every status is a line of JSON."""

    def __init__(self, remote: Remote, engine: Engine, cache: Path, *more: str) -> None:
        command = [*ARGYLL, "sync", "--git", remote.url, "--ref", "main", "--owner", "shop", "--watch", "-o", "json"]
        self.process = subprocess.Popen(
            [*command, "--interval", "0.2", "--engine", engine.url, *more],
            stdout=subprocess.PIPE, text=True, env=environment() | {"XDG_CACHE_HOME": str(cache)},
        )  # fmt: skip

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that is wanted; the test's time limit bounds the wait."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            status = json.loads(line)
            if wanted(status):
                return status
        raise AssertionError("the agent ended")

    def until_applied(self, commit: str) -> dict[str, Any]:
        return self.until(lambda status: status["applied"] == commit and status["state"] == "synced")

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(TIMEOUT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "data")
    yield engine
    engine.stop()


@pytest.fixture
def agent(remote: Remote, engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    started: list[Agent] = []

    def start(*more: str) -> Agent:
        started.append(Agent(remote, engine, tmp_path / "cache", *more))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.stop()


def test_commits_are_followed_and_a_faulty_one_changes_nothing(
    remote: Remote, engine: Engine, agent: Callable[..., Agent]
):
    first = remote.push(pay=definition("pay", "total"), price=definition("price", "", "total"))
    running = agent()
    running.until_applied(first)
    remote.push(price="id: price\ntype: nonsense\n", more=definition("more"))
    assert running.until(lambda status: status["state"] == "invalid")["applied"] == first
    assert sorted(engine.steps()) == ["pay", "price"]
    mended = remote.push(price=definition("price", "items", "total"))
    running.until_applied(mended)
    assert sorted(engine.steps()) == ["more", "pay", "price"]


def test_an_attribute_changes_its_type_on_both_sides_in_one_commit(
    remote: Remote, engine: Engine, agent: Callable[..., Agent]
):
    running = agent()
    running.until_applied(remote.push(pay=definition("pay", "total"), price=definition("price", "", "total")))
    running.until_applied(
        remote.push(
            pay=definition("pay", "total", kind="number"), price=definition("price", "", "total", kind="number")
        )
    )
    assert engine.steps()["price"]["attributes"]["total"]["type"] == "number"


def test_a_force_push_waits_and_a_new_commit_on_the_applied_one_goes_on(
    remote: Remote, engine: Engine, agent: Callable[..., Agent]
):
    first = remote.push(pay=definition("pay"))
    second = remote.push(price=definition("price"))
    running = agent()
    running.until_applied(second)
    remote.git("reset", "-q", "--hard", first)
    remote.git("push", "-q", "--force", "origin", "main")
    blocked = running.until(lambda status: status["state"] == "blocked")
    assert (blocked["applied"], blocked["observed"], sorted(engine.steps())) == (second, first, ["pay", "price"])
    remote.git("reset", "-q", "--hard", second)
    running.until_applied(remote.push(more=definition("more")))


def test_a_branch_that_goes_away_removes_nothing(remote: Remote, engine: Engine, agent: Callable[..., Agent]):
    running = agent()
    running.until_applied(remote.push(pay=definition("pay")))
    subprocess.run(["git", "update-ref", "-d", "refs/heads/main"], cwd=remote.bare, check=True, env=environment())
    running.until(lambda status: status["state"] == "source_error")
    assert sorted(engine.steps()) == ["pay"]
    running.until_applied(remote.push(price=definition("price")))


def test_what_somebody_else_changes_is_restored_at_once(remote: Remote, engine: Engine, agent: Callable[..., Agent]):
    running = agent()
    running.until_applied(remote.push(pay=definition("pay", "", "receipt"), price=definition("price")))
    engine.ask("DELETE", "/engine/step/pay")
    assert running.until(lambda status: status["changed"])["created"] == ["pay"]
    assert sorted(engine.steps()) == ["pay", "price"]


def test_an_agent_killed_again_and_again_leaves_whole_revisions_only(
    remote: Remote, engine: Engine, agent: Callable[..., Agent]
):
    wholes: list[set[str]] = [set()]
    for number in range(4):
        names = {f"s{number}-{index}" for index in range(5)}
        gone = dict.fromkeys(wholes[-1])
        commit = remote.push(**gone, **{name: definition(name) for name in names})
        wholes.append(names)
        running = agent("--allow-prune", "--allow-empty")
        if number < 3:
            # Each time at another moment: the pause is where the kill falls, not something to wait for.
            time.sleep(number * 0.4)
            running.stop(signal.SIGKILL)
            assert set(engine.steps()) in wholes
        else:
            running.until_applied(commit)
    assert set(engine.steps()) == wholes[-1]


def test_two_agents_of_one_source_end_at_the_same_commit(remote: Remote, engine: Engine, agent: Callable[..., Agent]):
    first, second = agent(), agent()
    for number in range(5):
        head = remote.push(**{f"step-{number}": definition(f"step-{number}")})
    first.until_applied(head)
    second.until_applied(head)
    assert sorted(engine.steps()) == [f"step-{number}" for number in range(5)]
    applied = [
        event for event in engine.ask("GET", "/engine/catalog/events")["events"] if event["type"] == "catalog_applied"
    ]
    assert len(applied) <= 5


def test_an_exported_catalog_differs_in_nothing(engine: Engine, tmp_path: Path):
    engine.ask("POST", "/engine/step", {
        "id": "pay", "name": "Pay", "type": "sync", "http": {"endpoint": "http://localhost/", "timeout": 0},
        "attributes": {"total": {"role": "optional", "optional": {"default": '"12:30"'}}},
    })  # fmt: skip
    for command in (["export", "--dir", str(tmp_path / "steps")],
                    ["diff", "--against", "engine", "--dir", str(tmp_path / "steps"), "--detailed-exitcode"]):  # fmt: skip
        done = subprocess.run(
            [*ARGYLL, *command, "--engine", engine.url],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=environment(),
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing differs" in done.stdout
