"""A log that refuses at random: everything that was acknowledged still comes to its end, once."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import Engine, EngineConfig, dispatch
from argyll.engine import flows as flows_module
from argyll.engine.caller import Outcome, Request, Retryable, Success
from argyll.engine.errors import Overloaded
from argyll.model import json
from argyll.store import Append, Conflict, OutcomeUnknown, Store
from argyll.store import Overloaded as StoreOverloaded

from .conftest import Node, Services, step

FLOWS = 24
CHANCE = random.Random(5)
QUICK = {"init_backoff": 1, "max_backoff": 1, "backoff_type": "fixed", "max_retries": -1}


class Refusing:
    """The real store, which records some appends of flows only at the next try, or without saying so."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store, self._random = store, random.Random(seed)
        self.refused = 0
        self._last: dict[tuple[str, ...], asyncio.Future[int]] = {}

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def append(self, append: Append) -> asyncio.Future[int]:
        before = self._last.get(append.aggregate)
        if append.aggregate[0] != "flow" or self._random.random() > 0.3:
            self._last[append.aggregate] = self._store.append(append)
            return self._last[append.aggregate]
        self.refused += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        match self._random.randrange(3):
            case 0:
                refusal: Exception = StoreOverloaded("max_in_flight_appends", 1, 2)
            case 1:
                refusal = Conflict(append.aggregate, append.expected_sequence, 0)
            case _:
                refusal = OutcomeUnknown("the leader went away")
        # As the store does: told once what was appended before has been applied.
        if before is not None and not before.done():
            before.add_done_callback(lambda _: future.set_exception(refusal))
        else:
            asyncio.get_running_loop().call_soon(future.set_exception, refusal)
        self._last[append.aggregate] = future
        return future


STEPS = [
    step("source", gives=("items",), work_config=QUICK),
    step(
        "each",
        attributes={"items": {"role": "required", "for_each": True}, "part": {"role": "output"}},
        work_config={"parallelism": 3, **QUICK},
    ),
    step("inner", needs=("part",), gives=("inside",), work_config=QUICK),
    step(
        "child",
        "flow",
        goals=["inner"],
        needs=("part",),
        attributes={"whole": {"role": "output", "mapping": {"name": "inside"}}},
    ),
    step(
        "goal",
        "script",
        script="{:done (length whole)}",
        needs=("whole",),
        gives=("done",),
        attributes={"hint": {"role": "optional", "deadline": 1, "default": '"none"'}},
    ),
    step("hinter", "async", gives=("hint",), work_config=QUICK),
]


async def answer(request: Request) -> Outcome:
    body: Any = json.decode(request.body or b"{}")
    match request.identity.step_id:
        case "source":
            return Success({"items": [1, 2, 3, 4, 5]})
        case "each":
            return Success({"part": body["items"]}) if CHANCE.random() < 0.7 else Retryable("busy")
        case "inner":
            return Success({"inside": body["part"]})
        case _:
            return Success({})


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_flows_complete_over_a_log_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int):
    monkeypatch.setattr(flows_module, "RECHECK_US", 1_000)
    monkeypatch.setattr(dispatch, "RECORD_RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(dispatch, "RECORD_RETRY_MAX_S", 0.004)
    services, store = Services(), Refusing(await Store.in_memory(), seed)
    node = Node(Engine(EngineConfig(data_dir=tmp_path, drain_s=0), store, services), services)  # pyright: ignore
    for each in STEPS:
        services.handlers[each["id"]] = answer
    await node.register(*STEPS)

    async def run(flow_id: str) -> None:
        while True:
            try:
                await node.start(flow_id, "goal")
                break
            except Overloaded:
                await asyncio.sleep(0)
        await node.until(flow_id, "flow_completed")

    await asyncio.gather(*(run(f"f{n}") for n in range(FLOWS)))
    assert store.refused > FLOWS
    for n in range(FLOWS):
        records = await node.engine.events(("flow", f"f{n}"))
        assert [record.sequence for record in records] == list(range(len(records)))
        types = [record.type for record in records]
        assert "step_failed" not in types
        assert types.count("work_succeeded") == 1 + 5 + 1 + 1  # source, each, child, goal
        assert types.count("step_completed") == 4
        assert types.count("flow_completed") == 1
        assert (await node.view(f"f{n}"))["attributes"]["done"][0]["value"] == 5
    await node.engine.close()
    assert node.engine._flows.pending_appends == 0
