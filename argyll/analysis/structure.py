"""Whether a value has the shape of a step: known keys, required keys, types, choices, bounds - all findings at once.

Driven by the table in `argyll.model.shape`. What the fields mean together is the business of `argyll.analysis.rules`.
"""

from collections.abc import Iterable
from typing import cast

import msgspec

from argyll.analysis.diagnostics import At, Diagnostic, Pointer, finding
from argyll.analysis.nearest import alias_of, did_you_mean, nearest
from argyll.model import json
from argyll.model.json import JSON
from argyll.model.shape import ATTRIBUTE, FLOW, HTTP, MAPPING, SETTINGS, STEP, WORK, Field, Shape
from argyll.model.step import LANGUAGES, ROLES, STEP_TYPES
from argyll.model.wire import JSONObject

_KINDS = {"text": "text", "integer": "an integer", "boolean": "`true` or `false`", "list": "a list"}
_NULLABLE = frozenset({"object", "map"})
_ATTRIBUTE_KEYS = (*ATTRIBUTE.fields, *ROLES, *SETTINGS)


def check_structure(value: JSON, *, native: bool) -> list[Diagnostic]:
    """Every finding of shape in a step's JSON value, in either spelling.

    `native` is for YAML, where nothing may be null or empty; the API reads a null block and an empty optional text as
    absent, as existing clients write them.
    """
    checker = _Checker(native)
    if isinstance(value, dict):
        checker.step(cast(JSONObject, value))
    else:
        checker.report(
            "ARG004",
            f"a step is a mapping, this is {describe(value)}",
            (),
            hint="begin with `id:`, `name:` and `type:`",
        )
    return checker.findings


def check_fields(value: JSON, shape: Shape) -> list[Diagnostic]:
    """Every finding of shape in a value of one of the other shapes, written as YAML."""
    checker = _Checker(native=True)
    checker.object(value, shape, ())
    return checker.findings


def describe(value: JSON) -> str:
    """A JSON value's type with its article, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean `{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= 40 else "text"
    return "a list" if isinstance(value, list) else "a mapping"


class _Checker:
    def __init__(self, native: bool) -> None:
        self.findings: list[Diagnostic] = []
        self._native = native

    def report(self, code: str, message: str, pointer: Pointer, *, hint: str = "", at: At = "value") -> None:
        self.findings.append(finding(code, message, pointer, hint=hint, at=at))

    def step(self, value: JSONObject) -> None:
        for key, item in value.items():
            if key == "attributes":
                self._attributes(item)
                continue
            field = STEP.fields.get(key)
            if field is None:
                self._unknown(key, STEP.name, STEP.fields, (), hint=_home_of(key))
            else:
                self._value(field, item, (key,))
        self._missing(value, STEP, ())

    def object(self, value: JSON, shape: Shape, pointer: Pointer) -> None:
        if not isinstance(value, dict):
            self.report(
                "ARG103", f"`{shape.name}` must be a mapping, this is {describe(value)}", pointer, hint=_unquoted(value)
            )
            return
        members = cast(JSONObject, value)
        for key, item in members.items():
            field = shape.fields.get(key)
            if field is None:
                self._unknown(key, f"`{shape.name}`", shape.fields, pointer)
            else:
                self._value(field, item, (*pointer, key))
        self._missing(members, shape, pointer)
        if shape is MAPPING and not members:
            self.report("ARG312", "the mapping maps nothing", pointer, hint="add `name:` or `script:`", at="key")
        for first, second in shape.exclusive:
            if first in members and second in members:
                hint = f"keep `{second}` or `{first}`, not both"
                self.report(
                    "ARG112", f"`{first}` and `{second}` say the same thing", (*pointer, first), hint=hint, at="key"
                )

    def _missing(self, value: JSONObject, shape: Shape, pointer: Pointer) -> None:
        for name, field in shape.fields.items():
            if field.required and name not in value:
                hint = f"one of {', '.join(field.choices)}" if field.choices else field.doc[0].lower() + field.doc[1:-1]
                self.report("ARG102", f"`{name}` is missing", pointer, hint=f"add `{name}:` - {hint}", at="key")

    def _unknown(self, key: str, owner: str, names: Iterable[str], pointer: Pointer, *, hint: str = "") -> None:
        hint = hint or did_you_mean(key, names)
        self.report("ARG101", f"`{key}` is not a key of {_with_article(owner)}", (*pointer, key), hint=hint, at="key")

    def _attributes(self, value: JSON) -> None:
        if value is None and not self._native:
            return
        if not isinstance(value, dict):
            hint = "write `name: {role: required}` for each attribute"
            self.report(
                "ARG103", f"`attributes` must be a mapping, this is {describe(value)}", ("attributes",), hint=hint
            )
            return
        for name, spec in cast(JSONObject, value).items():
            self._attribute(name, spec)

    def _attribute(self, name: str, spec: JSON) -> None:
        pointer: Pointer = ("attributes", name)
        if not name.strip():
            self.report("ARG106", "an attribute has an empty name", pointer, hint="give it a name", at="key")
        if spec is None:
            hint = f"write `{name}: {{role: required}}`, or another role of {', '.join(ROLES)}"
            self.report("ARG102", f"attribute `{name}` has no definition", pointer, hint=hint, at="key")
            return
        if not isinstance(spec, dict):
            hint = f"write `{name}: {{role: required}}`"
            self.report("ARG103", f"attribute `{name}` must be a mapping, this is {describe(spec)}", pointer, hint=hint)
            return
        settings = cast(JSONObject, spec)
        role = settings.get("role")
        known_role = role if isinstance(role, str) and role in ROLES else ""
        for key, item in settings.items():
            here = (*pointer, key)
            if key == "type" and item is None and self._native:
                continue
            if key in ATTRIBUTE.fields:
                self._value(ATTRIBUTE.fields[key], item, here)
            elif key in ROLES:
                self._role_block(key, item, known_role, settings, here)
            elif key in SETTINGS:
                self._setting(key, item, known_role, here)
            else:
                self._unknown(key, "attribute", _ATTRIBUTE_KEYS, pointer)
        self._missing(settings, ATTRIBUTE, pointer)

    def _role_block(self, block: str, value: JSON, role: str, settings: JSONObject, pointer: Pointer) -> None:
        if value is None and not self._native:
            return
        if role and block != role:
            hint = f"change the role to `{block}`, or move the settings under `{role}`"
            self.report("ARG301", f"settings for `{block}` on a `{role}` attribute", pointer, hint=hint, at="key")
            return
        if not isinstance(value, dict):
            self.report("ARG103", f"`{block}` must be a mapping, this is {describe(value)}", pointer)
            return
        for key, item in cast(JSONObject, value).items():
            here = (*pointer, key)
            if key not in SETTINGS:
                self._unknown(key, f"`{block}`", SETTINGS, pointer)
                continue
            if key in settings:
                hint = f"keep one of them: beside `role`, or under `{block}`"
                self.report("ARG112", f"`{key}` is given twice, flat and nested", here, hint=hint, at="key")
            self._setting(key, item, block, here)

    def _setting(self, name: str, value: JSON, role: str, pointer: Pointer) -> None:
        field = SETTINGS[name]
        if role and role not in field.roles:
            code = {"deadline": "ARG306", "mapping": "ARG311"}.get(name, "ARG301")
            owners = " or ".join(f"`{owner}`" for owner in field.roles)
            hint = f"change the role to {owners}, or remove `{name}`"
            self.report(code, f"`{name}` does not belong to a `{role}` attribute", pointer, hint=hint, at="key")
        else:
            self._value(field, value, pointer)

    def _value(self, field: Field, value: JSON, pointer: Pointer) -> None:
        kind = field.kind
        if kind == "text":
            self._text(field, value, pointer)
        elif kind == "value":
            self._constant(field, value, pointer)
        elif value is None and kind in _NULLABLE and not self._native:
            if field.required:
                self.report("ARG102", f"`{field.name}` is missing", pointer[:-1], at="key")
        elif kind == "object":
            assert field.members is not None
            self.object(value, field.members, pointer)
        elif kind == "integer":
            self._integer(field, value, pointer)
        elif kind == "boolean":
            if not isinstance(value, bool):
                self._wrong_type(field, value, pointer)
        elif kind == "list":
            self._list(field, value, pointer)
        else:
            self._map(field, value, pointer)

    def _constant(self, field: Field, value: JSON, pointer: Pointer) -> None:
        # Over the API a text is JSON text (decisions 3); an empty one is "not given".
        if self._native or not isinstance(value, str) or not value:
            return
        try:
            json.decode(value)
        except msgspec.DecodeError:
            hint = f"text is written with its quotes: {json.text(json.text(value))}"
            self.report("ARG304", f"`{field.name}` is not JSON text: `{value}`", pointer, hint=hint)

    def _wrong_type(self, field: Field, value: JSON, pointer: Pointer) -> None:
        expected = _KINDS[field.kind]
        hint = ""
        if field.kind == "text":
            hint = _unquoted(value)
        elif isinstance(value, str) and value.strip("+-").isdigit():
            hint = f"write {value} without quotes"
        elif isinstance(value, str) and field.kind == "boolean":
            hint = "write `true` or `false` without quotes"
        self.report("ARG103", f"`{field.name}` must be {expected}, this is {describe(value)}", pointer, hint=hint)

    def _text(self, field: Field, value: JSON, pointer: Pointer) -> None:
        if not isinstance(value, str):
            self._wrong_type(field, value, pointer)
        elif not value.strip():
            if field.required or self._native:
                mend = "give it a value" if field.required else "give it a value, or remove the key"
                self.report("ARG106", f"`{field.name}` is empty", pointer, hint=mend)
            elif value:
                self.report("ARG106", f"`{field.name}` is blank", pointer, hint="remove the key")
        elif field.choices and value not in field.choices:
            self._wrong_choice(field, value, pointer)

    def _wrong_choice(self, field: Field, value: str, pointer: Pointer) -> None:
        if field.name == "language" and value in LANGUAGES:
            hint = f"write the script in {' or '.join(field.choices)}"
            self.report("ARG504", f"`{value}` cannot be the language of a script step", pointer, hint=hint)
            return
        code = "ARG104" if field.choices is STEP_TYPES else "ARG105"
        near = nearest(value, field.choices)
        hint = f"did you mean `{near}`?" if near else f"one of {', '.join(field.choices)}"
        self.report(code, f"`{value}` is not a `{field.name}`", pointer, hint=hint)

    def _integer(self, field: Field, value: JSON, pointer: Pointer) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong_type(field, value, pointer)
            return
        code = "ARG305" if field.name == "deadline" else "ARG108"
        if field.minimum is not None and value < field.minimum:
            self.report(code, f"`{field.name}` is {value}", pointer, hint=f"it must be at least {field.minimum}")
        elif field.maximum is not None and value > field.maximum:
            self.report(code, f"`{field.name}` is {value}", pointer, hint=f"it must be at most {field.maximum}")

    def _list(self, field: Field, value: JSON, pointer: Pointer) -> None:
        if not isinstance(value, list):
            hint = f"write `{field.name}: [{value}]`" if isinstance(value, str) and value else ""
            self.report("ARG103", f"`{field.name}` must be a list, this is {describe(value)}", pointer, hint=hint)
            return
        items = cast(list[JSON], value)
        if field.at_least_one and not items:
            self.report("ARG106", f"`{field.name}` is empty", pointer, hint="name at least one")
        for index, item in enumerate(items):
            here = (*pointer, index)
            if not isinstance(item, str):
                self.report(
                    "ARG103", f"`{field.name}` holds text, this is {describe(item)}", here, hint=_unquoted(item)
                )
            elif not item.strip():
                self.report("ARG106", f"`{field.name}` holds an empty text", here, hint="remove it")

    def _map(self, field: Field, value: JSON, pointer: Pointer) -> None:
        if not isinstance(value, dict):
            self.report("ARG103", f"`{field.name}` must be a mapping, this is {describe(value)}", pointer)
            return
        for key, item in cast(JSONObject, value).items():
            if field.members is not None:
                self.object(item, field.members, (*pointer, key))
            elif not isinstance(item, str):
                message = f"`{key}` in `{field.name}` must be text, this is {describe(item)}"
                self.report("ARG103", message, (*pointer, key), hint=_unquoted(item))


def _with_article(owner: str) -> str:
    return owner if owner.startswith("`") else f"{'an' if owner[0] in 'aeiou' else 'a'} {owner}"


def _unquoted(value: JSON) -> str:
    """How to turn a value into the text that was expected."""
    if isinstance(value, dict):
        return "quote text that holds braces"
    if isinstance(value, bool):
        return f'quote it: "{str(value).lower()}"'
    return f'quote it: "{value}"' if isinstance(value, int | float) else ""


def _home_of(key: str) -> str:
    """For a key at the top of a step that belongs into one of its blocks."""
    for name in (key, alias_of(key)):
        for block in (HTTP, FLOW, WORK):
            if name in block.fields and name not in STEP.fields:
                return f"`{name}` belongs under `{block.name}`"
    return "settings of an attribute belong under `attributes`, below its name" if key in SETTINGS else ""
