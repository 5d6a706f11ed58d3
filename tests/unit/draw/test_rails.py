"""Rails show who feeds whom, always in the same way."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from argyll.draw import ASCII, MAX_RAIL_COLUMNS, Rails
from argyll.model import json
from argyll.model.plan import Plan

PlanOf = Callable[..., Plan]

UNICODE_PICTURE = """\
○       inventory-resolver
│ ✔     user-resolver
○─┤     order-creator
├─┼─○   fraud-check
├─┼─┼─● stock-reservation
○─┼─┼─╯ payment-processor
○─┴─╯   notification-sender"""

ASCII_PICTURE = """\
o       inventory-resolver
| v     user-resolver
o-+     order-creator
+-+-o   fraud-check
+-+-+-* stock-reservation
o-+-+-' payment-processor
o-+-'   notification-sender"""

STATUSES = {"user-resolver": "completed", "stock-reservation": "active"}


def picture(rails: Rails, **options: object) -> str:
    return "\n".join(f"{row.rail} {row.step}" for row in rails.rows(STATUSES, **options))


def test_a_plan_is_drawn_as_one_row_a_step_with_a_line_for_every_awaited_output(order_plan: Plan):
    assert picture(Rails(order_plan)) == UNICODE_PICTURE


def test_the_ascii_set_draws_the_same_picture_for_terminals_without_box_characters(order_plan: Plan):
    drawn = picture(Rails(order_plan), marks=ASCII)
    assert drawn == ASCII_PICTURE
    assert drawn.isascii()


def test_a_plan_as_the_api_answers_it_gives_the_same_picture(order_plan: Plan):
    assert picture(Rails(json.decode(order_plan.raw))) == UNICODE_PICTURE


def test_a_status_that_is_not_known_is_marked_and_still_named(plan_of: PlanOf):
    (row,) = Rails(plan_of({"a": set()})).rows({"a": "levitating"})
    assert (row.rail, row.status) == ("?", "levitating")


def test_an_empty_plan_has_no_rows(plan_of: PlanOf):
    assert Rails(plan_of({})).rows() == []


def test_a_plan_too_wide_to_follow_is_drawn_without_lines(plan_of: PlanOf):
    sources = {f"s{n:03}": set[str]() for n in range(MAX_RAIL_COLUMNS + 1)}
    rails = Rails(plan_of(sources | {"join": set(sources)}))
    assert not rails.lined
    assert {row.rail for row in rails.rows()} == {"○"}


def test_a_damaged_plan_with_a_cycle_still_shows_every_step(plan_of: PlanOf):
    rows = Rails(plan_of({"a": {"b"}, "b": {"a"}, "c": set()})).rows()
    assert sorted(row.step for row in rows) == ["a", "b", "c"]


wirings = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        *(st.sets(st.integers(0, max(0, i - 1)), max_size=4 if i else 0) for i in range(n)), st.permutations(range(n))
    )
)


@given(wirings)
def test_every_wire_of_any_plan_can_be_followed_on_the_picture(plan_of: PlanOf, drawn: tuple[object, ...]):
    *parents, names = drawn
    wiring = {f"n{names[i]}": {f"n{names[p]}" for p in ps} for i, ps in enumerate(parents)}
    rails = Rails(plan_of(wiring))
    rows = rails.rows()
    place = {row.step: (at, row.rail.index("○")) for at, row in enumerate(rows)}

    assert {len(row.rail) for row in rows} == {rails.width}
    for child, its_parents in wiring.items():
        for parent in its_parents:
            (top, x), (bottom, target) = place[parent], place[child]
            assert top < bottom, "providers stand above consumers"
            assert all(rows[at].rail[x] not in " ─" for at in range(top, bottom + 1)), "the line goes down"
            low, high = sorted((x, target))
            assert all(rows[bottom].rail[at] not in " │" for at in range(low, high + 1)), "and over to the consumer"
    for upper, lower in pairwise(rows):
        if upper.rail.index("○") == lower.rail.index("○"):
            assert upper.step in wiring[lower.step], "marks below each other are wired"


def test_a_chain_stays_together_and_apart_from_its_neighbours(plan_of: PlanOf):
    rows = Rails(plan_of({"a": set(), "z": {"a"}, "b": set(), "y": {"b"}, "c": set()})).rows()
    assert [f"{row.rail} {row.step}" for row in rows] == ["○   a", "○   z", "  ○ b", "  ○ y", "○   c"]
