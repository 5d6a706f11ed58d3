"""The bodies of requests as typed values, and everything that is wrong with one that does not fit.

Only shapes: whether a goal exists or a flow may start is the engine's to say.
"""

import re
from collections.abc import Sequence
from typing import Generic, TypeVar, cast, get_args

import msgspec
from msgspec import Struct

from argyll.analysis.nearest import did_you_mean
from argyll.model.flow import FlowStatus
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON
from argyll.model.limits import MAX_FLOWS_PAGE
from argyll.server.bodies import bad_json, check_depth, decode_body
from argyll.server.problems import BadRequest, Finding, finding, pointer

CONSISTENCY = "consistency"
"""The query parameter of every GET: `local` shows what this node knows, `linearizable` what any node acknowledged."""
FLOW_STATUSES: tuple[str, ...] = get_args(FlowStatus)
SORTS = ("recent_asc", "recent_desc")


class StartFlow(Struct, forbid_unknown_fields=True):
    """`POST /engine/flow`."""

    id: str
    goals: list[str]
    init: dict[str, JSON] | None = None
    labels: dict[str, str] | None = None


class PreviewPlan(Struct, forbid_unknown_fields=True):
    """`POST /engine/plan`."""

    goals: list[str]
    init: dict[str, JSON] | None = None


class QueryFlows(Struct, forbid_unknown_fields=True):
    """`POST /engine/flow/query` (surface.md 4)."""

    id_prefix: str | None = None
    labels: dict[str, str] | None = None
    statuses: list[str] | None = None
    limit: int | None = None
    cursor: str | None = None
    sort: str | None = None


class Transfer(Struct, forbid_unknown_fields=True):
    """`POST /engine/raft/transfer`; without `to` the engine chooses."""

    to: str | None = None


Shape = TypeVar("Shape", bound=Struct)


class BodyReader(Generic[Shape]):
    """Reads bodies of one shape."""

    def __init__(self, shape: type[Shape]) -> None:
        self._shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    def __call__(self, body: bytes) -> Shape:
        """The body's value. Raises `BadRequest` with a finding for each field that does not fit."""
        try:
            value = self._decode(body)
        except msgspec.ValidationError as error:
            findings = misfits(self._shape, decode_body(body)) or [finding("", "wrong_type", str(error))]
            raise refusal(findings) from error
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise bad_json(body, error) from error
        check_depth(body, value)
        return value


read_start = BodyReader(StartFlow)
read_preview = BodyReader(PreviewPlan)
read_query = BodyReader(QueryFlows)
read_transfer = BodyReader(Transfer)


def refusal(findings: Sequence[Finding]) -> BadRequest:
    """One problem out of many findings; the text names each place."""
    return BadRequest("; ".join(placed(found) for found in findings), errors=findings)


def placed(found: Finding, within: str = "") -> str:
    """A finding as text: the place (`within` stands before its path), then what is wrong."""
    path = within + found["path"]
    return f"{path}: {found['message']}" if path else found["message"]


def misfits(shape: type[Struct], value: JSON) -> list[Finding]:
    """Each field of a JSON object that a shape does not know, misses or reads differently. Paths are JSON pointers."""
    if not isinstance(value, dict):
        return [finding("", "wrong_type", "expected an object")]
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    given = cast("dict[str, JSON]", value)
    findings = [_unknown_field(name, list(fields)) for name in given if name not in fields]
    for name, field in fields.items():
        if name in given:
            findings += _misfit(pointer(name), given[name], field.type)
        elif field.required:
            findings.append(finding(pointer(name), "missing_field", f"field {name!r} is missing"))
    return findings


def _misfit(path: str, value: JSON, wanted: type) -> list[Finding]:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        text = str(error)
        place = re.search(r" - at `\$(.*)`$", text)
        message, inner = (text[: place.start()], place[1]) if place else (text, "")
        if "[...]" in inner and isinstance(value, dict) and len(cast("dict[str, JSON]", value)) > 1:
            # msgspec does not say which key of an object it means.
            items = cast("dict[str, JSON]", value).items()
            return [found for key, item in items for found in _misfit(path, {key: item}, wanted)]
        if isinstance(value, dict):
            inner = inner.replace("[...]", pointer(next(iter(cast("dict[str, JSON]", value)))), 1)
        at = path + re.sub(r"\[(\d+)\]", r"/\1", inner)
        return [finding(at, "wrong_type", message[0].lower() + message[1:])]
    return []


def _unknown_field(name: str, known: Sequence[str]) -> Finding:
    return finding(pointer(name), "unknown_field", f"unknown field {name[:80]!r}; {did_you_mean(name, known)}")


def init_candidates(init: dict[str, JSON] | None) -> dict[str, list[JSON]]:
    """Candidate values by name: an array lists them, anything else is one, `[]` and null are none (decisions 2)."""
    if not init:
        return {}
    return {
        name: value if isinstance(value, list) else [value]
        for name, value in init.items()
        if value is not None and value != []
    }


def check_query(query: QueryFlows) -> None:
    """Refuse a query with values out of range. Raises `BadRequest`."""
    findings: list[Finding] = []
    prefix = query.id_prefix or ""
    # `-` at the ends belongs to a prefix, though never to a whole id.
    if sanitize_id(f"x{prefix.lower()}x") != f"x{prefix.lower()}x":
        findings.append(
            finding("/id_prefix", "bad_value", f"{prefix!r} holds what no flow id holds; use a-z 0-9 _ . - +")
        )
    for name, value in (query.labels or {}).items():
        if not name or not value:
            findings.append(finding("/labels", "bad_value", f"label {name!r}: name and value must not be empty"))
    for index, status in enumerate(query.statuses or ()):
        if status not in FLOW_STATUSES:
            known = ", ".join(FLOW_STATUSES)
            findings.append(finding(f"/statuses/{index}", "bad_value", f"{status!r} is not one of {known}"))
    if not 0 <= (query.limit or 0) <= MAX_FLOWS_PAGE:
        message = f"{query.limit} is not within 0 (all) and MAX_FLOWS_PAGE, {MAX_FLOWS_PAGE}"
        findings.append(finding("/limit", "bad_value", message))
    if query.sort and query.sort not in SORTS:
        findings.append(finding("/sort", "bad_value", f"{query.sort!r} is not one of {', '.join(SORTS)}"))
    if findings:
        raise refusal(findings)
