"""The page of step files, from the one table of fields in `argyll.model.shape`."""

from msgspec import UNSET

from argyll.model import json
from argyll.model.shape import ATTRIBUTE, FLOW, HTTP, MAPPING, SCRIPT, SETTINGS, STEP, WORK, Field, Shape
from argyll.model.step import META_KEYS
from tools.reference.markdown import HEAD, code, paragraphs, table

_INTRO = """A step file is YAML with one step, or several as documents separated by `---`. `argyll check` says what is wrong with
one, with the codes of [findings](../diagnostics.md); `argyll schema` prints the JSON Schema for an editor. What the
fields are about is in [concepts](../concepts.md).

Unknown fields are errors. Values are native: `default: [1, 2]` is a list. Durations are milliseconds."""

_SPELLINGS = """The settings of a role stand beside `role`. The API answers with them nested under the role's name, which files may
do as well; the same setting both ways is an error.

```yaml
attributes:
  items: { role: required, type: array, for_each: true }                 # as people write it
  stock: { role: required, type: array, required: { for_each: true } }   # as the API answers
```"""


def page() -> str:
    """The whole page as Markdown."""
    return paragraphs(
        "# Step files",
        HEAD,
        _INTRO,
        _section(STEP),
        _section(ATTRIBUTE),
        "Beside them stand the settings of the attribute's role.",
        _settings(),
        "`key` is one of " + ", ".join(code(key) for key in META_KEYS) + ".",
        _SPELLINGS,
        *(_section(shape) for shape in (SCRIPT, MAPPING, HTTP, FLOW, WORK)),
    )


def _section(shape: Shape) -> str:
    rows = [_row(field) for field in shape.fields.values()]
    parts = [f"## {shape.name}", shape.doc, table(("Field", "Kind", "Meaning", "Default"), rows)]
    parts += [f"At most one of `{one}` and `{other}`." for one, other in shape.exclusive]
    return paragraphs(*parts)


def _settings() -> str:
    rows = [(row[0], ", ".join(field.roles), *row[1:]) for field in SETTINGS.values() for row in (_row(field),)]
    return table(("Setting", "Roles", "Kind", "Meaning", "Default"), rows)


def _row(field: Field) -> tuple[str, str, str, str]:
    default = "" if field.default is UNSET else code(json.text(field.default).strip('"'))
    return code(field.name), _kind(field), field.doc, "required" if field.required else default


def _kind(field: Field) -> str:
    if field.choices:
        return ", ".join(code(choice) for choice in field.choices)
    bounds = [f"from {field.minimum:,}"] if field.minimum is not None else []
    bounds += [f"to {field.maximum:,}"] if field.maximum is not None else []
    named = f" ({field.members.name})" if field.members is not None else ""
    return " ".join([field.kind + named, *bounds])
