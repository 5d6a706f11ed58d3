"""`x-gitops`: how a step file is to be delivered. It is read where files are read, and never reaches an engine."""

from typing import Literal, cast

from msgspec import Struct

from argyll.analysis.diagnostics import Diagnostic, finding
from argyll.analysis.structure import check_fields
from argyll.model.json import JSON
from argyll.model.shape import Field, shape
from argyll.model.wire import JSONObject

KEY = "x-gitops"

Expressions = Literal["values", "scripts", "none"]

DELIVERY = shape(
    KEY,
    "How the file is delivered; no part of the step.",
    Field("moved_from", "list", "Ids that the step had before; their removal is part of a rename."),
    Field("envs", "list", "Environments that the step belongs to; absent means all."),
    Field("disabled", "boolean", "Checked like any other, but not delivered.", default=False),
    Field("expressions", "value", "`true` (default), `false` to take `${{ }}` as it stands, `scripts` to fill in scripts too."),
)  # fmt: skip

_EXPRESSIONS: dict[JSON, Expressions] = {True: "values", False: "none", "scripts": "scripts"}


class Delivery(Struct, frozen=True):
    """The settings of one step. `envs` empty means every environment."""

    moved_from: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    disabled: bool = False
    expressions: Expressions = "values"

    def belongs_to(self, env: str) -> bool:
        """Whether the step is for an environment; without one (empty) every step counts."""
        return not env or not self.envs or env in self.envs


DEFAULT = Delivery()


def read_delivery(value: JSON) -> tuple[Delivery, list[Diagnostic]]:
    """The settings, and the findings with pointers below `x-gitops`; what is faulty is passed over."""
    findings = [_below(found) for found in check_fields(value, DELIVERY)]
    faulty = {found.pointer[1:2] for found in findings}
    written = cast(JSONObject, value) if isinstance(value, dict) else {}
    sound: JSONObject = {key: item for key, item in written.items() if (key,) not in faulty}
    expressions: JSON = sound.get("expressions", True)
    if not isinstance(expressions, bool | str) or expressions not in _EXPRESSIONS:
        message = "`expressions` is `true`, `false` or `scripts`"
        findings.append(finding("ARG105", message, (KEY, "expressions"), hint="write one of the three"))
        expressions = True
    delivery = Delivery(
        moved_from=tuple(sound.get("moved_from") or ()),
        envs=tuple(sound.get("envs") or ()),
        disabled=sound.get("disabled", False),
        expressions=_EXPRESSIONS[expressions],
    )
    return delivery, findings


def _below(found: Diagnostic) -> Diagnostic:
    return finding(found.code, found.message, (KEY, *found.pointer), hint=found.hint, at=found.at)
