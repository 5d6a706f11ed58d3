"""The real engine explains real orders of the example shop, over HTTP and through the command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from argyll.client import Client

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TIMEOUT_S = 60
UNREACHABLE = """\
id: ask-nobody
name: Ask nobody
type: sync
http: { endpoint: "http://127.0.0.1:9/nobody" }
work_config: { max_retries: 5, init_backoff: 600000, max_backoff: 600000 }
attributes:
  answer: { role: output, type: string }
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARGYLL", "API_", "RAFT_"))}
    return kept | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(*command: str) -> Iterator[str]:
    """A process that says in its first line where it is; gives the URL."""
    running = subprocess.Popen(
        [sys.executable, "-u", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        cwd=EXAMPLES.parent,
    )
    assert running.stdout is not None
    try:
        line = running.stdout.readline()
        yield next(word for word in line.split() if word.startswith("http://")).rstrip("/")
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(TIMEOUT_S)
        running.stdout.close()


@dataclass
class Shop:
    url: str

    def argyll(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "argyll", *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=environment(ARGYLL_ENGINE=self.url),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def order(self, flow_id: str, customer: str, quantity: int) -> Any:
        """Order kilts, and see how it ends."""
        init = {"customer_id": customer, "items": [{"sku": "kilt", "quantity": quantity}]}
        with Client(self.url) as client:
            return client.start_and_wait(flow_id, "complete-order", init, timeout_s=TIMEOUT_S)

    def explain(self, flow_id: str, **question: Any) -> Any:
        with Client(self.url) as client:
            return client.explain(flow_id, **question)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("explain")
    steps = directory / "steps"
    steps.mkdir()
    with ExitStack() as cleanup:
        services = cleanup.enter_context(
            process(str(EXAMPLES / "services" / "shop.py"), "--host", "127.0.0.1", "--port", str(free_port()))
        )
        for path in (EXAMPLES / "steps").glob("*.yaml"):
            (steps / path.name).write_text(path.read_text("utf-8").replace("http://127.0.0.1:9710", services), "utf-8")
        (steps / "ask-nobody.yaml").write_text(UNREACHABLE)
        engine = cleanup.enter_context(
            process("-m", "argyll", "serve", "--port", str(free_port()), "--data-dir", str(directory / "data"))
        )
        shop = Shop(engine)
        shop.argyll("sync", "--dir", str(steps), "--owner", "tests")
        yield shop


def test_a_finished_order_tells_retries_skips_and_where_its_values_come_from(shop: Shop):
    assert shop.order("good", "c-3", 1)["status"] == "completed"

    answer = shop.explain("good")
    reasons = {told["step"]: told["reason"]["code"] for told in answer["steps"]}
    assert (answer["outcome"]["code"], answer["waiting"]) == ("goals_done", [])
    assert reasons["send-receipt"] == "predicate"
    payment = shop.argyll("flow", "why", "good", "process-payment")
    assert "attempt 1 at +" in payment
    assert "gave no answer that counts" in payment, "the bank is busy when an order first calls"
    total = shop.argyll("flow", "why", "good", "total")
    assert total.splitlines()[2].startswith("total = ")
    assert 'customer_id = "c-3", from init' in total


def test_a_declined_order_leads_from_its_goal_to_what_began_it(shop: Shop):
    assert shop.order("nobody", "c-9", 1)["status"] == "failed"

    because = shop.explain("nobody")["outcome"]["because"]
    assert (because[0]["step"], because[0]["code"]) == ("complete-order", "unreachable")
    root = next(cause for cause in because if cause["step"] == "lookup-customer")
    assert (root["code"], root["input"]) == ("work_failed", "customer")
    told = shop.argyll("flow", "why", "nobody")
    assert "because lookup-customer failed at +" in told
    assert "no customer c-9" in told


def test_a_gate_that_turned_an_order_down_says_what_it_saw(shop: Shop):
    assert shop.order("blocked", "c-4", 1)["status"] == "failed"

    skipped = [told for told in shop.explain("blocked")["steps"] if told["reason"]["code"] == "match"]
    assert skipped
    assert all(told["reason"]["inputs"][0]["candidates"] for told in skipped)
    assert "did not accept" in shop.argyll("flow", "why", "blocked", skipped[0]["step"])


def test_a_flow_that_waits_says_for_what_and_until_when(shop: Shop):
    shop.argyll("flow", "start", "ask-nobody", "--id", "waiting")
    with Client(shop.url) as client:
        next(event for event in client.watch(("flow", "waiting"), from_sequence=0) if is_retry(event))

    [wait] = shop.explain("waiting")["waiting"]
    assert (wait["kind"], wait["step"]) == ("retry", "ask-nobody")
    assert wait["due"]["after_ms"] >= 600_000
    assert "ask-nobody: its retry, due at +10 min" in shop.argyll("flow", "why", "waiting")
    earlier = shop.argyll("flow", "why", "waiting", "--at", "0")
    assert "as of +0 ms (event 0)" in earlier
    shop.argyll("flow", "cancel", "waiting")
    assert shop.explain("waiting")["outcome"]["code"] == "cancelled"


def is_retry(change: Any) -> bool:
    return getattr(change, "type", "") == "work_retry_scheduled"


def test_a_finished_flow_is_explained_from_its_events_alone(shop: Shop):
    shop.order("kept", "c-1", 1)
    before = shop.explain("kept", step="process-payment")
    definition = next(step for step in Client(shop.url).steps() if step["id"] == "process-payment")
    Client(shop.url).unregister("process-payment", override="the shop closes")
    try:
        assert shop.explain("kept", step="process-payment") == before
    finally:
        Client(shop.url).register(definition, override="the shop opens")
