"""What steps mean together: types, circles, goals - for a whole set and for one change to a catalog."""

from collections.abc import Callable

import pytest

from argyll.analysis.diagnostics import Diagnostic
from argyll.analysis.wiring import check_against
from argyll.model.catalog import Catalog
from argyll.model.step import Attribute, Http, Step


def sync(step_id: str, **attributes: Attribute) -> Step:
    return Step(id=step_id, name=step_id, type="sync", attributes=attributes, http=Http("http://h"))


def flow(step_id: str, *goals: str) -> Step:
    return Step(id=step_id, name=step_id, type="flow", flow_goals=goals)


def catalog(*steps: Step) -> Catalog:
    result = Catalog()
    for step in steps:
        result.put(step)
    return result


def codes(findings: list[Diagnostic]) -> list[str]:
    return [each.code for each in findings]


def needs(declared: str | None = None, **settings: object) -> Attribute:
    return Attribute("required", declared, **settings)  # type: ignore[arg-type]


def gives(declared: str | None = None) -> Attribute:
    return Attribute("output", declared)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provided", "expected", "clash"),
    [
        ("string", "string", False),
        ("string", "number", True),
        ("string", None, False),
        (None, "string", False),
        ("any", "string", False),
        ("string", "any", False),
        ("null", "string", True),
    ],
)
def test_types_clash_only_when_both_sides_declare_one(provided: str | None, expected: str | None, clash: bool):
    steps = [sync("a", x=gives(provided)), sync("b", x=needs(expected))]
    assert codes(check_against(Catalog(), steps)) == (["ARG603"] if clash else [])


def test_consumers_and_providers_are_not_compared_among_themselves():
    assert check_against(Catalog(), [sync("a", x=needs("string")), sync("b", x=needs("number"))]) == []
    assert check_against(Catalog(), [sync("a", x=gives("string")), sync("b", x=gives("number"))]) == []


def test_const_and_meta_names_take_no_part():
    steps = [sync("a", x=gives("string")), sync("b", x=Attribute("const", "number", value=1))]
    assert check_against(Catalog(), steps) == []


@pytest.mark.parametrize(
    ("collect", "expected", "clash"),
    [
        ("first", "number", False),
        ("first", "array", True),
        ("last", "array", True),
        ("all", "array", False),
        ("some", "number", False),
        ("none", "string", False),
    ],
)
def test_collect_decides_what_is_received(collect: str, expected: str, clash: bool):
    steps = [sync("a", x=gives("number")), sync("b", x=needs(expected, collect=collect))]
    assert codes(check_against(Catalog(), steps)) == (["ARG603"] if clash else [])


def test_a_step_that_runs_for_each_element_provides_arrays():
    each = sync("a", xs=needs(for_each=True), x=gives("number"))
    assert check_against(Catalog(), [each, sync("b", x=needs("array"))]) == []
    findings = check_against(Catalog(), [each, sync("b", x=needs("number"))])
    assert codes(findings) == ["ARG603"]
    assert "runs for each element" in findings[0].hint


def test_a_clash_is_told_once_for_an_attribute_with_all_sides():
    consumers = [sync(f"c{n}", x=needs("number")) for n in range(20)]
    findings = check_against(Catalog(), [sync("a", x=gives("string")), *consumers])
    assert codes(findings) == ["ARG603"]
    assert "19 more" in findings[0].message
    assert len(findings[0].related) == 5


@pytest.mark.parametrize("changed", ["a", "b"])
def test_a_clash_is_reported_at_the_changed_step(changed: str):
    steps = {"a": sync("a", x=gives("string")), "b": sync("b", x=needs("number"))}
    before = catalog(*steps.values())
    findings = check_against(before, [steps[changed]])
    assert [(each.code, each.step_id) for each in findings] == [("ARG603", changed)]
    assert findings[0].rejects


def test_what_is_not_changed_is_not_reported():
    before = catalog(sync("a", x=gives("string")), sync("b", x=needs("number")), flow("f", "nobody"))
    assert check_against(before, [sync("c", x=gives("number"))]) == []


def test_a_step_is_compared_with_its_new_self_only():
    before = catalog(sync("a", x=gives("string")), sync("b", x=needs("string")))
    after = [sync("a", x=gives("number")), sync("b", x=needs("number"))]
    assert check_against(before, after) == []
    assert check_against(before, [sync("a", x=gives("number"))], ["b"]) == []


def test_a_circle_of_attributes_is_shown_whole():
    steps = [sync("a", x=needs(), y=gives()), sync("b", y=needs(), z=gives()), sync("c", z=needs(), x=gives())]
    findings = check_against(Catalog(), steps)
    assert codes(findings) == ["ARG605"]
    assert (
        findings[0].message
        == "steps wait for each other: `a` needs `x` of `c`, `c` needs `z` of `b`, `b` needs `y` of `a`"
    )
    assert [other.step_id for other in findings[0].related] == ["c", "b"]
    assert findings[0].pointer == ("attributes", "x")


def test_a_change_that_closes_a_circle_is_refused_and_one_that_opens_it_is_not():
    """execution.md 13.10/106"""
    chain = [sync("a", y=gives()), sync("b", y=needs(), z=gives()), sync("c", z=needs())]
    closing = sync("a", z=needs(), y=gives())
    assert codes(check_against(catalog(*chain), [closing])) == ["ARG605"]
    assert check_against(catalog(*chain), [closing], ["b"]) == []
    assert check_against(catalog(*chain), [closing, sync("b", y=needs())]) == []


def test_optional_inputs_close_circles_and_constants_do_not():
    provider = sync("a", x=needs(), y=gives())
    assert codes(check_against(Catalog(), [provider, sync("b", y=Attribute("optional"), x=gives())])) == ["ARG605"]
    assert check_against(Catalog(), [provider, sync("b", y=Attribute("const", value=1), x=gives())]) == []


@pytest.mark.parametrize(
    ("steps", "circle"),
    [
        ([flow("f", "f")], ["f"]),
        ([flow("f", "g"), flow("g", "f")], ["f", "g"]),
        ([flow("f", "g", "h"), flow("g"), flow("h", "f")], ["f", "h"]),
    ],
)
def test_flow_steps_do_not_contain_themselves(steps: list[Step], circle: list[str]):
    """execution.md 13.10/107"""
    findings = check_against(Catalog(), steps)
    assert codes(findings) == ["ARG701"]
    assert [findings[0].step_id, *(other.step_id for other in findings[0].related)] == circle


def test_unknown_goals_are_errors_only_where_nothing_comes_later():
    steps = [sync("ship", y=gives()), flow("f", "shp", "ship")]
    here, later = check_against(Catalog(), steps, complete=True), check_against(Catalog(), steps)
    assert [(each.code, each.severity, each.rejects) for each in here] == [("ARG700", "error", False)]
    assert [(each.code, each.severity, each.rejects) for each in later] == [("ARG700", "warning", False)]
    assert here[0].hint == "did you mean `ship`?"
    assert here[0].pointer == ("flow", "goals", 0)


def test_removing_a_goal_names_the_flow_step_that_loses_it():
    findings = check_against(catalog(sync("a"), flow("f", "a")), [], ["a"])
    assert [(each.code, each.step_id) for each in findings] == [("ARG700", "f")]


def test_one_id_twice_in_one_change_is_refused():
    assert codes(check_against(Catalog(), [sync("a"), sync("a", x=gives())])) == ["ARG600"]


def layered(layers: int, width: int) -> list[Step]:
    """Every step of a layer needs every attribute of the layer before: width**layers paths."""
    return [
        sync(
            f"s{layer}-{n}",
            **{f"a{layer}": gives("string")},
            **({f"a{layer - 1}": needs("string")} if layer else {}),
        )
        for layer in range(layers)
        for n in range(width)
    ]


@pytest.mark.parametrize(
    "change", [lambda: sync("s0-0", a0=gives("string"), a49=needs("string")), lambda: sync("new", a0=needs("string"))]
)
def test_layers_cost_what_they_hold_and_not_their_paths(change: Callable[[], Step]):
    findings = check_against(catalog(*layered(50, 100)), [change()])
    assert codes(findings) == (["ARG605"] if change().id == "s0-0" else [])
