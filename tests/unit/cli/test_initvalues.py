"""Init values are typed as people think of them: every text is one value."""

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.cli.initvalues import parse_init
from argyll.model import json
from argyll.model.json import JSON

FILES = {Path("items.json"): b'[{"sku": "kilt"}]', Path("bad.json"): b"{"}


def read(path: Path) -> bytes:
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[path]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1.50", 1.5),
        ("a=true", True),
        ("a=null", None),
        ("a=text", "text"),
        ("a=two words", "two words"),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ("a=0123", "0123"),
        ("a=NaN", "NaN"),
        ("a=[1,2]", [1, 2]),
        ('a={"b": 1}', {"b": 1}),
        ("a=[1,", "[1,"),
        ("a=12345678901234567890123", 12345678901234567890123),
        ("a:=1", 1),
        ('a:="1"', "1"),
        ('a:="@x"', "@x"),
        ("a=@items.json", [{"sku": "kilt"}]),
    ],
)
def test_a_text_is_one_value_json_if_it_reads_as_json(text: str, value: JSON):
    assert parse_init((text,), read) == {"a": value}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("a",), "write NAME=VALUE"),
        (("=1",), "write NAME=VALUE"),
        ((":=1",), "write NAME=VALUE"),
        (("a:=x",), "no JSON"),
        (("a=1", "a=2"), "given twice"),
        (("a=1", "a:=2"), "given twice"),
        (("a=@gone.json",), "gone.json cannot be read"),
        (("a=@bad.json",), "bad.json holds no JSON"),
    ],
)
def test_a_text_that_makes_no_value_is_a_usage_error_naming_it(texts: tuple[str, ...], words: str):
    with pytest.raises(click.BadParameter, match=words):
        parse_init(texts, read)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_json_value_can_be_insisted_on(value: JSON):
    assert parse_init((f"a:={json.text(value)}",), read) == {"a": value}
