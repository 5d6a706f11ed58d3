"""From functions to step definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import pytest

from argyll.client.service import AsyncContext, Context, DefinitionError, StepError, StepService
from argyll.client.service.definition import attribute_type


@dataclass
class Line:
    sku: str
    quantity: int


class Address(TypedDict):
    city: str


def one(service):
    (spec,) = service.specs
    return spec


def test_parameters_become_attributes():
    service = StepService("s")

    @service.step(outputs={"greeting": str, "score": "number"}, labels={"team": "crm"}, timeout_ms=500, memoizable=True)
    def greet_customer(name: str, age: int, loud: bool = False, title: str | None = None) -> dict[str, str]:
        """Greet a customer.

        More than one line.
        """
        return {"greeting": f"{name}{age}{loud}{title}"}

    assert service.definitions("http://h:1/") == [
        {
            "id": "greet-customer",
            "name": "Greet a customer",
            "type": "sync",
            "labels": {"team": "crm"},
            "memoizable": True,
            "attributes": {
                "name": {"role": "required", "type": "string"},
                "age": {"role": "required", "type": "number"},
                "loud": {"role": "optional", "type": "boolean", "default": False},
                "title": {"role": "optional", "type": "string"},
                "greeting": {"role": "output", "type": "string"},
                "score": {"role": "output", "type": "number"},
            },
            "http": {"endpoint": "http://h:1/greet-customer", "health_check": "http://h:1/health", "timeout": 500},
        }
    ]


def test_on_the_api_a_default_is_json_text():
    service = StepService("s")

    @service.step(id="ship")
    def ship(level: str = "standard", fast: bool = False) -> None:
        """Ship"""

    attributes = service.api_definitions("http://h")[0]["attributes"]
    assert {name: a["optional"]["default"] for name, a in attributes.items()} == {
        "level": '"standard"',
        "fast": "false",
    }


def test_a_for_each_input_is_a_list_outside_and_an_element_inside():
    service = StepService("s")

    @service.step(id="check", for_each=["items"], outputs={"stock": Line}, compensate=lambda inputs, outputs: None)
    def check(items: Line) -> dict[str, Line]:
        return {"stock": items}

    (definition,) = service.definitions("http://h")
    assert definition["attributes"] == {
        "items": {"role": "required", "type": "array", "for_each": True},
        "stock": {"role": "output", "type": "array"},
    }
    assert definition["http"]["compensate"] == "http://h/check/compensate"
    assert one(service).arguments({"items": {"sku": "a", "quantity": 2}}, {}) == {"items": Line("a", 2)}


def test_an_attribute_takes_settings_of_its_own_and_other_roles():
    service = StepService("s")
    extra = {
        "risk": {"match": {"language": "ale", "script": "(< value 7)"}},
        "order": {"role": "meta", "key": "flow_id"},
    }

    @service.step(asynchronous=True, attributes=extra)
    def pay(ctx: AsyncContext, risk: float, order: str = "none") -> None:
        """Pay"""

    (definition,) = service.definitions("http://h")
    assert definition["type"] == "async"
    assert definition["attributes"] == {
        "risk": {"role": "required", "type": "number", "match": {"language": "ale", "script": "(< value 7)"}},
        "order": {"role": "meta", "type": "string", "key": "flow_id"},
    }
    assert one(service).context == "ctx"


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (str, "string"),
        (int, "number"),
        (float, "number"),
        (int | float, "number"),
        (bool, "boolean"),
        (list[str], "array"),
        (tuple[int, ...], "array"),
        (dict[str, Any], "object"),
        (Line, "object"),
        (Address, "object"),
        (Any, "any"),
        (str | int, "any"),
        (str | None, "string"),
        (None.__class__, "null"),
        (Literal["a", "b"], "string"),
    ],
)
def test_each_hint_has_its_attribute_type(hint, kind):
    assert attribute_type("s", "x", hint) == kind


@pytest.mark.parametrize(
    ("values", "in_path", "arguments"),
    [
        ({"a": "x", "n": 5.0}, {}, {"a": "x", "n": 5}),
        ({"a": "x", "n": 5, "o": None}, {}, {"a": "x", "n": 5, "o": None}),
        ({"a": "x", "n": 5, "undeclared": 1}, {}, {"a": "x", "n": 5}),
        ({}, {"a": "12", "n": "12"}, {"a": "12", "n": 12}),
    ],
)
def test_inputs_arrive_as_the_hints_say(values, in_path, arguments):
    service = StepService("s")

    @service.step(path="/{a}/{n}")
    def handler(a: str, n: int, o: str | None = None) -> None: ...

    assert one(service).arguments(values, in_path) == arguments


@pytest.mark.parametrize(
    ("values", "message"),
    [({"n": 1}, "input 'a' is missing"), ({"a": "x", "n": "many"}, "input 'n': Expected `int`, got `str`")],
)
def test_an_input_that_does_not_fit_is_a_400_that_names_it(values, message):
    service = StepService("s")

    @service.step()
    def handler(a: str, n: int) -> None: ...

    with pytest.raises(StepError, match=message) as caught:
        one(service).arguments(values, {})
    assert caught.value.status == 400


def takes_args(*args: str) -> None: ...
def takes_kwargs(**kwargs: str) -> None: ...
def takes_a(a: str) -> None: ...
def takes_set(a: complex) -> None: ...
def takes_context(ctx: Context) -> None: ...
def takes_unknown(a: Missing) -> None: ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (takes_args, {}, "use plain parameters"),
        (takes_kwargs, {}, "use plain parameters"),
        (takes_set, {}, "'a' is .*complex.* has no attribute type"),
        (takes_unknown, {}, "unknown at module level"),
        (takes_context, {"asynchronous": True}, "takes an AsyncContext"),
        (takes_a, {"method": "PATCH"}, "method 'PATCH'"),
        (takes_a, {"method": "GET"}, "would never arrive"),
        (takes_a, {"path": "/{b}"}, r"uses \['b'\]"),
        (takes_a, {"path": "a"}, "must begin with /"),
        (takes_a, {"compensate": print, "compensate_path": "/{c}"}, r"compensate_path .* uses \['c'\]"),
        (takes_a, {"compensate": print, "memoizable": True}, "drop one of the two"),
        (takes_a, {"outputs": {"a": str}}, "inputs and outputs at once"),
        (takes_a, {"outputs": {"b": "text"}}, "type 'text'"),
        (takes_a, {"for_each": ["b"]}, "no parameters of the handler"),
        (takes_a, {"attributes": {"b": {}}}, "no parameter or output is called that"),
        (takes_a, {"accept": print}, "a sync handler just raises"),
        (takes_a, {"timeout": 5}, "unknown settings"),
        (takes_a, {"id": "first"}, "declared twice"),
    ],
)
def test_a_function_that_cannot_be_a_step_is_refused_where_it_stands(function, options, message):
    service = StepService("s")
    service.step(id="first")(lambda: None)
    with pytest.raises(DefinitionError, match=message):
        service.step(**options)(function)


@pytest.mark.parametrize("status", [200, 302, 600])
def test_an_error_has_the_status_of_one(status):
    with pytest.raises(ValueError, match="4xx"):
        StepError(status, "x")
