"""The least that an engine with Argyll's promise must do: plan by attribute name, append, fsync, then act.

The same event sequence as the real engine, every event encoded once, appends of all flows fused into one fdatasync at a
time. It has no validation, no retries, no queries and no recovery: it shows what the machine and the language allow.
"""

import asyncio
import itertools
import os
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import msgspec

from argyll.model.json import JSON, encode

Values = dict[str, JSON]
Reply = Callable[[bytes, bytes], None]
"""Takes a body and a status line."""


class Attribute(msgspec.Struct):
    role: str
    type: str = "any"
    for_each: bool = False


class Http(msgspec.Struct):
    endpoint: str
    method: str = "POST"
    timeout: int = 0


class Script(msgspec.Struct):
    language: str
    script: str


class WorkConfig(msgspec.Struct):
    parallelism: int = 1


class Step(msgspec.Struct):
    id: str
    name: str
    type: str
    attributes: dict[str, Attribute]
    http: Http | None = None
    script: Script | None = None
    work_config: WorkConfig = msgspec.field(default_factory=WorkConfig)

    def named(self, role: str) -> list[str]:
        return [name for name, attribute in self.attributes.items() if attribute.role == role]


class StartFlow(msgspec.Struct):
    id: str
    goals: list[str]
    init: dict[str, list[JSON]] = {}


class Event(msgspec.Struct):
    """One event as the log and the subscribers get it."""

    type: str
    data: Values
    id: tuple[str, str]
    timestamp: int
    sequence: int


class Plan(msgspec.Struct):
    """The steps a set of goals needs, with what each requires and gives, and who waits for an attribute."""

    goals: list[str]
    steps: dict[str, Step]
    required: dict[str, list[str]]
    outputs: dict[str, list[str]]
    consumers: dict[str, list[str]]
    encoded: msgspec.Raw


class Work(msgspec.Struct):
    inputs: Values
    outputs: Values = {}


class Execution(msgspec.Struct):
    """A step of a flow: `unstarted` are the tokens still to be dispatched, last first."""

    inputs: Values = {}
    outputs: Values = {}
    work: dict[str, Work] = {}
    unstarted: list[str] = []
    active: int = 0
    open: int = 0
    started_ms: int = 0
    started: bool = False
    completed: bool = False


class Flow(msgspec.Struct):
    id: str
    plan: Plan
    attributes: Values
    executions: dict[str, Execution]
    next_sequence: int = 0


class StepCaller(Protocol):
    """Posts inputs to a step and hands the decoded answer to `Floor.complete`."""

    def call(self, flow: Flow, step: Step, token: str, inputs: Values) -> None: ...

    async def close(self) -> None: ...


class FusedLog:
    """Appends of one loop turn and of all that came during the last fsync go to disk as one checksummed record."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o600)
        self._writer = ThreadPoolExecutor(1, "floor-log")
        self._events: list[bytes] = []
        self._committed: list[Callable[[], None]] = []
        self._busy = False

    def append(self, events: list[bytes], committed: Callable[[], None]) -> None:
        """`committed` is called on the loop once the events are on disk."""
        self._events += events
        self._committed.append(committed)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._write_out)

    def close(self) -> None:
        """Finish the write under way; nothing may be appended afterwards."""
        self._writer.shutdown()
        os.close(self._file)

    def _write_out(self) -> None:
        payload = b"".join(self._events)
        committed = self._committed
        self._events, self._committed = [], []
        record = struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
        written = asyncio.get_running_loop().run_in_executor(self._writer, self._write, record)
        written.add_done_callback(lambda done: self._written(done, committed))

    def _write(self, record: bytes) -> None:
        os.write(self._file, record)
        os.fdatasync(self._file)

    def _written(self, done: asyncio.Future[None], committed: list[Callable[[], None]]) -> None:
        done.result()
        for callback in committed:
            callback()
        if self._events:
            self._write_out()
        else:
            self._busy = False


class Floor:
    """All state of the floor engine. `publish` gets (event type, encoded event) of what is committed."""

    def __init__(self, log: FusedLog, publish: Callable[[str, bytes], None], watched: set[str]) -> None:
        self.log = log
        self.publish = publish
        self.watched = watched
        self.caller: StepCaller
        self._steps: dict[str, Step] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._flows: set[str] = set()
        self._token_prefix = os.urandom(6).hex()
        self._token_numbers = itertools.count()

    def register(self, step: Step) -> None:
        self._steps[step.id] = step
        self._plans.clear()

    def start(self, request: StartFlow, reply: Reply) -> None:
        """Start a flow; `reply` is called when its first events are committed."""
        if request.id in self._flows:
            reply(b'{"error":"flow exists","status":409}', b"409 Conflict")
            return
        self._flows.add(request.id)
        plan = self._plan(request)
        attributes = {name: values[0] for name, values in request.init.items()}
        flow = Flow(request.id, plan, attributes, {step_id: Execution() for step_id in plan.steps})
        transaction = Transaction(self, flow)
        transaction.after.append(lambda: reply(encode({"flow_id": flow.id}), b"201 Created"))
        transaction.event(
            "flow_started", {"flow_id": flow.id, "plan": plan.encoded, "init": request.init, "labels": {}}
        )
        for step_id in plan.steps:
            self._start_if_ready(transaction, step_id)
        transaction.commit()

    def complete(self, flow: Flow, step: Step, token: str, outputs: Values) -> None:
        """A step answered: record it, and with it everything that follows at once."""
        transaction = Transaction(self, flow)
        execution = flow.executions[step.id]
        transaction.step_event("work_succeeded", step, token=token, outputs=outputs)
        execution.work[token].outputs = outputs
        execution.active -= 1
        execution.open -= 1
        if execution.open:
            self._dispatch(transaction, step)
        else:
            self._complete_step(transaction, step)
        transaction.commit()

    def _plan(self, request: StartFlow) -> Plan:
        key = (*request.goals, "", *request.init)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = make_plan(self._steps, request.goals, set(request.init))
        return plan

    def _start_if_ready(self, transaction: "Transaction", step_id: str) -> None:
        flow = transaction.flow
        execution = flow.executions[step_id]
        required = flow.plan.required[step_id]
        if execution.started or not all(name in flow.attributes for name in required):
            return
        step = flow.plan.steps[step_id]
        inputs = {name: flow.attributes[name] for name in required}
        fanned = next((name for name in required if step.attributes[name].for_each), None)
        slices: list[Values] = [{}] if fanned is None else [{fanned: item} for item in inputs[fanned]]
        items = {f"{self._token_prefix}-{next(self._token_numbers):012x}": item for item in slices}
        transaction.step_event("step_started", step, inputs=inputs, work_items=items)
        execution.started = True
        execution.started_ms = transaction.now_ms
        execution.inputs = inputs
        execution.work = {token: Work(item) for token, item in items.items()}
        execution.unstarted = list(reversed(items))
        execution.open = len(items)
        self._dispatch(transaction, step)

    def _dispatch(self, transaction: "Transaction", step: Step) -> None:
        execution = transaction.flow.executions[step.id]
        while execution.unstarted and execution.active < step.work_config.parallelism:
            token = execution.unstarted.pop()
            execution.active += 1
            inputs = {**execution.inputs, **execution.work[token].inputs}
            transaction.step_event("work_started", step, token=token, inputs=inputs)
            transaction.after.append(self._work(transaction.flow, step, token, inputs))

    def _work(self, flow: Flow, step: Step, token: str, inputs: Values) -> Callable[[], None]:
        if step.script is None:
            return lambda: self.caller.call(flow, step, token, inputs)
        return lambda: self.complete(flow, step, token, dict.fromkeys(flow.plan.outputs[step.id], "hello"))

    def _complete_step(self, transaction: "Transaction", step: Step) -> None:
        flow = transaction.flow
        execution = flow.executions[step.id]
        names = flow.plan.outputs[step.id]
        execution.outputs = {name: _gathered(name, step, execution) for name in names}
        for name, value in execution.outputs.items():
            flow.attributes[name] = value
            transaction.step_event("attribute_set", step, key=name, value=value)
        duration_ms = transaction.now_ms - execution.started_ms
        transaction.step_event("step_completed", step, outputs=execution.outputs, duration=duration_ms)
        execution.completed = True
        for name in names:
            for consumer in flow.plan.consumers.get(name, ()):
                self._start_if_ready(transaction, consumer)
        if all(flow.executions[goal].completed for goal in flow.plan.goals):
            result = {name: value for goal in flow.plan.goals for name, value in flow.executions[goal].outputs.items()}
            transaction.event("flow_completed", {"flow_id": flow.id, "result": result})
            transaction.event("flow_deactivated", {"flow_id": flow.id, "status": "completed"})


class Transaction:
    """Events of one command: one append, then what `after` holds - the law of the house, in small."""

    __slots__ = ("_encoded", "_floor", "_published", "after", "flow", "now_ms")

    def __init__(self, floor: Floor, flow: Flow) -> None:
        self.flow = flow
        self.now_ms: Final = time.time_ns() // 1_000_000
        self.after: list[Callable[[], None]] = []
        self._floor = floor
        self._encoded: list[bytes] = []
        self._published: list[tuple[str, bytes]] = []

    def event(self, event_type: str, data: Values) -> None:
        flow = self.flow
        encoded = encode(Event(event_type, data, ("flow", flow.id), self.now_ms, flow.next_sequence))
        flow.next_sequence += 1
        self._encoded.append(encoded)
        if event_type in self._floor.watched:
            self._published.append((event_type, encoded))

    def step_event(self, event_type: str, step: Step, **data: JSON) -> None:
        self.event(event_type, {"flow_id": self.flow.id, "step_id": step.id, **data})

    def commit(self) -> None:
        self._floor.log.append(self._encoded, self._committed)

    def _committed(self) -> None:
        for event_type, encoded in self._published:
            self._floor.publish(event_type, encoded)
        for action in self.after:
            action()


def make_plan(catalog: dict[str, Step], goals: list[str], given: set[str]) -> Plan:
    """The goals' backward closure over attribute names, stopping at what `given` supplies."""
    providers: dict[str, list[str]] = {}
    for step in catalog.values():
        for name in step.named("output"):
            providers.setdefault(name, []).append(step.id)
    steps: dict[str, Step] = {}
    wanted = list(goals)
    while wanted:
        step = catalog[wanted.pop()]
        if step.id not in steps:
            steps[step.id] = step
            wanted += [provider for name in step.named("required") if name not in given for provider in providers[name]]
    required = {step_id: step.named("required") for step_id, step in steps.items()}
    outputs = {step_id: step.named("output") for step_id, step in steps.items()}
    consumers: dict[str, list[str]] = {}
    for step_id, names in required.items():
        for name in names:
            consumers.setdefault(name, []).append(step_id)
    encoded = msgspec.Raw(encode({"goals": goals, "steps": steps, "attributes": consumers}))
    return Plan(goals, steps, required, outputs, consumers, encoded)


def _gathered(name: str, step: Step, execution: Execution) -> JSON:
    """An output of the only work item, or of a `for_each` step the list of all items' inputs with their output."""
    if any(attribute.for_each for attribute in step.attributes.values()):
        return [{**work.inputs, name: work.outputs.get(name)} for work in execution.work.values()]
    return next(iter(execution.work.values())).outputs.get(name)
