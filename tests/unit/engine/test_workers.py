"""Worker processes: they give full limits, and one that dies takes nobody else's script with it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from argyll.engine.config import EngineConfig
from argyll.engine.evaluator import Answer, Evaluation
from argyll.engine.workers import DIED, Workers
from argyll.model import json
from argyll.model.step import Script

LONG = "(fold-left + 0 (range 1 {n} 1))"


def outputs_of(text: str, language: str = "ale", **arguments: object) -> Evaluation:
    script = Script(language, text)  # pyright: ignore
    return Evaluation("outputs", script, tuple(sorted(arguments)), json.encode(arguments), b"null")


ENDLESS = outputs_of("while true do end", "lua")


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(1)
    yield made
    made.close()


def pids(workers: Workers) -> list[int]:
    executors = [pool._executor for pool in (workers._pool, workers._suspects)]
    return [pid for executor in executors if executor is not None for pid in executor._processes or {}]


async def test_a_worker_evaluates_every_kind_with_full_limits(workers: Workers):
    loop = "local s = 0 for i = 1, n do s = s + 1 end return {s = s}"
    assert await workers.evaluate(outputs_of(loop, "lua", n=300_000)) == Answer({"s": 300_000})
    test = Evaluation("test", Script("ale", "(< a 2)"), ("a",), b'{"a":1}', b"null")
    assert await workers.evaluate(test) == Answer(True)
    match = Evaluation("test_value", Script("jpath", "$.x"), ("value",), b"{}", b'{"x":1}')
    assert await workers.evaluate(match) == Answer(True)
    mapping = Evaluation("map", Script("jpath", "$.x"), ("value",), b"{}", b'{"x":7}')
    assert await workers.evaluate(mapping) == Answer(7)


async def test_a_limit_is_the_scripts_error(workers: Workers):
    answer = await workers.evaluate(ENDLESS)
    assert "limit" in answer.error
    assert (await workers.evaluate(outputs_of('(raise "no")'))).error


@pytest.mark.system
async def test_a_killed_worker_fails_its_script_and_the_next_works(workers: Workers):
    assert await workers.evaluate(outputs_of("1")) == Answer({"result": 1})
    (first,) = pids(workers)
    dying = asyncio.ensure_future(workers.evaluate(ENDLESS))
    killed: set[int] = set()
    while not dying.done():  # whoever runs the endless script is killed while it does
        for pid in set(pids(workers)) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        await asyncio.sleep(0)
    assert (await dying).error == DIED
    assert first in killed
    assert await workers.evaluate(outputs_of("2")) == Answer({"result": 2})


@pytest.mark.system
async def test_a_bystander_of_a_killed_worker_gets_its_answer(workers: Workers):
    await workers.evaluate(outputs_of("1"))
    (pid,) = pids(workers)
    both = asyncio.gather(workers.evaluate(ENDLESS), workers.evaluate(outputs_of("3")))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    endless, bystander = await both
    assert "limit" in endless.error  # not killed a second time: it meets its own limit
    assert bystander == Answer({"result": 3})


NODE = """
import asyncio, sys
from argyll.engine.evaluator import Evaluation
from argyll.engine.workers import Workers
from argyll.model.step import Script

async def main():
    workers = Workers(1)
    await workers.evaluate(Evaluation("outputs", Script("ale", "1"), (), b"{}", b"null"))
    print(*workers._pool._executor._processes, flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.system
def test_workers_end_when_their_node_is_killed(tmp_path: Path):
    script = tmp_path / "node.py"
    script.write_text(NODE)
    # The workers hold the pipe too: its end is the end of the last of them.
    node = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    assert int(node.stdout.readline()) != node.pid
    node.kill()
    node.wait()
    assert node.stdout.read() == ""


async def test_the_limits_of_the_node_are_those_of_its_workers():
    workers = Workers(1, EngineConfig(data_dir=Path(), script_steps=20_000).script_limits)
    answer = await workers.evaluate(outputs_of(LONG.format(n=50_000)))
    workers.close()
    assert "20,000 steps" in answer.error
