"""`python -m argyll.analysis.schema [--check]`: writes the JSON Schemas of a step file and of `argyll.yaml`.

Made from the table of fields. What a schema cannot say (placeholders, scripts, wiring) is left to `argyll check`.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from argyll.analysis.catalogue import CATALOGUE
from argyll.analysis.delivery import DELIVERY, KEY
from argyll.analysis.generated import write_or_compare
from argyll.analysis.project import LEVELS, PROJECT
from argyll.model import json
from argyll.model.json import JSON
from argyll.model.shape import (
    ATTRIBUTE,
    BLOCK_OF_TYPE,
    SETTINGS,
    STEP,
    STEP_SCRIPT,
    Field,
    Kind,
    Shape,
    settings_of,
)
from argyll.model.step import META_KEYS, ROLES
from argyll.model.wire import JSONObject

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NOT_BLANK = r"\S"
EXPRESSION: JSONObject = {"description": "An expression.", "type": "string", "pattern": r"\$\{\{.*\}\}"}
"""What may stand in a file wherever a value may; what it gives is checked when the file is rendered."""

STEP_TARGET = Path("schemas/step.schema.json")
PROJECT_TARGET = Path("schemas/argyll.schema.json")


def step_schema() -> JSONObject:
    """The JSON Schema of one step document in YAML; both spellings of attribute settings are valid."""
    definitions: JSONObject = {}
    body = _object(STEP, definitions)
    body["properties"]["attributes"] |= {
        "propertyNames": {"pattern": NOT_BLANK},
        "additionalProperties": {"$ref": "#/$defs/attribute"},
    }
    definitions["attribute"] = _attribute(definitions)
    body["allOf"] = [_step_type(block) for block in dict.fromkeys(BLOCK_OF_TYPE.values())]
    for part in (body, *definitions.values()):
        part["properties"] = {name: _or_expression(field) for name, field in part["properties"].items()}
    body["properties"][KEY] = _delivery()
    return {"$schema": DRAFT, "$id": "urn:argyll:schema:step", "title": "Argyll step"} | body | {"$defs": definitions}


def project_schema() -> JSONObject:
    """The JSON Schema of `argyll.yaml`."""
    definitions: JSONObject = {}
    body = _object(PROJECT, definitions)
    levels = {
        code: {"description": entry.title, "enum": list(LEVELS)}
        for code, entry in CATALOGUE.items()
        if not entry.rejects
    }
    rules: JSONObject = definitions["check"]["properties"]["rules"]
    rules |= {"properties": levels, "additionalProperties": False}
    schema: JSONObject = {"$schema": DRAFT, "$id": "urn:argyll:schema:project", "title": "Argyll project"} | body
    return schema | {"$defs": definitions}


def _object(shape: Shape, definitions: JSONObject) -> JSONObject:
    schema: JSONObject = {
        "description": shape.doc,
        "type": "object",
        "properties": {name: _field(field, definitions) for name, field in shape.fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, field in shape.fields.items() if field.required]
    if required:
        schema["required"] = required
    elif shape.name == "mapping":
        schema["anyOf"] = [{"required": ["name"]}, {"required": ["script"]}]
    if shape.exclusive:
        schema["not"] = {"anyOf": [{"required": list(pair)} for pair in shape.exclusive]}
    return schema


def _or_expression(field: JSONObject) -> JSONObject:
    """A field that only takes certain values takes an expression instead of them, too."""
    certain = (
        "enum" in field or field.get("type") in ("integer", "boolean") or field.get("pattern") not in (None, NOT_BLANK)
    )
    if not certain:
        return field
    about = {name: field[name] for name in ("description", "default") if name in field}
    return about | {"anyOf": [{name: item for name, item in field.items() if name not in about}, EXPRESSION]}


def _delivery() -> JSONObject:
    schema = _object(DELIVERY, {})
    schema["properties"]["expressions"]["enum"] = [True, False, "scripts"]
    return schema


def _field(field: Field, definitions: JSONObject) -> JSONObject:
    schema: JSONObject = {"description": field.doc}
    if field.default is not UNSET:
        schema["default"] = field.default
    return schema | _KINDS[field.kind](field, definitions)


def _text(field: Field, _: JSONObject) -> JSONObject:
    if field.choices:
        return {"enum": list(field.choices)}
    schema: JSONObject = {"type": "string", "pattern": field.pattern or NOT_BLANK}
    return schema | ({"examples": list(META_KEYS)} if field is SETTINGS["key"] else {})


def _integer(field: Field, _: JSONObject) -> JSONObject:
    bounds = {"minimum": field.minimum, "maximum": field.maximum}
    return {"type": "integer"} | {name: bound for name, bound in bounds.items() if bound is not None}


def _list(field: Field, _: JSONObject) -> JSONObject:
    schema: JSONObject = {"type": "array", "items": {"type": "string", "pattern": NOT_BLANK}}
    return schema | ({"minItems": 1} if field.at_least_one else {})


def _members(field: Field, definitions: JSONObject) -> JSONObject:
    assert field.members is not None
    name = "step_script" if field.members is STEP_SCRIPT else field.members.name
    if name not in definitions:
        definitions[name] = _object(field.members, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _boolean(_field: Field, _definitions: JSONObject) -> JSONObject:
    return {"type": "boolean"}


def _anything(_field: Field, _definitions: JSONObject) -> JSONObject:
    return {}


def _texts(_field: Field, _definitions: JSONObject) -> JSONObject:
    return {"type": "object", "additionalProperties": {"type": "string"}}


_KINDS: dict[Kind, Callable[[Field, JSONObject], JSONObject]] = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "value": _anything,
    "object": _members,
    "list": _list,
    "map": _texts,
}


def _step_type(block: str) -> JSONObject:
    types = [name for name, owned in BLOCK_OF_TYPE.items() if owned == block]
    others = [other for other in dict.fromkeys(BLOCK_OF_TYPE.values()) if other != block]
    return {
        "if": {"properties": {"type": {"enum": types}}, "required": ["type"]},
        "then": {"required": [block], "properties": dict.fromkeys(others, False)},
    }


def _attribute(definitions: JSONObject) -> JSONObject:
    schema = _object(ATTRIBUTE, definitions)
    # YAML readers turn `type: null` into null; it is the name of the type.
    schema["properties"]["type"]["enum"].append(None)
    schema["properties"] |= {name: _field(field, definitions) for name, field in SETTINGS.items()}
    for role in ROLES:
        definitions[f"{role}_settings"] = {
            "description": f"Settings of a {role} attribute, nested under its role.",
            "type": "object",
            "properties": {name: _field(field, definitions) for name, field in settings_of(role).items()},
            "additionalProperties": False,
        }
        schema["properties"][role] = {"$ref": f"#/$defs/{role}_settings"}
    schema["allOf"] = [_role(role) for role in ROLES]
    return schema


def _role(role: str) -> JSONObject:
    own = settings_of(role)
    foreign = [name for name in SETTINGS if name not in own] + [other for other in ROLES if other != role]
    then: JSONObject = {"properties": dict.fromkeys(foreign, False)}
    rules: list[JSON] = [
        {"not": {"required": [name, role], "properties": {role: {"required": [name]}}}} for name in own
    ]
    for name, field in own.items():
        if field.required:
            nested: JSONObject = {"required": [role], "properties": {role: {"required": [name]}}}
            rules.append({"anyOf": [{"required": [name]}, nested]})
    return {"if": {"properties": {"role": {"const": role}}, "required": ["role"]}, "then": then | {"allOf": rules}}


def _text_of(schema: JSONObject) -> str:
    return msgspec.json.format(json.encode(schema), indent=2).decode() + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the schemas, or with `--check` compare them. 1 when one differs."""
    files = {STEP_TARGET: _text_of(step_schema()), PROJECT_TARGET: _text_of(project_schema())}
    return write_or_compare(files, arguments, "python -m argyll.analysis.schema")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
