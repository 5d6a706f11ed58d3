"""Random catalogs, random histories, and an auditor who reads only the events.

`Campaign` makes a world from one source of chance and drives it through answers, duplicates, late results, failures,
timers and crashes; `Auditor` keeps its own books of what the events say and checks every transition against rules that
are written here a second time, independently of the machine.
"""

from __future__ import annotations

from random import Random
from typing import Any

from argyll.flow import Advance, Cancel, ScriptFailed
from argyll.model import events as ev
from argyll.model import json
from argyll.model.events import Payload
from argyll.model.flow import REASON_MATCH
from argyll.model.plan import Plan
from argyll.model.step import Attribute, Step
from argyll.planning import PlanError
from tests.unit.flow.harness import (
    SILENT,
    Answer,
    Flow,
    Made,
    World,
    async_,
    derived,
    fails,
    gives,
    meta,
    optional,
    output,
    required,
    scripted,
    state_bytes,
    subflow,
    sync,
    unavailable,
)

LEVELS = 4
INIT_NAMES = ("i0", "i1")
COLLECTS = ("first", "first", "last", "some", "all", "none")


# Scripts: pure functions of what they see, some of which fail


def _weight(value: object) -> int:
    return sum(json.canonical(value))


def _picky(value: object) -> bool:
    if _weight(value) % 7 == 0:
        raise ScriptFailed("picky")
    return _weight(value) % 2 == 0


def _answer_of(arguments: dict[str, Any]) -> dict[str, Any]:
    weight = _weight(arguments)
    if weight % 11 == 0:
        raise ScriptFailed("unlucky")
    return _outputs(weight)


def _outputs(weight: int) -> dict[str, Any]:
    """What some step gives for all the names that it may have declared; now and then one is left out."""
    names = [f"x{level}{letter}" for level in range(LEVELS) for letter in "ab"]
    values = {name: [weight % 5, list(range(weight % 4)), None][(weight + i) % 3] for i, name in enumerate(names)}
    if weight % 6 == 0:
        del values[names[weight % len(names)]]
    return values | {"leaf": weight}


SCRIPTS = {
    "even": lambda value: _weight(value) % 2 == 0,
    "picky": _picky,
    "mostly": lambda inputs: _weight(inputs) % 5 != 0,
    "run": _answer_of,
}


def make_steps(chance: Random) -> list[Step]:
    """An acyclic catalog: a step of level n reads attributes of lower levels and of init, and writes those of its own."""
    deadlines = chance.choice([(0,), (0, 50, 500)])
    levels = sorted(chance.randrange(LEVELS) for _ in range(chance.randint(1, 9)))
    return [_make_step(chance, f"s{i}", level, deadlines) for i, level in enumerate(levels)] + [
        sync("leaf", {"leaf": output()}, work={"max_attempts": 2, "init_backoff": 100}),
    ]


def _make_step(chance: Random, step_id: str, level: int, deadlines: tuple[int, ...]) -> Step:
    attributes: dict[str, Any] = {f"x{level}{letter}": output() for letter in "ab" if chance.random() < 0.7}
    sources = [*INIT_NAMES, *(f"x{lower}{letter}" for lower in range(level) for letter in "ab")]
    for name in sources:
        if chance.random() < (0.15 if name in INIT_NAMES else 0.45):
            dimensions = sum(spec.get("for_each", False) for spec in attributes.values())
            attributes[name] = _make_input(chance, deadlines, may_iterate=dimensions < (2 if level == 0 else 1))
    fields: dict[str, Any] = {
        "work": {"max_attempts": chance.randint(1, 3), "init_backoff": 100, "parallelism": chance.randint(0, 3)}
    }
    if chance.random() < 0.2:
        fields["predicate"] = chance.choice(["mostly", "picky"])
    kind = chance.choice(["sync", "sync", "sync", "async", "script", "flow"])
    if kind == "script":
        return scripted(step_id, "run", attributes, **fields)
    if kind == "flow":
        outputs = {name: output(mapping="leaf") for name in attributes if attributes[name]["role"] == "output"}
        first = dict(list(outputs.items())[:1])
        inputs = {name: spec for name, spec in attributes.items() if spec["role"] != "output"}
        return subflow(step_id, ["leaf"], {**inputs, **first, "me": meta("flow_id")}, **fields)
    if kind == "async":
        return async_(step_id, attributes, **fields)
    return sync(step_id, attributes, compensate=chance.choice(["", "http://undo/", "http://undo/"]), **fields)


def _make_input(chance: Random, deadlines: tuple[int, ...], may_iterate: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {"collect": chance.choice(COLLECTS), "for_each": may_iterate and chance.random() < 0.35}
    if chance.random() < 0.5:
        if chance.random() < 0.5:
            settings["default"] = chance.choice([0, [1, 2], None])
        return optional(deadline=chance.choice(deadlines), **settings)
    if chance.random() < 0.25:
        settings["match"] = chance.choice(["even", "even", "picky"])
    return required(**settings)


class Campaign:
    """One world with one flow (and its children), driven by chance."""

    def __init__(self, chance: Random, steps: list[Step], goals: list[str], init: dict[str, list[Any]]) -> None:
        self.chance, self.goals, self.init = chance, goals, init
        self.world = World(*steps, scripts=SCRIPTS, answers={step.id: SILENT for step in steps})
        self.world.undo = dict.fromkeys(self.world.answers, SILENT)
        self.auditor = Auditor(self.world)

    @classmethod
    def by_chance(cls, chance: Random) -> Campaign:
        """Any catalog, goals and init; `required` inputs are not supplied yet."""
        steps = make_steps(chance)
        ids = [step.id for step in steps if step.id != "leaf"]
        goals = sorted({chance.choice(ids[-4:]) for _ in range(chance.randint(1, 3))})
        init = {name: chance.choice([[], [4], [[1, 2, 3]], [1, 2]]) for name in INIT_NAMES}
        return cls(chance, steps, goals, init)

    def with_goals(self, goals: list[str]) -> Campaign:
        """The same world before anything happened, for the goals in another order."""
        return Campaign(self.chance, list(self.world.catalog.steps.values()), goals, dict(self.init))

    def plan(self) -> Plan | None:
        """The plan with whatever init it demands, or None when these goals cannot be started."""
        try:
            plan = self.world.plan(self.goals, self.init)
            while missing := [name for name in plan.required if not self.init.get(name)]:
                # What is supplied may open a gate, and so more may be demanded.
                self.init |= {name: [2] for name in missing}
                plan = self.world.plan(self.goals, self.init)
        except PlanError:
            return None
        return None if plan.excluded.blocked.keys() & set(plan.goals) else plan

    def start(self) -> bool:
        """Start the flow. False when it cannot be."""
        plan = self.plan()
        if plan is None:
            return False
        self.world.open("f", plan, self.init)
        self.auditor.audit()
        return True

    def disturb(self, actions: int) -> None:
        """Let so many things happen, in any order."""
        for _ in range(actions):
            self._act(self.chance.choice(_ACTIONS))
            self.auditor.audit()

    def finish(self) -> None:
        """Let every called step answer well, and time pass, until nothing moves any more."""
        world = self.world
        delivered = 0
        for _ in range(2_000):
            if world.effects:
                world.perform(world.effects.popleft())
            elif delivered < len(world.calls):
                world.deliver(world.calls[delivered], self.good_answer(world.calls[delivered]))
                delivered += 1
            elif undoing := [call for call in world.undone if self._is_open(call)]:
                world.deliver_undo(undoing[0], gives())
            elif not self._pass_time():
                return
            self.auditor.audit()
        raise AssertionError("the flows never come to rest")

    def _is_open(self, call: Made) -> bool:
        work = self.world.flows[call.flow_id].item(call.step_id, call.token)[1]
        return work.status == "compensating" and not work.next_retry_at

    def _pass_time(self) -> bool:
        due = min(flow.wake_at for flow in self.world.flows.values())
        if due > self.world.now_us + 10**12:
            return False
        self.world.wait(max(due - self.world.now_us, 0) // 1000 + 1)
        return True

    def good_answer(self, call: Made) -> Answer:
        return gives(**_outputs(_weight([call.step_id, call.arguments.get("i0"), call.attempt])))

    def _act(self, action: str) -> None:
        world, chance = self.world, self.chance
        if action == "effect" and world.effects:
            world.effects.rotate(-chance.randrange(len(world.effects)))
            world.perform(world.effects.popleft())
        elif action == "answer" and world.calls:
            call = chance.choice(world.calls)
            world.deliver(call, chance.choice([self.good_answer(call), fails(), unavailable()]))
        elif action == "good" and world.calls:
            world.deliver(world.calls[-1], self.good_answer(world.calls[-1]))
        elif action == "undo" and world.undone:
            world.deliver_undo(chance.choice(world.undone), chance.choice([gives(), fails(), unavailable()]))
        elif action == "time":
            # The alarm clock rings for flows in order; what they do next waits among the effects.
            self.world.now_us += chance.choice([1, 40, 60, 200, 1_000]) * 1_000
            for flow in list(world.flows.values()):
                if flow.wake_at <= world.now_us:
                    flow.do(Advance())
        elif action == "crash":
            self.check_replay()
            self.auditor.reclaiming = True
            world.recover()
            self.auditor.audit()
            self.auditor.reclaiming = False
        elif action == "cancel" and chance.random() < 0.1:
            chance.choice(list(world.flows.values())).do(Cancel())

    def check_replay(self) -> None:
        """The log adds up to the state, as anyone sees it and as deciding needs it."""
        for flow in self.world.flows.values():
            replayed = flow.replayed()
            assert state_bytes(replayed) == state_bytes(flow.state)
            assert derived(replayed) == derived(flow.state)


_ACTIONS = (
    "effect",
    "effect",
    "effect",
    "effect",
    "answer",
    "answer",
    "good",
    "good",
    "time",
    "undo",
    "crash",
    "cancel",
)


class Auditor:
    """Reads the events of every flow of a world as they come, and believes nothing else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.books: dict[str, Books] = {}
        self.reclaiming = False

    def audit(self) -> None:
        """Enter what is new, then compare the counts that the machine keeps with the books."""
        for flow_id, flow in self.world.flows.items():
            books = self.books.get(flow_id)
            if books is None:
                books = self.books[flow_id] = Books(self.world, flow.state.plan)
            for event in flow.events[books.entered :]:
                books.enter(event, self.reclaiming)
            books.compare(flow)


_STEP_MOVES = {
    "pending": {"active", "skipped", "failed"},
    "active": {"completed", "failed"},
}
_WORK_MOVES = {
    "pending": {"active", "succeeded", "failed", "cancelled"},
    "active": {"active", "succeeded", "failed", "not_completed"},
    "not_completed": {"pending", "failed", "cancelled"},
    "cancelled": {"succeeded", "failed"},
    "succeeded": {"compensating"},
    "compensating": {"compensating", "compensated", "compensation_failed"},
}
_WORK_STATUS: dict[type[Payload], str] = {
    ev.WorkStarted: "active",
    ev.WorkSucceeded: "succeeded",
    ev.WorkFailed: "failed",
    ev.WorkNotCompleted: "not_completed",
    ev.WorkRetryScheduled: "pending",
    ev.WorkCancelled: "cancelled",
    ev.CompStarted: "compensating",
    ev.CompRetryScheduled: "compensating",
    ev.CompSucceeded: "compensated",
    ev.CompFailed: "compensation_failed",
}
_DONE = ("completed", "failed", "skipped")


class Books:
    """What the events of one flow say, checked as they are entered."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan, self.entered = world, plan, 0
        self.flow = ""
        self.deactivated = False
        self.steps = dict.fromkeys(plan.steps, "pending")
        self.reasons: dict[str, str] = {}
        self.gave: dict[str, set[str]] = {}
        self.values: dict[str, list[Any]] = {}
        self.items: dict[str, dict[str, str]] = {}
        self.retries: dict[tuple[str, str, type[Payload]], int] = {}

    def enter(self, event: Payload, reclaiming: bool) -> None:
        self.entered += 1
        assert not self.deactivated, f"{event} after deactivation"
        if isinstance(event, ev.FlowStarted):
            assert not self.flow
            self.flow = "active"
            self.values = {name: list(values) for name, values in event.init.items() if values}
        elif isinstance(event, ev.FlowCompleted | ev.FlowFailed):
            self._flow_ends(event)
        elif isinstance(event, ev.FlowDeactivated):
            assert self.flow == event.status != "active"
            open_ = [s for items in self.items.values() for s in items.values() if s in _OPEN or s == "compensating"]
            assert not open_
            self.deactivated = True
        elif isinstance(event, ev.AttributeSet):
            assert self.steps[event.step_id] == "active"
            assert event.key in self.plan.steps[event.step_id].outputs
            self.values.setdefault(event.key, []).append(event.value)
            self.gave.setdefault(event.step_id, set()).add(event.key)
        elif type(event) in _WORK_STATUS:
            self._work_moves(event, reclaiming)
        else:
            self._step_moves(event)

    def _flow_ends(self, event: ev.FlowCompleted | ev.FlowFailed) -> None:
        assert self.flow == "active", "a second end"
        goals = [goal for goal in self.plan.goals if goal in self.steps]
        pruned = [goal for goal in goals if self.reasons.get(goal) == REASON_MATCH and self.steps[goal] == "skipped"]
        all_pruned = bool(goals) and len(pruned) == len(self.plan.goals)
        failed = any(self.steps[goal] == "failed" for goal in goals)
        if isinstance(event, ev.FlowCompleted):
            self.flow = "completed"
            assert all(self.steps[goal] in ("completed", "skipped") for goal in goals)
            assert not all_pruned
            assert not [s for s, status in self.steps.items() if status == "pending"], "a completed flow leaves nothing"
        else:
            self.flow = "failed"
            assert failed or all_pruned or event.error == "cancelled"

    def _step_moves(self, event: Payload) -> None:
        moves: dict[type[Payload], str] = {
            ev.StepStarted: "active",
            ev.StepCompleted: "completed",
            ev.StepFailed: "failed",
            ev.StepSkipped: "skipped",
        }
        assert isinstance(event, ev.StepPayload)
        step_id, after = event.step_id, moves[type(event)]
        before = self.steps[step_id]
        assert after in _STEP_MOVES.get(before, ()), f"{step_id}: {before} -> {after}"
        if isinstance(event, ev.StepStarted):
            assert self.flow == "active", "a step started after its flow had ended"
            assert self._is_needed(step_id), f"{step_id} runs for nobody"
            for name, spec in self.plan.steps[step_id].inputs.items():
                assert spec.role != "required" or self._is_fulfilled(name, spec), f"{step_id} started without {name}"
            self.items[step_id] = dict.fromkeys(event.work_items, "pending")
        elif isinstance(event, ev.StepSkipped | ev.StepFailed) and before == "pending":
            self.reasons[step_id] = event.reason if isinstance(event, ev.StepSkipped) else event.error
            assert self.flow == "active", "a verdict after the flow had ended"
        elif isinstance(event, ev.StepCompleted):
            assert not [s for s in self.items[step_id].values() if s in _OPEN or s == "failed"]
            assert set(event.outputs) == self.gave.get(step_id, set())
        self.steps[step_id] = after

    def _is_needed(self, step_id: str) -> bool:
        consumers = {c for name in self.plan.steps[step_id].outputs for c in self.plan.consumers(name)}
        return step_id in self.plan.goals or any(self.steps[consumer] == "pending" for consumer in consumers)

    def _is_fulfilled(self, name: str, spec: Attribute) -> bool:
        """execution.md 5.2, from the events alone."""
        providers = self.plan.providers(name)
        settled = all(self.steps[p] in _DONE for p in providers)
        contributed = all(self.steps[p] == "completed" and name in self.gave.get(p, ()) for p in providers)
        values = self.values.get(name, [])
        matching = values if spec.match is None else [v for v in values if SCRIPTS[spec.match.script](v)]
        match spec.collect:
            case "first":
                return bool(matching)
            case "none":
                return settled and not matching
            case "all":
                return settled and contributed and bool(matching) and len(matching) == len(values)
            case _:
                return settled and bool(matching)

    def _work_moves(self, event: Payload, reclaiming: bool) -> None:
        assert isinstance(event, ev.WorkPayload)
        items, token, after = self.items[event.step_id], event.token, _WORK_STATUS[type(event)]
        before, step = items[token], self.plan.steps[event.step_id]
        assert after in _WORK_MOVES.get(before, ()), f"{event.step_id}/{token}: {before} -> {after}"
        items[token] = after
        if isinstance(event, ev.WorkStarted):
            assert reclaiming or (before == "pending" and self.flow == "active" and self.steps[step.id] == "active")
            assert list(items.values()).count("active") <= max(step.work.parallelism, 1)
        elif isinstance(event, ev.WorkRetryScheduled | ev.CompRetryScheduled):
            key = (event.step_id, token, type(event))
            self.retries[key] = self.retries.get(key, 0) + 1
            assert self.retries[key] == event.retry_count <= step.work.retry_limit
        elif isinstance(event, ev.CompStarted):
            assert step.compensable
            assert self.steps[event.step_id] == "failed"

    def compare(self, flow: Flow) -> None:
        """The machine's state and counts say what the books say."""
        state = flow.state
        assert {s: e.status for s, e in state.executions.items()} == self.steps
        assert (state.status, bool(state.deactivated_at)) == (self.flow, self.deactivated)
        assert list(state.pending) == [s for s in self.plan.order if self.steps[s] == "pending"]
        assert sorted(state.running) == sorted(s for s, status in self.steps.items() if status == "active")
        unsettled = 0
        for step_id, items in self.items.items():
            execution = state.executions[step_id]
            assert {t: w.status for t, w in execution.work_items.items()} == items
            open_ = [t for t, status in items.items() if status in _OPEN]
            undoing = [t for t, status in items.items() if status == "compensating"]
            assert (execution.open, execution.active) == (len(open_), list(items.values()).count("active"))
            assert sorted(execution.compensating) == sorted(undoing)
            unsettled += len(open_) + len(undoing)
        assert state.unsettled == unsettled


_OPEN = ("pending", "active", "not_completed")
