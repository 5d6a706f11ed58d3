"""A world small enough to hold in the head: steps from flat dicts, a virtual clock, scripts that are Python callables
keyed by their text, and step services that answer as told.

`World.start` plans and starts a flow and runs every effect until nothing moves without time passing. Nothing here
sleeps, listens or reads a clock.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from argyll.flow import (
    NEVER,
    UNLIMITED,
    Advance,
    Call,
    Cancel,
    Command,
    Compensate,
    Compensated,
    CompensationFailed,
    CompensationNotCompleted,
    Effect,
    Env,
    Fail,
    NotCompleted,
    OverBudget,
    Reclaim,
    ScriptFailed,
    StartChild,
    Succeed,
    TellParent,
    Transaction,
    apply,
    call_metadata,
    child_outcome,
    decide,
    effective_inputs,
    effects_of,
    start,
    waiting_children,
    with_meta,
)
from argyll.model import json
from argyll.model.catalog import Catalog
from argyll.model.events import Payload, decode_payload
from argyll.model.flow import Execution, FlowState, Work
from argyll.model.plan import Plan
from argyll.model.step import DEFAULT_WORK, Attribute, Script, Step
from argyll.model.views import flow_view
from argyll.model.wire import step_from_json
from argyll.planning import Planner

T0_US = 1_800_000_000_000_000
"""The moment at which every world begins."""

Values = dict[str, Any]


# Attributes and steps, in the flat spelling


def required(of: str | None = None, **settings: Any) -> Values:
    return _attribute("required", of, settings)


def optional(of: str | None = None, **settings: Any) -> Values:
    return _attribute("optional", of, settings)


def output(of: str | None = None, **settings: Any) -> Values:
    return _attribute("output", of, settings)


def const(value: Any) -> Values:
    return _attribute("const", None, {"value": value})


def meta(key: str) -> Values:
    return _attribute("meta", None, {"key": key})


def _attribute(role: str, type_: str | None, settings: Values) -> Values:
    for name in ("match",):
        if isinstance(settings.get(name), str):
            settings[name] = script(settings[name])
    if isinstance(settings.get("mapping"), str):
        settings["mapping"] = {"name": settings["mapping"]}
    return {"role": role, **({"type": type_} if type_ else {}), **settings}


def script(text: str) -> Values:
    """A script whose text is the name of a callable of the world."""
    return {"language": "ale", "script": text}


def sync(step_id: str, attributes: Values | None = None, *, compensate: str = "", **fields: Any) -> Step:
    http = {"endpoint": f"http://{step_id}/", **({"compensate": compensate} if compensate else {})}
    return _step(step_id, "sync", attributes, http=http, **fields)


def async_(step_id: str, attributes: Values | None = None, **fields: Any) -> Step:
    return _step(step_id, "async", attributes, http={"endpoint": f"http://{step_id}/"}, **fields)


def scripted(step_id: str, text: str, attributes: Values | None = None, **fields: Any) -> Step:
    return _step(step_id, "script", attributes, script=script(text), **fields)


def subflow(step_id: str, goals: Sequence[str], attributes: Values | None = None, **fields: Any) -> Step:
    return _step(step_id, "flow", attributes, flow={"goals": list(goals)}, **fields)


def _step(
    step_id: str,
    type_: str,
    attributes: Values | None,
    *,
    predicate: str = "",
    work: Values | None = None,
    **fields: Any,
) -> Step:
    document = {"id": step_id, "name": step_id, "type": type_, "attributes": attributes or {}, **fields}
    if predicate:
        document["predicate"] = script(predicate)
    if work:
        document["work_config"] = work
    return step_from_json(document, native=True).with_work_defaults(DEFAULT_WORK)


def catalog(*steps: Step) -> Catalog:
    result = Catalog()
    for step in steps:
        result.put(step)
    return result


# Answers of step services


@dataclass(frozen=True)
class Answer:
    """What one call of a step comes back with; `silent` never does (until the test speaks for it)."""

    kind: str
    outputs: Values = field(default_factory=dict)
    error: str = ""
    retry_after_ms: int = 0


def gives(**outputs: Any) -> Answer:
    return Answer("ok", outputs)


def fails(error: str = "refused") -> Answer:
    return Answer("fail", error=error)


def unavailable(error: str = "work not completed", retry_after_ms: int = 0) -> Answer:
    return Answer("again", error=error, retry_after_ms=retry_after_ms)


SILENT = Answer("silent")
UNDONE = Answer("ok")

Script_ = Callable[..., Any]
Answers = Answer | Sequence[Answer] | Callable[[Values], Answer]


def failing(text: str) -> Script_:
    """A script that ends with an error."""

    def run(*_: Any) -> Any:
        raise ScriptFailed(text)

    return run


def over_budget(*_: Any) -> Any:
    """A script step that needs more than a command may spend."""
    raise OverBudget


@dataclass
class ScriptedEvaluator:
    """Runs a script by looking its text up among Python callables."""

    scripts: Mapping[str, Script_]

    def matches(self, script: Script, value: Any) -> bool:
        return bool(self.scripts[script.script](value))

    def predicate(self, step: Step, inputs: Values) -> bool:
        assert step.predicate is not None
        return bool(self.scripts[step.predicate.script](inputs))

    def map_input(self, step: Step, inner: str, script: Script, value: Any) -> Any:
        return self.scripts[script.script](value)

    def map_output(self, step: Step, name: str, spec: Attribute, outputs: Values) -> Any:
        assert spec.mapping is not None
        assert spec.mapping.script is not None
        return self.scripts[spec.mapping.script.script](outputs)

    def run(self, step: Step, arguments: Values) -> Values:
        assert step.script is not None
        result = self.scripts[step.script.script](arguments)
        return result if isinstance(result, dict) else {"result": result}


@dataclass(frozen=True)
class Made:
    """One call that the world received."""

    flow_id: str
    step_id: str
    arguments: Values
    token: str
    attempt: int
    at_ms: int


class World:
    """Steps, their services, a clock, and the flows that run there."""

    def __init__(
        self,
        *steps: Step,
        scripts: Mapping[str, Script_] | None = None,
        answers: Mapping[str, Answers] | None = None,
        undo: Mapping[str, Answers] | None = None,
    ) -> None:
        self.scripts = dict(scripts or {})
        self.catalog = catalog(*steps)
        self.evaluator = ScriptedEvaluator(self.scripts)
        self.planner = Planner(self.catalog, self.evaluator.matches)
        self.answers, self.undo = dict(answers or {}), dict(undo or {})
        self.flows: dict[str, Flow] = {}
        self.effects: deque[Effect] = deque()
        self.calls: list[Made] = []
        self.undone: list[Made] = []
        self.memory: dict[tuple[str, bytes], Values] = {}
        self.may_claim: Callable[[Step], Any] = lambda step: "yes"
        self.now_us = T0_US
        self.random: Callable[[], float] = lambda: 0.5
        self.node_id = "n1"
        self.budget = UNLIMITED
        self.committing: Callable[[Flow], None] = lambda flow: None
        """Called before every append: what raises here loses it."""
        self.committed: Callable[[Flow], None] = lambda flow: None
        """Called after every append: what raises here loses what would follow."""
        self._tokens = itertools.count()

    @property
    def now_ms(self) -> int:
        """Milliseconds since the world began."""
        return (self.now_us - T0_US) // 1000

    def env(self) -> Env:
        return Env(
            now_us=self.now_us,
            node_id=self.node_id,
            evaluator=self.evaluator,
            new_token=lambda: f"t{next(self._tokens)}",
            may_claim=lambda step: self.may_claim(step),
            recall=lambda step, inputs: self.memory.get((step.id, json.canonical(inputs))),
            random=lambda: self.random(),
            budget=self.budget,
        )

    def plan(self, goals: str | Sequence[str], init: Mapping[str, Any] | None = None, mode: Any = "strict") -> Plan:
        return self.planner.plan(_goals(goals), _lists(init), mode)

    def start(self, goals: str | Sequence[str], init: Mapping[str, Any] | None = None, *, flow_id: str = "f") -> Flow:
        """Plan, start and run until nothing moves. Init values that are not lists are single values."""
        flow = self.open(flow_id, self.plan(goals, init), _lists(init))
        self.run()
        return flow

    def open(self, flow_id: str, plan: Plan, init: dict[str, list[Any]], metadata: Values | None = None) -> Flow:
        """Start a flow, without running its effects."""
        flow = self.flows[flow_id] = Flow(self)
        flow.commit(start(flow_id, plan, init, self.env(), metadata))
        return flow

    def run(self) -> None:
        """Run effects, in order, until none is left."""
        while self.effects:
            self.perform(self.effects.popleft())

    def perform(self, effect: Effect) -> None:
        """Do what one effect asks for."""
        flow = self.flows[effect.flow_id]
        if isinstance(effect, Call):
            self._call(flow, effect)
        elif isinstance(effect, Compensate):
            self._compensate(flow, effect)
        elif isinstance(effect, StartChild):
            self._start_child(flow, effect)
        elif isinstance(effect, TellParent):
            self._tell_parent(flow.state)

    def wait(self, ms: int) -> None:
        """Let time pass, waking flows when they asked for it."""
        until = self.now_us + ms * 1000
        while (due := min((f.wake_at for f in self.flows.values()), default=NEVER)) <= until:
            self.now_us = max(self.now_us, due)
            for flow in list(self.flows.values()):
                if flow.wake_at <= self.now_us:
                    flow.do(Advance())
            self.run()
        self.now_us = until

    def wait_for_all(self) -> None:
        """Let time pass until no flow asks to be woken any more."""
        self.run()
        for _ in range(1_000):
            due = min((f.wake_at for f in self.flows.values()), default=NEVER)
            if due == NEVER:
                return
            self.wait((due - self.now_us) // 1000 + 1)
        raise AssertionError("flows never stop asking to be woken")

    def crash(self) -> None:
        """Lose everything but the events, recover as a restarted node does, and run until nothing moves."""
        self.recover()
        self.run()

    def recover(self) -> None:
        """Lose everything but the events, and find out from them what there is to do."""
        self.effects.clear()
        self.flows = {flow_id: flow for flow_id, flow in self.flows.items() if flow.log}
        for flow in list(self.flows.values()):
            flow.reload()
            flow.do(Advance())
            flow.do(Reclaim(lambda node_id, token: True))
            self.effects.extend(waiting_children(flow.state))

    def calls_of(self, step_id: str) -> list[Made]:
        return [call for call in self.calls if call.step_id == step_id]

    def _answer(self, answers: Mapping[str, Answers], made: list[Made], call: Made) -> Answer:
        answer = answers.get(call.step_id, Answer("ok"))
        if isinstance(answer, Answer):
            return answer
        if callable(answer):
            return answer(call.arguments)
        count = sum(1 for other in made if other.step_id == call.step_id)
        return answer[min(count, len(answer)) - 1]

    def _call(self, flow: Flow, effect: Call) -> None:
        step, (execution, work) = flow.state.plan.steps[effect.step_id], flow.item(effect.step_id, effect.token)
        metadata = call_metadata(flow.state, effect.step_id, effect.token)
        arguments = with_meta(step, effective_inputs(execution, work), metadata)
        call = Made(flow.state.id, effect.step_id, arguments, effect.token, effect.attempt, self.now_ms)
        self.calls.append(call)
        self.deliver(call, self._answer(self.answers, self.calls, call))

    def deliver(self, call: Made, answer: Answer) -> None:
        """Give a flow the answer to a call."""
        flow = self.flows[call.flow_id]
        if answer.kind == "ok":
            flow.do(Succeed(call.step_id, call.token, answer.outputs))
        elif answer.kind == "fail":
            flow.do(Fail(call.step_id, call.token, answer.error))
        elif answer.kind == "again":
            flow.do(NotCompleted(call.step_id, call.token, answer.error, call.attempt, answer.retry_after_ms))

    def _compensate(self, flow: Flow, effect: Compensate) -> None:
        execution, work = flow.item(effect.step_id, effect.token)
        body = {"input": effective_inputs(execution, work), "output": work.outputs}
        call = Made(flow.state.id, effect.step_id, body, effect.token, work.attempt, self.now_ms)
        self.undone.append(call)
        self.deliver_undo(call, self._answer(self.undo, self.undone, call))

    def deliver_undo(self, call: Made, answer: Answer) -> None:
        """Give a flow the answer to a compensation."""
        flow = self.flows[call.flow_id]
        if answer.kind == "ok":
            flow.do(Compensated(call.step_id, call.token))
        elif answer.kind == "fail":
            flow.do(CompensationFailed(call.step_id, call.token, answer.error))
        elif answer.kind == "again":
            flow.do(CompensationNotCompleted(call.step_id, call.token, answer.error, answer.retry_after_ms))

    def _start_child(self, parent: Flow, effect: StartChild) -> None:
        existing = self.flows.get(effect.child_id)
        if existing is not None:
            if existing.state.deactivated_at:
                self._tell_parent(existing.state)
            return
        step, (execution, work) = parent.state.plan.steps[effect.step_id], parent.item(effect.step_id, effect.token)
        arguments = with_meta(
            step,
            effective_inputs(execution, work),
            call_metadata(parent.state, effect.step_id, effect.token),
        )
        metadata = {
            "parent_flow_id": parent.state.id,
            "parent_step_id": effect.step_id,
            "parent_work_item_token": effect.token,
        }
        init = {name: [value] for name, value in arguments.items()}
        self.open(effect.child_id, parent.state.plan.children[effect.step_id], init, metadata)

    def _tell_parent(self, child: FlowState) -> None:
        assert child.parent is not None
        parent_id, step_id, token = child.parent
        parent = self.flows[parent_id]
        outputs, error = child_outcome(parent.state, step_id, child)
        parent.do(Fail(step_id, token, error) if outputs is None else Succeed(step_id, token, outputs))


class Flow:
    """One flow of a world: its state, and its events as the log would keep them."""

    state: FlowState
    wake_at = NEVER

    def __init__(self, world: World) -> None:
        self.world = world
        self.log: list[tuple[str, bytes, int]] = []
        self.events: list[Payload] = []

    def do(self, command: Command) -> list[Payload]:
        """Run a command; its effects wait in the world."""
        return self.commit(decide(self.state, command, self.world.env()))

    def commit(self, tx: Transaction) -> list[Payload]:
        """Keep what a command raised; what it causes waits in the world."""
        self.world.committing(self)
        self.state, self.wake_at = tx.flow, tx.wake_at
        at_us = self.world.now_us
        self.log += [(event.event_type, json.encode(event), at_us) for event in tx.events]
        self.events += tx.events
        self.world.committed(self)
        self.world.effects.extend(effects_of(tx.flow, tx.events))
        return tx.events

    def replayed(self) -> FlowState:
        """The state that the log adds up to."""
        state: FlowState | None = None
        for event_type, data, at_us in self.log:
            state = apply(state, decode_payload(event_type, data), at_us)
        assert state is not None
        return state

    def reload(self) -> None:
        """Forget the state and read it from the log."""
        self.state, self.wake_at = self.replayed(), NEVER

    # What the test says in the place of a step service

    def succeed(self, step_id: str, token: str = "", **outputs: Any) -> list[Payload]:
        """A result from outside, for the step's only open item unless a token is given; then run what follows."""
        return self._then_run(Succeed(step_id, token or self.open_token(step_id), outputs))

    def fail(self, step_id: str, token: str = "", error: str = "refused") -> list[Payload]:
        return self._then_run(Fail(step_id, token or self.open_token(step_id), error))

    def not_completed(self, step_id: str, token: str = "", error: str = "work not completed") -> list[Payload]:
        token = token or self.open_token(step_id)
        return self._then_run(NotCompleted(step_id, token, error, self.item(step_id, token)[1].attempt))

    def cancel(self) -> list[Payload]:
        return self._then_run(Cancel())

    def _then_run(self, command: Command) -> list[Payload]:
        events = self.do(command)
        self.world.run()
        return events

    # What a test looks at

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def ended(self) -> bool:
        return bool(self.state.deactivated_at)

    @property
    def story(self) -> list[str]:
        """The events, in order, as `type:step`."""
        return tell(self.events)

    def values(self, name: str) -> list[Any]:
        return [value.value for value in self.state.attributes.get(name, [])]

    def step(self, step_id: str) -> Execution:
        return self.state.executions[step_id]

    @property
    def statuses(self) -> dict[str, str]:
        return {step_id: execution.status for step_id, execution in self.state.executions.items()}

    def items(self, step_id: str) -> list[Work]:
        return list(self.step(step_id).work_items.values())

    def tokens(self, step_id: str) -> list[str]:
        return list(self.step(step_id).work_items)

    def item(self, step_id: str, token: str) -> tuple[Execution, Work]:
        execution = self.step(step_id)
        return execution, execution.work_items[token]

    def open_token(self, step_id: str) -> str:
        open_ = [t for t, w in self.step(step_id).work_items.items() if w.status in ("pending", "active")]
        assert len(open_) == 1, f"{step_id} has {len(open_)} open items"
        return open_[0]

    def count(self, event_type: str) -> int:
        return sum(1 for event in self.events if event.event_type == event_type)


def tell(events: Iterable[Payload]) -> list[str]:
    """Events as `type:step`, or `type` when they are about the flow."""
    return [f"{e.event_type}:{step_id}" if (step_id := getattr(e, "step_id", "")) else e.event_type for e in events]


def state_bytes(state: FlowState) -> bytes:
    """The state as anyone sees it."""
    return json.encode(flow_view(state))


def derived(state: FlowState) -> Values:
    """The derived fields; entries of the retry heap that no longer count are left out, as their reader does."""
    return {
        "pending": list(state.pending),
        "running": list(state.running),
        "unsettled": state.unsettled,
        "sequence": state.sequence,
        "steps": {
            step_id: (
                list(e.ready),
                sorted(w for w in e.waiting if _counts(e.work_items[w[2]], w[0])),
                e.active,
                e.open,
                e.first_failed,
                list(e.compensating),
                [work.index for work in e.work_items.values()],
            )
            for step_id, e in state.executions.items()
        },
    }


def _counts(work: Work, at_us: int) -> bool:
    return work.status == "pending" and work.next_retry_at == at_us


def _goals(goals: str | Sequence[str]) -> list[str]:
    return goals.split() if isinstance(goals, str) else list(goals)


def _lists(init: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    return {name: value if isinstance(value, list) else [value] for name, value in (init or {}).items()}
