"""Offsets in a scalar's value lead to the same character in the source, in all five styles."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.analysis.scalars import MAX_INTEGER_DIGITS, InvalidNumber, resolve_plain, source_offset
from argyll.analysis.source import read_text

TEXTS = st.text(alphabet=st.sampled_from(list("ab'\"\\(){}:#é漢😀 \n-")), min_size=1, max_size=40)


@given(TEXTS, st.sampled_from(["|", ">", "'", '"', None]), st.integers(5, 80))
@settings(max_examples=300, deadline=None)
def test_every_visible_character_is_found_again(text: str, style: str | None, width: int):
    source = yaml.dump({"k": {"v": text}}, default_style=style, allow_unicode=True, width=width)
    node = read_text("a.yaml", source).documents[0].find(("k", "v"))
    if node is None or node.text != text:
        return
    for index, character in enumerate(text):
        at = source_offset(source, node.start, node.end, node.style, node.text, index)
        if not character.isspace() and not (node.style == '"' and source[at] == "\\"):
            assert source[at] == character, (source, index)
        assert node.start <= at <= node.end


@pytest.mark.parametrize(
    ("source", "index", "found"),
    [
        ("k: abc", 1, "b"),
        ("k: 'it''s'", 3, "s"),
        ('k: "a\\tb"', 2, "b"),
        ('k: "a\\u00e9b"', 2, "b"),
        ("k: |2-\n   ab\n", 1, "a"),
        ("k: >\n  ab\n  cd\n", 3, "c"),
    ],
)
def test_examples_of_each_style(source: str, index: int, found: str):
    node = read_text("a.yaml", source).documents[0].find(("k",))
    assert node is not None
    assert source[source_offset(source, node.start, node.end, node.style, node.text, index)] == found


def test_long_integers_are_bounded():
    assert resolve_plain("9" * MAX_INTEGER_DIGITS) == int("9" * MAX_INTEGER_DIGITS)
    with pytest.raises(InvalidNumber):
        resolve_plain("9" * (MAX_INTEGER_DIGITS + 1))
