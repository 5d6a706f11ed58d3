"""Expressions in step files: what they give, what they cannot do, and how much they may make."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.analysis.expressions import (
    MAX_EXPRESSION_CHARS,
    MAX_NUMBER,
    MAX_RESULT_CHARS,
    Evaluator,
    ExpressionFailed,
    FaultyExpression,
    UnfitResult,
    UnknownValue,
    expressions,
)
from argyll.model import json

VALUES: dict[str, Any] = {
    "host": "h",
    "port": 80,
    "ratio": 0.5,
    "on": True,
    "nothing": None,
    "list": ["b", "a", "a"],
    "items": {"keys": 1},
    "long": "x" * 60_000,
}


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator({"values": VALUES, "env": "prod"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${{ values.host }}", "h"),
        ("${{values.port}}", 80),
        ("${{ values.on }}", True),
        ("${{ values.nothing }}", None),
        ("${{ values.list }}", ["b", "a", "a"]),
        ("${{ values.items.keys }}", 1),
        ("${{ values['host'] }}", "h"),
        ("${{ values.list[1] }}", "a"),
        ("${{ values.list[1:] }}", ["a", "a"]),
        ("https://${{ values.host }}:${{ values.port }}/", "https://h:80/"),
        ("is ${{ values.on }}", "is true"),
        ("${{ values.port * 2 + 1 }}", 161),
        ("${{ -values.port }}", -80),
        ("${{ [1] + [2] }}", [1, 2]),
        ("${{ values.host ~ '-' ~ env }}", "h-prod"),
        ("${{ 1 if env == 'prod' else 2 }}", 1),
        ("${{ values.none | default('d') }}", "d"),
        ("${{ values.none.deeper | default(3) }}", 3),
        ("${{ values.none is defined }}", False),
        ("${{ values.list | unique | sort | join(',') }}", "a,b"),
        ("${{ values.list | length }}", 3),
        ("${{ values.host | upper }}", "H"),
        ("${{ '7' | int }}", 7),
        ("${{ values.port | string }}", "80"),
        ("${{ values.items | tojson }}", '{"keys":1}'),
        ("${{ 'a-b' | replace('-', '_') }}", "a_b"),
        ("${{ {'a': {'b': '}}'}} }}", {"a": {"b": "}}"}}),
        ("a ${{ '${{' }} b", "a ${{ b"),
        ("{{ x }} and {param} and {% if %}", "{{ x }} and {param} and {% if %}"),
    ],
)
def test_an_expression_gives_its_value_and_inside_text_its_text(evaluator: Evaluator, text: str, value: object) -> None:
    assert evaluator.text(text) == value
    assert type(evaluator.text(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "failure", "says", "mend"),
    [
        ("${{ values.hots }}", UnknownValue, "there is no `hots`", "did you mean `host`?"),
        ("${{ valuse.host }}", UnknownValue, "there is no `valuse`", "did you mean `values`?"),
        ("${{ values.list[9] }}", UnknownValue, "no `9` in the list", "3 members"),
        ("${{ values.host.x }}", UnknownValue, "text has no `x`", "only mappings"),
        ("${{ values.host ", FaultyExpression, "not closed", "`}}`"),
        ("${{ }}", FaultyExpression, "empty", "values.name"),
        ("${{ values. }}", FaultyExpression, "values.", ""),
        ("${{ 1) }} {{ (2 }}", FaultyExpression, "unexpected", ""),
        ("${{ values.host.upper() }}", FaultyExpression, "calls something", "use a filter"),
        ("${{ range(3) }}", FaultyExpression, "calls something", "use a filter"),
        ("${{ values.host | attr('x') }}", FaultyExpression, "No filter named 'attr'", "filters are default"),
        ("${{ values.host is odd }}", FaultyExpression, "No test named 'odd'", "tests are defined"),
        ("${{ values.host * 3 }}", FaultyExpression, "`*` needs numbers, this is text", ""),
        ("${{ values.host + 'x' }}", FaultyExpression, "`+` needs numbers", "join text with `~`"),
        ("${{ 2 ** 9 }}", FaultyExpression, "`**` is not available", ""),
        ("${{ '%d' % 3 }}", FaultyExpression, "`%` needs numbers", ""),
        ("${{ 1 / 0 }}", FaultyExpression, "division by zero", ""),
        ("x ${{ values.list }}", UnfitResult, "a list cannot be a part of text", "tojson"),
        ("x ${{ values.nothing }}", UnfitResult, "null cannot be a part of text", ""),
        (f"${{{{ {MAX_NUMBER} + 1 }}}}", UnfitResult, "beyond", ""),
    ],
)
def test_what_has_no_value_says_why_and_how_to_mend_it(
    evaluator: Evaluator, text: str, failure: type[ExpressionFailed], says: str, mend: str
) -> None:
    with pytest.raises(failure) as failed:
        evaluator.text(text)
    assert says in str(failed.value)
    assert mend in failed.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "''.__class__",
        "values.__class__.__mro__",
        "values.get",
        "values.host.format",
        "(values.list | sort).append",
        "self.__init__",
        "env.__len__",
        "[].__class__.__base__",
        "lipsum.__globals__",
        "cycler",
        "joiner",
        "namespace",
        "dict",
    ],
)
def test_no_python_object_can_be_reached(evaluator: Evaluator, source: str) -> None:
    with pytest.raises(ExpressionFailed):
        evaluator.value(source)


@pytest.mark.parametrize(
    "source",
    [
        "values.long ~ values.long",
        "values.long | replace('x', values.long)",
        "[values.long, values.long] | join",
        "[values.long, values.long]",
        "{'a': values.long, 'b': values.long} | tojson",
    ],
)
def test_more_text_than_the_limit_is_refused(evaluator: Evaluator, source: str) -> None:
    with pytest.raises(UnfitResult, match=f"{MAX_RESULT_CHARS:,}"):
        evaluator.value(source)


def test_an_expression_longer_than_the_limit_is_refused(evaluator: Evaluator) -> None:
    fits = "1" + " " * (MAX_EXPRESSION_CHARS - 2) + "."
    assert len(fits) == MAX_EXPRESSION_CHARS
    with pytest.raises(FaultyExpression, match="expected name"):
        evaluator.value(fits)
    with pytest.raises(FaultyExpression, match=f"{MAX_EXPRESSION_CHARS:,}"):
        evaluator.value(fits + " ")


def test_the_place_of_a_failing_expression_is_told(evaluator: Evaluator) -> None:
    text = "a ${{ values.host }} b ${{ values.hots }} c"
    with pytest.raises(UnknownValue) as failed:
        evaluator.text(text)
    start, end = failed.value.within
    assert text[start:end] == "${{ values.hots }}"


def test_values_stay_as_they_are(evaluator: Evaluator) -> None:
    evaluator.text("${{ values.list | sort }}")
    assert VALUES["list"] == ["b", "a", "a"]


@given(st.text(alphabet="${}'\"[]()\\ .abvalues|~+-*1,", max_size=60))
def test_any_text_gives_a_value_or_says_why_not(text: str) -> None:
    evaluator = Evaluator({"values": {"a": 1}, "env": ""})
    with suppress(ExpressionFailed):
        for start, end, _ in expressions(text):
            assert text[start:end].startswith("${{")
            assert text[start:end].endswith("}}")
        json.encode(evaluator.text(text))
