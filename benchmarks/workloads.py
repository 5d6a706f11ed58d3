"""The workloads: which steps they need, what one flow of each looks like, and how many are kept in flight.

Facts only: nothing here sends or measures.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from argyll.model.json import JSON

CHAIN_LENGTH: Final = 5
FAN_OUT: Final = 100
FAN_PARALLELISM: Final = 10
STEP_TIMEOUT_MS: Final = 30_000

_FAN_ITEMS: Final = ",".join(str(item) for item in range(FAN_OUT))


class Workload(msgspec.Struct, frozen=True):
    """One kind of flow under load. `flow_body` makes the JSON body of `POST /engine/flow` from a flow id.

    `stretch` multiplies the measuring time where that many flows in flight need longer to settle.
    """

    name: str
    title: str
    in_flight: tuple[int, ...]
    flow_body: Callable[[str], bytes]
    stretch: float = 1.0


def script_flow(flow_id: str) -> bytes:
    """A flow of one in-engine Ale step."""
    return f'{{"id":"{flow_id}","goals":["w1-script"],"init":{{"input":["test"]}}}}'.encode()


def chain_flow(flow_id: str) -> bytes:
    """A flow of `CHAIN_LENGTH` sync HTTP steps, a number in and a number out."""
    init = f'{{"x0":[0],"fid":["{flow_id}"]}}'
    return f'{{"id":"{flow_id}","goals":["w2-{CHAIN_LENGTH}"],"init":{init}}}'.encode()


def fan_flow(flow_id: str) -> bytes:
    """A flow of one step for each of `FAN_OUT` items and one that joins their results."""
    init = f'{{"item":[[{_FAN_ITEMS}]],"fid":["{flow_id}"]}}'
    return f'{{"id":"{flow_id}","goals":["w3-join"],"init":{init}}}'.encode()


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("w1", "one in-engine Ale step", (1, 16, 64), script_flow),
        Workload("w2", f"chain of {CHAIN_LENGTH} sync HTTP steps", (1, 16, 64), chain_flow),
        Workload(
            "w3", f"for_each over {FAN_OUT} items, {FAN_PARALLELISM} at a time, then a join", (1, 4, 16), fan_flow
        ),
        Workload("w4", "w2 with 1,000 in flight", (1000,), chain_flow, stretch=2.0),
    )
}
RECOVERY: Final = "w5"
"""Kill -9 under load and restart; see `benchmarks.recovery`."""


def step_definitions(service_port: int) -> list[JSON]:
    """The steps of all workloads, as bodies of `POST /engine/step`."""
    service = f"http://127.0.0.1:{service_port}/s"
    chain = [_http_step(f"w2-{i}", f"{service}/{i}/{{fid}}", _chain_attributes(i)) for i in range(1, CHAIN_LENGTH + 1)]
    fan = _http_step("w3-fan", f"{service}/fan/{{fid}}/{{item}}", _FAN_ATTRIBUTES)
    fan["work_config"] = {"parallelism": FAN_PARALLELISM}
    return [_SCRIPT_STEP, *chain, fan, _http_step("w3-join", f"{service}/join/{{fid}}", _JOIN_ATTRIBUTES)]


def _http_step(step_id: str, endpoint: str, attributes: JSON) -> dict[str, JSON]:
    http = {"endpoint": endpoint, "method": "POST", "timeout": STEP_TIMEOUT_MS}
    return {"id": step_id, "name": step_id, "type": "sync", "attributes": attributes, "http": http}


def _chain_attributes(i: int) -> JSON:
    return {
        "fid": {"role": "required", "type": "string"},
        f"x{i - 1}": {"role": "required", "type": "number"},
        f"x{i}": {"role": "output", "type": "number"},
    }


_SCRIPT_STEP: Final[JSON] = {
    "id": "w1-script",
    "name": "w1-script",
    "type": "script",
    "attributes": {"input": {"role": "required", "type": "string"}, "result": {"role": "output", "type": "string"}},
    "script": {"language": "ale", "script": '{:result "hello"}'},
}
_FAN_ATTRIBUTES: Final[JSON] = {
    "fid": {"role": "required", "type": "string"},
    "item": {"role": "required", "type": "array", "for_each": True},
    "r": {"role": "output", "type": "any"},
}
_JOIN_ATTRIBUTES: Final[JSON] = {
    "fid": {"role": "required", "type": "string"},
    "r": {"role": "required", "type": "any"},
    "sum": {"role": "output", "type": "number"},
}
