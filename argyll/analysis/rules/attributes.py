"""Rules about the attributes of a step: settings, values and inner names (3xx)."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET

from argyll.analysis.diagnostics import Diagnostic, Related, finding
from argyll.analysis.draft import Draft
from argyll.analysis.nearest import did_you_mean
from argyll.analysis.structure import describe
from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import META_KEYS, Attribute

_SCALAR_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def attribute_rules(draft: Draft) -> Iterator[Diagnostic]:
    """Findings about each attribute, then about their inner names."""
    for name, spec in draft.step.attributes.items():
        if spec.is_input:
            yield from _input(draft, name, spec)
        elif spec.role == "const":
            yield from _constant(draft, name, spec, "value", spec.value)
        elif spec.role == "meta":
            yield from _meta(draft, name, spec)
        yield from _mapping(draft, name, spec)
    if len(draft.step.attributes) > 1:
        yield from _collisions(
            draft, "inputs", (n for n, spec in draft.step.attributes.items() if spec.role != "output")
        )
        yield from _collisions(draft, "outputs", draft.step.outputs)


def _input(draft: Draft, name: str, spec: Attribute) -> Iterator[Diagnostic]:
    if spec.for_each and spec.type not in (None, "array", "any"):
        message = f"`for_each` needs an array, but `{name}` is declared `{spec.type}`"
        yield finding(
            "ARG302", message, draft.setting(name, "for_each"), hint="set `type: array`, or remove `for_each`", at="key"
        )
    if spec.collect == "none":
        yield from _none(draft, name, spec)
    elif spec.collect in ("all", "some") and spec.type not in (None, "array", "any"):
        message = f"`collect: {spec.collect}` delivers an array, but `{name}` is declared `{spec.type}`"
        yield finding(
            "ARG316", message, draft.setting(name, "collect"), hint="set `type: array`, or leave the type out"
        )
    if spec.role != "optional":
        return
    if spec.default is not UNSET:
        yield from _constant(draft, name, spec, "default", spec.default)
    elif spec.deadline_ms:
        message = f"after its deadline `{name}` is left out of the call"
        yield finding(
            "ARG307",
            message,
            draft.setting(name, "deadline"),
            hint="add `default:` if the step needs a value",
            at="key",
        )


def _none(draft: Draft, name: str, spec: Attribute) -> Iterator[Diagnostic]:
    mapped = spec.mapping is not None and spec.mapping.script is not None
    for setting, given in (("for_each", spec.for_each), ("match", spec.match is not None), ("mapping", mapped)):
        if given:
            message = f"`{setting}` can never act: `collect: none` waits for `{name}` to be absent"
            yield finding(
                "ARG317", message, draft.setting(name, setting), hint=f"remove `{setting}` or `collect`", at="key"
            )


def _constant(draft: Draft, name: str, spec: Attribute, setting: str, value: JSON) -> Iterator[Diagnostic]:
    here = draft.setting(name, setting)
    if value is UNSET:
        yield finding("ARG308", f"constant `{name}` has no value", here, hint="add `value:`", at="key")
    elif not _fits(value, spec.type):
        yield finding(
            "ARG304",
            f"`{name}` is declared `{spec.type}`, but its {setting} is {describe(value)}",
            here,
            hint=_conversion(value, spec.type, draft.native),
        )
    elif draft.native and isinstance(value, str) and _looks_like_json(value, spec.type):
        hint = f"write the value itself: `{setting}: {value}`" if spec.type != "string" else "remove the inner quotes"
        yield finding("ARG303", f"the {setting} of `{name}` is text that looks like JSON", here, hint=hint)


def _fits(value: JSON, declared: str | None) -> bool:
    if declared is None or declared == "any":
        return True
    if isinstance(value, bool):
        return declared == "boolean"
    return isinstance(value, _SCALAR_TYPES[declared])


def _conversion(value: JSON, declared: str | None, native: bool) -> str:
    if isinstance(value, str):
        decoded = _decoded(value)
        if decoded is not UNSET and _fits(decoded, declared):
            return f"write {value} without quotes"
    if declared == "string" and not isinstance(value, str):
        return (
            f'quote it: "{json.text(value)}"'
            if native
            else "write JSON text with quotes: " + json.text(json.text(json.text(value)))
        )
    return "change the value or the type"


def _looks_like_json(value: str, declared: str | None) -> bool:
    decoded = _decoded(value)
    if decoded is UNSET:
        return False
    # Text that is declared to be text may well be `5` or `true`, but hardly `"x"` with quotes.
    return isinstance(decoded, str | dict | list) if declared == "string" else True


def _decoded(value: str) -> JSON:
    try:
        return json.decode(value)
    except msgspec.DecodeError:
        return UNSET


def _meta(draft: Draft, name: str, spec: Attribute) -> Iterator[Diagnostic]:
    here = draft.setting(name, "key")
    if not spec.key:
        hint = f"add `key:` - one of {', '.join(META_KEYS)}"
        yield finding("ARG308", f"meta attribute `{name}` has no key", here, hint=hint, at="key")
    elif spec.key not in META_KEYS:
        yield finding("ARG309", f"`{spec.key}` is not a meta key", here, hint=did_you_mean(spec.key, META_KEYS))
    elif spec.key == "webhook_url" and draft.step.type in ("sync", "script", "flow"):
        message = f"a {draft.step.type} step has no webhook, so `{name}` will be absent"
        yield finding("ARG310", message, here, hint="remove the attribute, or change the type to async")


def _mapping(draft: Draft, name: str, spec: Attribute) -> Iterator[Diagnostic]:
    if spec.mapping is None:
        return
    if not spec.mapping.name and spec.mapping.script is None:
        here = draft.setting(name, "mapping")
        yield finding(
            "ARG312", f"the mapping of `{name}` maps nothing", here, hint="add `name:` or `script:`", at="key"
        )
    elif spec.mapping.name == name:
        here = (*draft.setting(name, "mapping"), "name")
        yield finding("ARG314", f"`{name}` is called `{name}` anyway", here, hint="remove `mapping.name`", at="key")


def _collisions(draft: Draft, side: str, names: Iterable[str]) -> Iterator[Diagnostic]:
    first: dict[str, str] = {}
    for name in names:
        inner = draft.step.attributes[name].inner_name(name)
        other = first.setdefault(inner, name)
        if other == name:
            continue
        renamed = name if inner != name else other
        here = (*draft.setting(renamed, "mapping"), "name")
        yield finding(
            "ARG313",
            f"two {side} are called `{inner}` inside the step: `{other}` and `{name}`",
            here,
            hint="choose another `mapping.name` for one of them",
            related=[Related("the other one", pointer=("attributes", other if renamed == name else name))],
        )
