"""Random catalogs and random histories, each of which can be written down and played again.

`Campaign` makes a world from one source of chance and drives it through answers, duplicates, late results, failures,
timers, crashes and nodes that die; an `Auditor` reads along.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from argyll.flow import Advance, Call, Cancel, Compensate, Effect, Reclaim, ScriptFailed, waiting_children
from argyll.model import json
from argyll.model.plan import Plan
from argyll.model.step import Step
from argyll.model.wire import step_from_json, step_to_json
from argyll.planning import PlanError
from tests.unit.flow.auditor import Auditor, assert_at_rest
from tests.unit.flow.harness import (
    SILENT,
    Answer,
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
    return outputs_of(weight)


def outputs_of(weight: int) -> dict[str, Any]:
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


Act = list[Any]
"""One thing that happens, as it is written down: its name and what it is about."""

NODES = ("n1", "n2", "n3")
_CHANCES = (*["effect"] * 4, "answer", "answer", "good", "good", "time", "undo", "crash", "lose", "cancel")
_ANSWERS = {"fails": fails(), "unavailable": unavailable()}


@contextmanager
def written_down(campaign: Campaign) -> Iterator[None]:
    """A history that fails carries its script with it."""
    try:
        yield
    except Exception as error:
        error.add_note(f"to replay it, keep it as tests/scenarios/regressions/NAME.json:\n{campaign.script}")
        raise


class Campaign:
    """One world with one flow (and its children), driven by chance or by what was written down."""

    def __init__(self, chance: Random, steps: list[Step], goals: list[str], init: dict[str, list[Any]]) -> None:
        self.chance, self.goals, self.init = chance, goals, init
        self.acts: list[Act] = []
        self.world = World(*steps, scripts=SCRIPTS, answers={step.id: SILENT for step in steps})
        self.world.undo = dict.fromkeys(self.world.answers, SILENT)
        self.world.committed = assert_at_rest
        self.auditor = Auditor(self.world)

    @classmethod
    def by_chance(cls, chance: Random) -> Campaign:
        """Any catalog, goals and init; `required` inputs are not supplied yet."""
        steps = make_steps(chance)
        ids = [step.id for step in steps if step.id != "leaf"]
        goals = sorted({chance.choice(ids[-4:]) for _ in range(chance.randint(1, 3))})
        init = {name: chance.choice([[], [4], [[1, 2, 3]], [1, 2]]) for name in INIT_NAMES}
        return cls(chance, steps, goals, init)

    @classmethod
    def of_script(cls, script: str | bytes) -> Campaign:
        """The campaign that `script` wrote down, before anything happened; `replay` plays its acts."""
        written = json.decode(script)
        campaign = cls(Random(0), [step_from_json(s) for s in written["steps"]], written["goals"], written["init"])
        campaign.acts = written["acts"]
        return campaign

    @property
    def script(self) -> str:
        """Everything that made this history what it is, as JSON text."""
        steps = [step_to_json(step) for step in self.world.catalog.steps.values()]
        return json.text({"steps": steps, "goals": self.goals, "init": self.init, "acts": self.acts})

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

    def disturb(self, acts: int) -> None:
        """Let so many things happen, in any order."""
        for _ in range(acts):
            act = self._choose(self.chance.choice(_CHANCES))
            if act is not None:
                self.acts.append(act)
                self._play(act)

    def replay(self) -> None:
        """Start and let happen what was written down."""
        assert self.start()
        for act in self.acts:
            self._play(act)

    def come_to_an_end(self) -> None:
        """As `finish`; every flow has then ended once, and its log adds up to its state."""
        self.finish()
        self.check_replay()
        for flow in self.world.flows.values():
            assert flow.ended, f"{flow.state.id} is {flow.status} for ever: {flow.statuses}"
            assert flow.count("flow_completed") + flow.count("flow_failed") == 1
            assert flow.count("flow_deactivated") == 1

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
        return gives(**outputs_of(_weight([call.step_id, call.arguments.get("i0"), call.attempt])))

    def _choose(self, kind: str) -> Act | None:
        world, chance = self.world, self.chance
        match kind:
            case "effect" if world.effects:
                return [kind, chance.randrange(len(world.effects))]
            case "answer" if world.calls:
                return [kind, chance.randrange(len(world.calls)), chance.choice(["good", *_ANSWERS])]
            case "good" if world.calls:
                return ["answer", len(world.calls) - 1, "good"]
            case "undo" if world.undone:
                return [kind, chance.randrange(len(world.undone)), chance.choice(["good", *_ANSWERS])]
            case "time":
                return [kind, chance.choice([1, 40, 60, 200, 1_000])]
            case "crash":
                return [kind, chance.choice(NODES)]
            case "lose":
                return [kind, *chance.sample(NODES, 2)]
            case "cancel" if chance.random() < 0.1:
                return [kind, chance.randrange(len(world.flows))]
        return None

    def _play(self, act: Act) -> None:
        kind, *details = act
        getattr(self, f"_{kind}")(*details)
        self.auditor.audit()

    def _effect(self, position: int) -> None:
        self.world.effects.rotate(-position)
        self.world.perform(self.world.effects.popleft())

    def _answer(self, position: int, kind: str) -> None:
        call = self.world.calls[position]
        self.world.deliver(call, _ANSWERS.get(kind) or self.good_answer(call))

    def _undo(self, position: int, kind: str) -> None:
        self.world.deliver_undo(self.world.undone[position], _ANSWERS.get(kind) or gives())

    def _time(self, ms: int) -> None:
        """The alarm clock rings for flows in order; what they do next waits among the effects."""
        self.world.now_us += ms * 1_000
        for flow in list(self.world.flows.values()):
            if flow.wake_at <= self.world.now_us:
                flow.do(Advance())

    def _crash(self, node_id: str) -> None:
        """Every node dies; one comes back."""
        self.check_replay()
        self.world.node_id = node_id
        self._with_gone(NODES, self.world.recover)

    def _lose(self, dead: str, heir: str) -> None:
        """One node dies with what it was about to do; another takes over."""
        world = self.world
        world.node_id = heir
        world.effects = deque(effect for effect in world.effects if self._caller(effect) not in ("", dead))

        def take_over() -> None:
            for flow in list(world.flows.values()):
                flow.do(Reclaim(lambda node_id, token: node_id == dead))
                world.effects.extend(waiting_children(flow.state))

        self._with_gone([dead], take_over)

    def _caller(self, effect: Effect) -> str:
        """The node that is about to make a call; nobody's for what any node does."""
        if not isinstance(effect, Call | Compensate):
            return ""
        return self.world.flows[effect.flow_id].item(effect.step_id, effect.token)[1].node_id

    def _with_gone(self, nodes: Sequence[str], recover: Callable[[], None]) -> None:
        self.auditor.gone = frozenset(nodes)
        recover()
        self.auditor.audit()
        self.auditor.gone = frozenset()

    def _cancel(self, position: int) -> None:
        list(self.world.flows.values())[position].do(Cancel())

    def check_replay(self) -> None:
        """The log adds up to the state, as anyone sees it and as deciding needs it."""
        for flow in self.world.flows.values():
            replayed = flow.replayed()
            assert state_bytes(replayed) == state_bytes(flow.state)
            assert derived(replayed) == derived(flow.state)
