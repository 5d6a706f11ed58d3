"""What can be read of a definition, faulty parts left out, so that one report holds all findings.

The rules look at drafts: they never see a part without the right shape, and they know which parts were left out, so
that they do not report what only follows from that.
"""

from collections.abc import Iterable
from typing import cast

from msgspec import Struct

from argyll.analysis.diagnostics import Diagnostic, Pointer
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import JSONObject, Malformed, step_from_json

_PASSED_OVER = frozenset({"ARG101", "ARG112", "ARG301", "ARG306", "ARG311"})
"""Findings about one key that does not belong where it stands; the rest of its owner is sound."""


class Draft(Struct, frozen=True):
    """A step as far as it could be read; `id`, `name` and `type` are empty where they are faulty.

    `value` is the definition as written. `broken` names the attributes and the top-level keys that were left out.
    """

    step: Step
    value: JSONObject
    native: bool
    broken_attributes: frozenset[str] = frozenset()
    broken_keys: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether nothing that could be called from a URL or a script was left out."""
        return not self.broken_attributes and "attributes" not in self.broken_keys

    def setting(self, attribute: str, name: str) -> Pointer:
        """Where a setting of an attribute stands, flat or nested; the attribute itself when it is not given."""
        here: Pointer = ("attributes", attribute)
        spec = cast(JSONObject, self.value["attributes"][attribute])
        if name in spec:
            return (*here, name)
        block = spec.get(spec["role"])
        return (*here, spec["role"], name) if isinstance(block, dict) and name in block else here


def read_draft(value: JSON, findings: Iterable[Diagnostic], *, native: bool) -> Draft | None:
    """The draft of a value with these findings of shape; None when even the rest of it cannot be read."""
    if not isinstance(value, dict):
        return None
    written = cast(JSONObject, value)
    pruned = written
    faults = list(findings)
    for found in faults:
        pruned = _without(pruned, _faulty_part(found))
    defaults: JSONObject = {"id": "", "name": "", "type": ""}
    try:
        step = step_from_json(defaults | pruned, native=native)
    except Malformed:
        if not faults:
            raise
        return None
    kept = pruned.get("attributes") or {}
    attributes = written.get("attributes")
    return Draft(
        step,
        written,
        native,
        frozenset(name for name in attributes if name not in kept) if isinstance(attributes, dict) else frozenset(),
        frozenset(key for key in written if key not in pruned),
    )


def _faulty_part(found: Diagnostic) -> Pointer:
    """The smallest part without which the rest can be read."""
    pointer = found.pointer
    if found.code in _PASSED_OVER:
        return pointer
    if pointer[:1] == ("attributes",):
        return pointer if pointer[2:] == ("type",) else pointer[:2]
    if pointer[:1] == ("http",) and pointer[1:] not in ((), ("endpoint",)):
        return pointer
    return pointer[:1]


def _without(value: JSONObject, pointer: Pointer) -> JSONObject:
    """A copy without what the pointer names; what other parts share stays shared."""
    if not pointer or not isinstance(pointer[0], str) or pointer[0] not in value:
        return value
    key, rest = pointer[0], pointer[1:]
    if not rest:
        return {name: item for name, item in value.items() if name != key}
    inner = value[key]
    return {**value, key: _without(cast(JSONObject, inner), rest)} if isinstance(inner, dict) else value
