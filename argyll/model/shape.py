"""The one table of every field of a step document: its type, choices, bounds, default, owner and explanation.

The structural check, the nearest-name hints, the JSON Schemas and the field reference are all made from it. It says
nothing about what fields mean together; that is `argyll.analysis`.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from argyll.model.json import JSON
from argyll.model.limits import MAX_DEADLINE_MS
from argyll.model.step import (
    ATTRIBUTE_TYPES,
    BACKOFF_TYPES,
    COLLECTS,
    DEFAULT_WORK,
    LANGUAGES,
    METHODS,
    ROLES,
    STEP_LANGUAGES,
    STEP_TYPES,
)

Kind = Literal["text", "integer", "boolean", "value", "object", "map", "list"]
"""`value` is any JSON; `map` has free names and uniform members; `list` has uniform members."""

ID_PATTERN = r"^[a-z0-9_.+]([a-z0-9_.+-]*[a-z0-9_.+])?$"
"""Ids that `sanitize_id` leaves as they are."""


class Field(Struct, frozen=True):
    """One key of an object. `members` is the shape of an object, or of each member of a map; None there is text."""

    name: str
    kind: Kind
    doc: str
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    minimum: int | None = None
    maximum: int | None = None
    default: JSON | UnsetType = UNSET
    members: "Shape | None" = None
    at_least_one: bool = False
    roles: tuple[str, ...] = ()
    """The attribute roles that the setting belongs to."""


class Shape(Struct, frozen=True):
    """One kind of object: its name in messages, and its fields by name. At most one field of each pair in `exclusive`."""

    name: str
    doc: str
    fields: dict[str, Field]
    exclusive: tuple[tuple[str, str], ...] = ()


def shape(name: str, doc: str, *fields: Field, exclusive: tuple[tuple[str, str], ...] = ()) -> Shape:
    """A shape of fields, by their names."""
    return Shape(name, doc, {field.name: field for field in fields}, exclusive)


def _script(name: str, doc: str, languages: tuple[str, ...]) -> Shape:
    return shape(
        name,
        doc,
        Field("language", "text", "The language of the text.", required=True, choices=languages),
        Field("script", "text", "The script's text.", required=True),
    )


SCRIPT = _script("script", "A script in one of the three languages.", LANGUAGES)
STEP_SCRIPT = _script(
    "script", "The program of a script step; `jpath` only selects, so it is not allowed here.", STEP_LANGUAGES
)

MAPPING = shape(
    "mapping",
    "How the attribute is called inside the step, and how its value is converted. At least one of the two is given.",
    Field("name", "text", "The name that the step's service, script or child flow uses."),
    Field("script", "object", "Converts the value on its way in or out.", members=SCRIPT),
)

HTTP = shape(
    "http",
    "The service behind a sync or async step.",
    Field(
        "endpoint",
        "text",
        "URL of the service; `{name}` is replaced by the required input called `name`.",
        required=True,
    ),
    Field("method", "text", "HTTP method of the call.", choices=METHODS, default="POST"),
    Field("timeout", "integer", "Milliseconds a call may take; absent means the engine's default (30,000)."),
    Field("health_check", "text", "URL that answers a GET while the service is healthy."),
    Field(
        "compensate",
        "text",
        "URL that undoes a succeeded call when the step fails later; placeholders may be inputs or outputs.",
    ),
)

FLOW = shape(
    "flow",
    "The child flow of a flow step.",
    Field("goals", "list", "Ids of the steps that the child flow must reach.", required=True, at_least_one=True),
)

WORK = shape(
    "work_config",
    "Retries, backoff and parallelism of the step's work; what is left open is the engine's default.",
    Field("max_retries", "integer", "Calls after the first one; -1 is unlimited.", default=DEFAULT_WORK.max_retries),
    Field("max_attempts", "integer", "All calls, the first one included; 1 switches retries off.", minimum=1),
    Field(
        "init_backoff",
        "integer",
        "Milliseconds before the first retry.",
        minimum=0,
        default=DEFAULT_WORK.init_backoff_ms,
    ),
    Field(
        "max_backoff", "integer", "Milliseconds that no wait exceeds.", minimum=0, default=DEFAULT_WORK.max_backoff_ms
    ),
    Field("backoff_type", "text", "How waits grow.", choices=BACKOFF_TYPES, default=DEFAULT_WORK.backoff_type),
    Field(
        "parallelism",
        "integer",
        "Work items of a `for_each` step that run at the same time; 0 is one after the other.",
        minimum=0,
        default=0,
    ),
    Field("jitter", "boolean", "Spread waits at random below their length.", default=False),
    exclusive=(("max_retries", "max_attempts"),),
)

ATTRIBUTE = shape(
    "attribute",
    "One name that the step reads or writes.",
    Field("role", "text", "What the attribute is to the step.", required=True, choices=ROLES),
    Field("type", "text", "JSON type of the value; absent means untyped.", choices=ATTRIBUTE_TYPES),
)
"""The keys that every role has; the settings of the roles stand beside them or nested under the role's name."""

SETTINGS: dict[str, Field] = {
    field.name: field
    for field in (
        Field(
            "collect",
            "text",
            "Which of several providers' values the step receives.",
            choices=COLLECTS,
            default="first",
            roles=("required", "optional"),
        ),
        Field(
            "for_each",
            "boolean",
            "Run once for every element of the array.",
            default=False,
            roles=("required", "optional"),
        ),
        Field(
            "match",
            "object",
            "Only values for which this is true count; sees `value`.",
            members=SCRIPT,
            roles=("required",),
        ),
        Field("mapping", "object", MAPPING.doc, members=MAPPING, roles=("required", "optional", "output")),
        Field("default", "value", "The value when nothing provides the attribute in time.", roles=("optional",)),
        Field(
            "deadline",
            "integer",
            "Milliseconds to wait for a provider before going on without.",
            minimum=0,
            maximum=MAX_DEADLINE_MS,
            default=0,
            roles=("optional",),
        ),
        Field("value", "value", "The constant.", required=True, roles=("const",)),
        Field("key", "text", "Which fact about the running work the attribute holds.", required=True, roles=("meta",)),
    )
}
"""Settings of an attribute by name; `required` binds within their roles."""

STEP = shape(
    "step",
    "A step: what it needs, what it produces, and how it runs.",
    Field("id", "text", "Unique name of the step.", required=True, pattern=ID_PATTERN),
    Field("name", "text", "The step's name for people.", required=True),
    Field("type", "text", "How the step runs.", required=True, choices=STEP_TYPES),
    Field("attributes", "map", "What the step reads and writes, by attribute name.", members=ATTRIBUTE),
    Field("http", "object", HTTP.doc, members=HTTP),
    Field("script", "object", STEP_SCRIPT.doc, members=STEP_SCRIPT),
    Field("flow", "object", FLOW.doc, members=FLOW),
    Field("predicate", "object", "The step is skipped when this is false.", members=SCRIPT),
    Field("work_config", "object", WORK.doc, members=WORK),
    Field("labels", "map", "Free text by name, for people and tools."),
    Field("memoizable", "boolean", "Equal inputs give equal outputs, so results may be reused.", default=False),
)

BLOCK_OF_TYPE: dict[str, str] = {"sync": "http", "async": "http", "script": "script", "flow": "flow"}
"""The block that says how a step of each type runs."""

STEP_MARKS: frozenset[str] = frozenset({"id", "type", "http", "script", "flow", "attributes"})
"""A document with any of these keys is meant to be a step (decisions 44)."""


def settings_of(role: str) -> dict[str, Field]:
    """The settings that belong to a role, by name."""
    return {name: field for name, field in SETTINGS.items() if role in field.roles}
