"""Text becomes an id, and child flows are told from the ones people name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.model.ids import child_flow_id, is_child_flow_id, sanitize_id
from argyll.model.shape import ID_PATTERN


@pytest.mark.parametrize(
    ("text", "sane"),
    [
        ("Charge Card", "charge-card"),
        ("  a  b ", "a--b"),
        ("--a--", "a"),
        ("a:b/c\\d", "abcd"),
        ("Ünïcode", "ncode"),
        ("a_b.c+d-e", "a_b.c+d-e"),
        ("..", ".."),
        ("💥", ""),
        ("", ""),
        ("a\nb\tc", "abc"),
    ],
)
def test_examples(text: str, sane: str):
    """execution.md 13.23/221"""
    assert sanitize_id(text) == sane


@given(st.text())
def test_an_id_stays_as_it_is(text: str):
    """execution.md 13.23/221"""
    sane = sanitize_id(text)
    assert sanitize_id(sane) == sane
    assert not is_child_flow_id(sane)
    assert sane == "" or re.fullmatch(ID_PATTERN, sane)


@given(st.text(alphabet="aZ0_.+- \n:é", min_size=1, max_size=6))
def test_the_pattern_of_ids_is_what_stays_as_it_is(text: str):
    matches = re.fullmatch(ID_PATTERN, text) is not None and not text.endswith("\n")
    assert matches == (sanitize_id(text) == text)


def test_child_flows_carry_their_origin():
    assert child_flow_id("order-1", "ship", "t0") == "order-1:ship:t0"
    assert is_child_flow_id(child_flow_id("a", "b", "c"))
