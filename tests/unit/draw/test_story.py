"""Explanations of real histories, as a colleague would tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from argyll.draw import story
from argyll.draw.phrases import MAX_QUOTE_CHARS, cut, duration
from tests.unit.flow.harness import (
    SILENT,
    World,
    async_,
    const,
    fails,
    gives,
    meta,
    optional,
    output,
    required,
    scripted,
    subflow,
    sync,
    unavailable,
)
from tests.unit.flow.test_explain import ask, bank_is_busy, fan_out
from tests.unit.flow.test_explain_waits import chain


def told(flow: Any, **question: Any) -> str:
    return "\n".join(story(ask(flow, **question)))


def test_a_failed_flow_from_its_goal_to_its_root():
    assert told(bank_is_busy()) == (
        "f failed at +300 ms: it could not reach ship\n"
        "  because ship failed at +300 ms: not all of its own required inputs could come\n"
        '    because pay failed at +300 ms: "card declined" (attempt 3 of 3; attempts 1 and 2: 503 bank busy)\n'
        "\n"
        "order completed at +0 ms after 0 ms\n"
        'pay failed at +300 ms: "card declined" (attempt 3 of 3; attempts 1 and 2: 503 bank busy)\n'
        "ship failed at +300 ms: its input payment (required, first) could no longer come, as pay failed"
    )


def test_a_step_in_full():
    assert told(bank_is_busy(), step="pay") == (
        "f failed at +300 ms: it could not reach ship\n"
        "\n"
        'pay failed at +300 ms: "card declined" (attempt 3 of 3; attempts 1 and 2: 503 bank busy)\n'
        "  in the plan because it gives payment for ship\n"
        "  inputs:\n"
        "    order (required, first): 7, from order at +0 ms\n"
        "  1 work item: 1 failed\n"
        "    #0 failed at +300 ms\n"
        '      attempt 1 at +0 ms on n1: gave no answer that counts at +0 ms: "503 bank busy"; again at +100 ms\n'
        '      attempt 2 at +100 ms on n1: gave no answer that counts at +100 ms: "503 bank busy"; again at +300 ms\n'
        '      attempt 3 at +300 ms on n1: failed at +300 ms: "card declined"'
    )


def test_a_step_that_was_lost_tells_what_began_it():
    assert told(bank_is_busy(), step="ship").splitlines()[2] == (
        "ship failed at +300 ms: its input payment (required, first) could no longer come: "
        'pay failed at +300 ms: "card declined" (attempt 3 of 3; attempts 1 and 2: 503 bank busy)'
    )


def test_of_many_ways_to_a_cause_the_shortest_is_told():
    world = World(
        sync("root", {"r": output()}),
        sync("left", {"r": required(), "l": output()}),
        sync("right", {"r": required(), "l": required(), "k": output()}),
        sync("end", {"l": required(), "k": required()}),
        answers={"root": fails("dead")},
    )
    assert told(world.start("end"), step="end").splitlines()[2:5] == [
        "end failed at +0 ms: its inputs k (required, first) and l (required, first) could no longer come",
        "  because right failed at +0 ms: not all of its own required inputs could come",
        '    because root failed at +0 ms: "dead" (attempt 1 of 11)',
    ]


def test_every_cause_that_began_it_is_told_once():
    world = World(
        sync("north", {"x": output(), "y": output()}),
        sync("south", {"x": output(), "y": output()}),
        sync("end", {"x": required(), "y": required()}),
        answers={"north": fails("ice"), "south": fails("sand")},
    )
    assert told(world.start("end")).splitlines()[1:5] == [
        "  because end failed at +0 ms: not all of its own required inputs could come",
        '    because north failed at +0 ms: "ice" (attempt 1 of 11)',
        '    because south failed at +0 ms: "sand" (attempt 1 of 11)',
        "",
    ]


def test_an_active_flow_says_what_it_waits_for():
    assert told(chain()) == (
        "f is active, for the goals third, other; as of +0 ms (event 4)\n"
        "\n"
        "it waits for:\n"
        "  first: the webhook of http://first/, called at +0 ms (attempt 1 of 11); POST /webhook/f/first/t0 ends it\n"
        "  other: the answer of http://other/, called at +0 ms (attempt 1 of 11)\n"
        "\n"
        "first is active since +0 ms\n"
        "other is active since +0 ms\n"
        "second is pending: it waits for a (required, first) from first (active)\n"
        "third is pending: it waits for b (required, first) from second (pending)"
    )


def test_a_value_down_to_init():
    world = World(
        sync("lookup", {"customer": required(mapping="id"), "tier": output(mapping="level")}),
        sync(
            "price",
            {
                "tier": required(),
                "coupon": optional(default="none"),
                "currency": const("EUR"),
                "flow": meta("flow_id"),
                "total": output(),
            },
        ),
        answers={"lookup": gives(level="gold"), "price": [unavailable("busy"), gives(total=42)]},
    )
    flow = world.start("price", {"customer": "c-1"})
    world.wait_for_all()

    assert told(flow, attribute="total") == (
        "f completed at +1 s: price completed\n"
        "\n"
        "total = 42, from price at +1 s (event 12)\n"
        "  given by attempt 2 of 11; attempt 1: busy\n"
        '  tier = "gold", from lookup at +0 ms (event 4), there called level\n'
        '    customer = "c-1", from init; received as id\n'
        '  coupon = "none", the default: no step of the plan provides it\n'
        '  currency = "EUR", a constant of the step\n'
        "  flow: the flow_id of each call"
    )


def skipped_by_match() -> Any:
    world = World(
        sync("a", {"tier": output()}),
        sync("gold", {"tier": required(match='(eq value "gold")'), "x": output()}),
        answers={"a": gives(tier="tin")},
        scripts={'(eq value "gold")': lambda value: value == "gold"},
    )
    return world.start("gold")


def skipped_by_predicate() -> Any:
    world = World(
        scripted("s", "run", {"x": required()}, predicate="(> x 5)"),
        scripts={"(> x 5)": lambda inputs: inputs["x"] > 5},
    )
    return world.start("s", {"x": 3})


def not_needed() -> Any:
    world = World(
        sync("a", {"x": output()}),
        sync("slow", {"y": output()}),
        sync("b", {"y": required(), "x": output()}),
        sync("end", {"x": required()}),
        answers={"a": gives(x=1), "slow": SILENT},
    )
    return world.start("end")


def unwanted() -> Any:
    world = World(
        sync("a", {"fraud": output()}), sync("b", {"fraud": required(collect="none")}), answers={"a": gives(fraud=1)}
    )
    return world.start("b")


def cancelled() -> Any:
    world = World(sync("a", {"x": output()}), sync("b", {"x": required()}), answers={"a": SILENT})
    flow = world.start("b")
    flow.cancel()
    return flow


def deadline() -> Any:
    world = World(
        sync("slow", {"n": output()}),
        sync("s", {"x": required(), "n": optional(deadline=90_000)}),
        answers={"slow": SILENT},
    )
    return world.start("s", {"x": 1})


def sub_flow() -> Any:
    world = World(sync("leaf", {"y": output()}), subflow("sub", ["leaf"], {"y": output()}), answers={"leaf": SILENT})
    return world.start("sub")


def items() -> Any:
    step = fan_out(3, work={"parallelism": 1})
    return World(step, answers={"many": [gives(y=1), fails("bad")]}).start("many", {"xs": [["p", "q", "r"]]})


def undone() -> Any:
    step = fan_out(2, compensate="http://undo/", work={"parallelism": 1, "init_backoff": 100})
    return World(step, answers={"many": [gives(y=1), fails("bad")]}, undo={"many": unavailable("busy")}).start(
        "many", {"xs": [[1, 2]]}
    )


def undecided() -> Any:
    world = World(
        sync("slow", {"x": output()}),
        sync("s", {"x": required(match="even")}),
        answers={"slow": SILENT},
        scripts={"even": lambda value: value % 2 == 0},
    )
    flow = world.open("f", world.plan("s"), {"x": [3]})
    world.run()
    return flow


def left_out() -> Any:
    world = World(
        sync("unwanted", {"x": required(collect="none"), "y": output()}),
        sync("end", {"x": required(), "y": optional()}),
    )
    return world.start("end", {"x": 1})


def deferred() -> Any:
    world = World(async_("s", {"y": output()}))
    world.may_claim = lambda step: "announce"
    return world.start("s")


SENTENCES: list[tuple[Callable[[], Any], dict[str, str], str]] = [
    (
        skipped_by_match,
        {},
        'gold was skipped at +0 ms: the match (eq value "gold") of tier (required, first) did not accept "tin" from a',
    ),
    (skipped_by_match, {}, "f failed at +0 ms: the match of every goal turned it down"),
    (skipped_by_predicate, {}, "s was skipped at +0 ms: its predicate (> x 5) returned false for x = 3"),
    (skipped_by_predicate, {}, "f completed at +0 ms: s skipped (its predicate returned false)"),
    (
        not_needed,
        {},
        "b was skipped at +0 ms: nobody needed its outputs any more (x: end had a value already)",
    ),
    (unwanted, {}, "b failed at +0 ms: it wants fraud to be absent, as a gave fraud at +0 ms"),
    (cancelled, {}, "f was cancelled at +0 ms; not everything of it has settled"),
    (cancelled, {}, "b never started: the flow ended before it could"),
    (deadline, {}, "s: its optional input n from slow (active) until +1 min 30 s, then it goes on without"),
    (
        deadline,
        {"step": "s"},
        "n (optional, first): awaited from slow (active) until +1 min 30 s",
    ),
    (sub_flow, {}, "sub: its sub-flow f:sub:t0, started at +0 ms"),
    (items, {}, 'many failed at +0 ms: item #1 (xs = "q") failed with "bad" (attempt 1 of 11)'),
    (items, {"step": "many"}, "3 work items: 1 cancelled, 1 failed, 1 succeeded"),
    (items, {"step": "many"}, '#2 (xs = "r") cancelled at +0 ms: its step had failed'),
    (undone, {}, 'many: the next attempt to undo its work, due at +100 ms; the last one: "busy"'),
    (undone, {"step": "many"}, "undone because its step failed:"),
    (
        undecided,
        {},
        "s is pending: its match decides about x (required, first): 1 value so far, more may come from slow (active)",
    ),
    (left_out, {}, "  unwanted is not in the plan: init supplies x, which the step wants to be absent"),
    (deferred, {}, "s: its health: put off at +0 ms while it is unhealthy, though not for ever"),
    (cancelled, {"attribute": "x"}, "x has no value yet: it can come from a (active)"),
    (left_out, {"attribute": "y"}, "y has no value: no step of the plan gives it, and init does not supply it"),
]


@pytest.mark.parametrize(
    ("history", "question", "sentence"), SENTENCES, ids=[f"{h.__name__}-{n}" for n, (h, _, _) in enumerate(SENTENCES)]
)
def test_a_sentence_of_the_story(history: Callable[[], Any], question: dict[str, str], sentence: str):
    assert sentence in told(history(), **question)


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (1_250, "1.2 s"),
        (59_000, "59 s"),
        (60_000, "1 min"),
        (125_000, "2 min 5 s"),
        (3_600_000, "1 h"),
        (11_520_000, "3 h 12 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_durations_are_told_in_two_units_at_most(ms: int, words: str):
    assert duration(ms) == words


def test_what_services_say_cannot_steer_the_terminal():
    assert cut("red \x1b[31m\nand \u202eback") == "red [31m and back"
    assert len(cut("x" * 1_000)) == MAX_QUOTE_CHARS
