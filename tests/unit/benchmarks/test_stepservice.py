"""What the step service answers and what it counts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from argyll.model.json import decode, encode
from benchmarks.stepservice import CallLedger, StepConnection, StepService, outputs
from benchmarks.wire import LOOPBACK, HttpPool, request_bytes


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("step", "inputs", "expected"),
    [
        (b"1", {"fid": "a", "x0": 0}, {"x1": 1}),
        (b"5", {"fid": "a", "x4": 4}, {"x5": 5}),
        (b"fan", {"item": 21}, {"r": 42}),
        (b"join", {"r": [{"item": 1, "r": 2}, {"item": 2, "r": 4}]}, {"sum": 6}),
        (b"join", {"r": []}, {"sum": 0}),
    ],
)
def test_a_step_answers_from_its_inputs(step: bytes, inputs: dict[str, Any], expected: dict[str, Any]):
    assert outputs(step, inputs) == expected


def test_the_same_path_called_again_is_a_repeated_call():
    ledger = CallLedger(Clock())
    for path, token in [(b"/s/1/a", b"t1"), (b"/s/1/b", b"t2"), (b"/s/1/a", b"t3"), (b"/s/1/a", b"t1")]:
        ledger.called(path, b"a", token)
    stats = ledger.stats()
    assert (stats.calls, stats.distinct_calls, stats.repeated_calls, stats.repeated_tokens) == (4, 2, 2, 1)


def test_calls_without_a_token_do_not_repeat_one():
    ledger = CallLedger(Clock())
    ledger.called(b"/s/1/a", b"a", b"")
    ledger.called(b"/s/1/b", b"b", b"")
    assert ledger.stats().repeated_tokens == 0


def test_calls_without_an_answer_are_in_flight():
    ledger = CallLedger(Clock())
    ledger.called(b"/s/1/a", b"a", b"")
    ledger.called(b"/s/1/b", b"b", b"")
    ledger.answered(b"a")
    assert (ledger.stats().answers, ledger.stats().in_flight) == (1, 1)


def test_the_gap_runs_from_an_answer_to_the_next_call_of_its_flow():
    clock = Clock()
    ledger = CallLedger(clock)
    ledger.called(b"/s/1/a", b"a", b"")
    ledger.answered(b"a")
    clock.now = 0.002
    ledger.called(b"/s/1/b", b"b", b"")
    ledger.called(b"/s/2/a", b"a", b"")
    assert ledger.stats().gap_p50_us == pytest.approx(2000)


def test_parallel_calls_have_no_gap_but_the_step_that_joins_them_has():
    clock = Clock()
    ledger = CallLedger(clock)
    for item in (b"1", b"2"):
        ledger.called(b"/s/fan/a/" + item, b"a", b"", parallel=True)
        ledger.answered(b"a")
    clock.now = 0.003
    ledger.called(b"/s/join/a", b"a", b"")
    assert ledger.stats().gap_p50_us == pytest.approx(3000)


def test_a_reset_forgets_all():
    ledger = CallLedger(Clock())
    ledger.called(b"/s/1/a", b"a", b"t")
    ledger.reset()
    ledger.called(b"/s/1/a", b"a", b"t")
    assert (ledger.stats().calls, ledger.stats().repeated_calls, ledger.stats().repeated_tokens) == (1, 0, 0)


@pytest.fixture
async def pool() -> AsyncIterator[HttpPool]:
    service = StepService(Clock())
    server = await asyncio.get_running_loop().create_server(lambda: StepConnection(service), LOOPBACK, 0)
    pool = HttpPool(server.sockets[0].getsockname()[1])
    yield pool
    pool.close()
    server.close()


async def call(pool: HttpPool, path: str, body: dict[str, Any], token: str) -> tuple[int, Any]:
    answered: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
    request = request_bytes("POST", path, encode(body), f"Argyll-Receipt-Token: {token}\r\n")
    pool.send(request, lambda status, answer: answered.set_result((status, decode(answer))))
    return await answered


async def test_a_call_made_twice_is_answered_twice_and_counted_by_path_and_token(pool: HttpPool):
    for _ in range(2):
        assert await call(pool, "/s/2/flow-a", {"fid": "flow-a", "x1": 1}, "t1") == (200, {"x2": 2})
    stats = decode((await pool.request("GET", "/stats"))[1])
    assert (stats["repeated_calls"], stats["repeated_tokens"], stats["in_flight"]) == (1, 1, 0)


async def test_answers_wait_for_the_delay_that_a_reset_asks_for(pool: HttpPool):
    await pool.request("POST", "/reset?delay_ms=1")
    assert await call(pool, "/s/1/flow-a", {"x0": 1}, "t") == (200, {"x1": 2})


@pytest.mark.parametrize(("path", "body"), [("/s/1/a", {"y": 1}), ("/s/nope/a", {"x0": 1}), ("/s/1", {"x0": 1})])
async def test_a_call_it_cannot_read_is_a_400_that_names_it(pool: HttpPool, path: str, body: dict[str, Any]):
    status, answer = await call(pool, path, body, "t")
    assert status == 400
    assert path in answer["error"]
