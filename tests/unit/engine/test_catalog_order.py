"""The order inside one commit: nothing comes before what it needs, whatever the steps and however they are given."""

import random

from hypothesis import given
from hypothesis import strategies as st

from argyll.engine.catalog_order import providers_first
from argyll.model.step import Attribute, Step


def made(number: int, inputs: set[int], goals: set[int]) -> Step:
    """Step `number` of a graph without circles: it reads from and contains only steps of smaller numbers."""
    attributes = {f"x{n}": Attribute("required") for n in inputs if n < number} | {f"x{number}": Attribute("output")}
    return Step(
        id=f"s{99 - number}",
        name="S",
        type="sync",
        attributes=attributes,
        flow_goals=tuple(f"s{99 - n}" for n in goals if n < number),
    )


NUMBERS = st.sets(st.integers(0, 9), max_size=4)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=10), st.randoms(use_true_random=False))
def test_every_step_comes_after_what_it_needs(graph: list[tuple[set[int], set[int]]], shuffle: random.Random):
    steps = [made(number, inputs, goals) for number, (inputs, goals) in enumerate(graph)]
    shuffled = [*steps]
    shuffle.shuffle(shuffled)
    order = providers_first(shuffled)
    assert order == providers_first(steps)
    assert sorted(order) == sorted(step.id for step in steps)
    place = {step_id: position for position, step_id in enumerate(order)}
    for step in steps:
        needed = {f"s{99 - int(name[1:])}" for name in step.inputs} | set(step.flow_goals)
        assert all(place[other] < place[step.id] for other in needed if other in place)


def test_steps_that_wait_for_each_other_come_last_and_in_order():
    reads = {"x": Attribute("required")}
    writes = {"x": Attribute("output")}
    circle = [
        Step(id="b", name="B", type="flow", attributes=writes, flow_goals=("c",)),
        Step(id="c", name="C", type="sync", attributes=reads),
        Step(id="z", name="Z", type="sync", attributes={}),
    ]
    assert providers_first(circle) == ["z", "b", "c"]
