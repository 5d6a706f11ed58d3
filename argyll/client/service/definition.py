"""From a Python function to a step: its attributes from the type hints, and the arguments of one call.

Everything is settled when the function is decorated; a function that cannot be a step raises `DefinitionError` there.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, TypeAlias, Union, cast

import msgspec

from argyll.client.service.context import AsyncContext, Context
from argyll.client.service.problem import StepError
from argyll.model.json import JSON, decode

Handler: TypeAlias = Callable[..., Any]
Hint: TypeAlias = Any
Outputs: TypeAlias = Mapping[str, "type | str"]

METHODS = ("GET", "POST", "PUT", "DELETE")
ATTRIBUTE_TYPES = ("string", "number", "boolean", "object", "array", "null", "any")

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_TYPES: dict[object, str] = {
    str: "string", int: "number", float: "number", bool: "boolean", list: "array", tuple: "array", set: "array",
    dict: "object", Mapping: "object", Sequence: "array", type(None): "null", Any: "any", object: "any",
}  # fmt: skip
_ABSENT = object()


class DefinitionError(TypeError):
    """A function cannot be made a step; the message names the step, the parameter and the mend."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a step. `default` is meaningful unless `required`; None there means: no default, leave it out."""

    name: str
    hint: Hint
    type: str
    required: bool
    default: JSON
    for_each: bool

    def attribute(self) -> dict[str, JSON]:
        """The attribute in the flat spelling."""
        attribute: dict[str, JSON] = {"role": "required" if self.required else "optional", "type": self.type}
        if self.for_each:
            attribute["for_each"] = True
        if not self.required and self.default is not None:
            attribute["default"] = msgspec.to_builtins(self.default)
        return attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step of a service: its functions, where they are served, and its definition."""

    id: str
    name: str
    run: Handler
    method: str
    path: str
    asynchronous: bool
    inputs: tuple[Input, ...]
    context: str | None
    outputs: Mapping[str, str]
    accept: Handler | None
    compensate: Handler | None
    compensate_path: str
    attributes: Mapping[str, Mapping[str, JSON]]
    settings: Mapping[str, JSON]

    def definition(self, base_url: str) -> dict[str, JSON]:
        """The step as a YAML file or the API would have it, flat spelling, served under `base_url`."""
        http: dict[str, JSON] = {"endpoint": base_url + self.path, "health_check": f"{base_url}/health"}
        if self.method != "POST":
            http["method"] = self.method
        if self.compensate is not None:
            http["compensate"] = base_url + self.compensate_path
        settings = dict(self.settings)
        if (timeout_ms := settings.pop("timeout_ms", None)) is not None:
            http["timeout"] = timeout_ms
        attributes: dict[str, JSON] = {i.name: i.attribute() for i in self.inputs}
        spread = any(i.for_each for i in self.inputs)
        attributes |= {
            name: {"role": "output", "type": "array" if spread else kind} for name, kind in self.outputs.items()
        }
        for name, extra in self.attributes.items():
            attributes[name] = _merged(attributes[name], extra)
        kind = "async" if self.asynchronous else "sync"
        return {"id": self.id, "name": self.name, "type": kind, **settings, "attributes": attributes, "http": http}

    def arguments(self, values: Mapping[str, JSON], in_path: Mapping[str, str]) -> dict[str, JSON]:
        """The keyword arguments of one call, converted to the hints. Raises `StepError` 400 naming the input."""
        arguments: dict[str, JSON] = {}
        for wanted in self.inputs:
            if wanted.name in in_path:
                value = _from_path(in_path[wanted.name], wanted.hint)
            else:
                value = values.get(wanted.name, _ABSENT)
            if value is _ABSENT:
                if wanted.required:
                    raise StepError(400, f"input {wanted.name!r} is missing")
                continue
            arguments[wanted.name] = _converted(wanted, value)
        return arguments


def derive_inputs(
    step_id: str, function: Handler, for_each: Sequence[str], *, asynchronous: bool
) -> tuple[tuple[Input, ...], str | None]:
    """The inputs a function declares by its parameters, and the name of its context parameter, if any."""
    try:
        hints = typing.get_type_hints(function)
    except NameError as problem:
        raise DefinitionError(
            f"step {step_id}: a type hint names something unknown at module level: {problem}"
        ) from None
    inputs: list[Input] = []
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(f"step {step_id}: parameter {parameter} has no attribute name: use plain parameters")
        hint = hints.get(parameter.name, Any)
        if hint in (Context, AsyncContext):
            if hint is not (AsyncContext if asynchronous else Context):
                kinds = "an asynchronous step takes an AsyncContext, a sync one a Context"
                raise DefinitionError(f"step {step_id}: parameter {parameter.name!r} is a {hint.__name__}: {kinds}")
            context = parameter.name
            continue
        inputs.append(_input(step_id, parameter, hint, parameter.name in for_each))
    unknown = sorted(set(for_each) - {i.name for i in inputs})
    if unknown:
        raise DefinitionError(f"step {step_id}: for_each names {unknown}, which are no parameters of the handler")
    return tuple(inputs), context


def derive_outputs(step_id: str, outputs: Outputs) -> dict[str, str]:
    """Output names to attribute types; a type may be given by its name too."""
    derived: dict[str, str] = {}
    for name, kind in outputs.items():
        if isinstance(kind, str) and kind not in ATTRIBUTE_TYPES:
            raise DefinitionError(f"step {step_id}: output {name!r} has type {kind!r}: use one of {ATTRIBUTE_TYPES}")
        derived[name] = kind if isinstance(kind, str) else attribute_type(step_id, name, kind)
    return derived


def attribute_type(step_id: str, name: str, hint: Hint) -> str:
    """The attribute type of a type hint; unions of different types are `any`. Raises `DefinitionError` for the rest."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        kinds = {attribute_type(step_id, name, type(value)) for value in typing.get_args(hint)}
        return kinds.pop() if len(kinds) == 1 else "any"
    if origin in (Union, types.UnionType):
        kinds = {attribute_type(step_id, name, part) for part in typing.get_args(hint) if part is not type(None)}
        return kinds.pop() if len(kinds) == 1 else "any"
    plain = origin or hint
    if plain in _TYPES:
        return _TYPES[plain]
    if typing.is_typeddict(plain) or is_dataclass(plain) or _is_struct(plain):
        return "object"
    raise DefinitionError(
        f"step {step_id}: {name!r} is {hint!r}, which has no attribute type:"
        " use str, int, float, bool, list, dict, a dataclass or a TypedDict"
    )


def placeholders(path: str) -> set[str]:
    """The names in braces of a path."""
    return set(_PLACEHOLDER.findall(path))


def check(spec: StepSpec) -> StepSpec:
    """The spec itself. Raises `DefinitionError` for what the engine, or HTTP, would not let work."""
    if spec.method not in METHODS:
        raise DefinitionError(f"step {spec.id}: method {spec.method!r}: use one of {METHODS}")
    required = {i.name for i in spec.inputs if i.required}
    for what, path, legal in (
        ("path", spec.path, required),
        ("compensate_path", spec.compensate_path, {i.name for i in spec.inputs} | set(spec.outputs) | required),
    ):
        if not path.startswith("/"):
            raise DefinitionError(f"step {spec.id}: {what} {path!r} must begin with /")
        if wrong := sorted(placeholders(path) - legal):
            raise DefinitionError(f"step {spec.id}: {what} {path!r} uses {wrong}: only {sorted(legal)} can stand there")
    if spec.method == "GET" and (unsent := sorted({i.name for i in spec.inputs} - placeholders(spec.path))):
        raise DefinitionError(
            f"step {spec.id}: a GET has no body, so {unsent} would never arrive: put them in the path"
        )
    if both := sorted({i.name for i in spec.inputs} & set(spec.outputs)):
        raise DefinitionError(f"step {spec.id}: {both} are inputs and outputs at once: give the outputs other names")
    if unknown := sorted(set(spec.attributes) - {i.name for i in spec.inputs} - set(spec.outputs)):
        raise DefinitionError(f"step {spec.id}: attributes names {unknown}: no parameter or output is called that")
    if spec.accept is not None and not spec.asynchronous:
        raise DefinitionError(f"step {spec.id}: accept= is for asynchronous steps: a sync handler just raises")
    if spec.compensate is not None and spec.settings.get("memoizable"):
        raise DefinitionError(f"step {spec.id}: a memoizable step cannot be compensated: drop one of the two")
    return spec


def _input(step_id: str, parameter: inspect.Parameter, hint: Hint, for_each: bool) -> Input:
    kind = attribute_type(step_id, parameter.name, hint)
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    return Input(parameter.name, hint, "array" if for_each else kind, required, default, for_each)


def _merged(derived: Mapping[str, JSON], extra: Mapping[str, JSON]) -> dict[str, JSON]:
    """`extra` wins; with another role, what belonged to the derived one goes."""
    if extra.get("role", derived["role"]) == derived["role"]:
        return {**derived, **extra}
    return {key: value for key, value in derived.items() if key == "type"} | dict(extra)


def _from_path(text: str, hint: Hint) -> JSON:
    """The engine writes strings as they are and everything else as JSON text."""
    if hint is str:
        return text
    try:
        return decode(text)
    except msgspec.DecodeError:
        return text


def _converted(wanted: Input, value: JSON) -> JSON:
    try:
        return msgspec.convert(value, type=wanted.hint)
    except msgspec.ValidationError as first:
        # JSON has one kind of number: 5.0 may be meant for an int.
        try:
            return msgspec.convert(_whole_numbers(value), type=wanted.hint)
        except msgspec.ValidationError:
            raise StepError(400, f"input {wanted.name!r}: {first}") from first


def _whole_numbers(value: JSON) -> JSON:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers(element) for element in cast("list[JSON]", value)]
    if isinstance(value, dict):
        return {key: _whole_numbers(member) for key, member in cast("dict[str, JSON]", value).items()}
    return value


def _is_struct(hint: Hint) -> bool:
    return isinstance(hint, type) and issubclass(cast("type[object]", hint), msgspec.Struct)
