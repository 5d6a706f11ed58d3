"""JSON in and out: integers stay exact, key order is kept, canonical text depends on the value only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.model import json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_values_survive(value: json.JSON):
    assert json.decode(json.encode(value)) == value
    assert json.decode(json.canonical(value)) == value
    assert json.text(value).encode() == json.encode(value)


@given(st.dictionaries(st.text(), st.integers(), max_size=4))
def test_the_order_of_keys_is_kept_but_for_canonical_text(value: dict[str, int]):
    turned = dict(reversed(list(value.items())))
    assert list(json.decode(json.encode(turned))) == list(turned)
    assert json.canonical(turned) == json.canonical(value)


def test_large_integers_are_exact():
    assert json.decode(json.encode(2**70 + 1)) == 2**70 + 1


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0, False), ("1", 1)])
def test_canonical_text_tells_types_apart(one: json.JSON, other: json.JSON):
    assert json.canonical(one) != json.canonical(other)
