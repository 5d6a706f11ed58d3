"""What a client may say on the WebSocket, read strictly: both dialects (decisions 9) become the same two values.

A message that cannot be read is `BadMessage`, which names the field and the mend; the socket stays open.
"""

from typing import TypeVar, cast

import msgspec
from msgspec import Struct

from argyll.analysis.nearest import nearest
from argyll.model import json
from argyll.model.events import PAYLOADS
from argyll.model.json import JSON
from argyll.server.requests import misfits, placed
from argyll.store import Aggregate

ENGINE: Aggregate = ("engine",)
"""Stands for catalog and cluster together."""

_Shape = TypeVar("_Shape", bound=Struct)

_ENGINE_PARTS: tuple[Aggregate, ...] = (("catalog",), ("cluster",))


class BadMessage(Exception):
    """A message that means nothing. `sub_id` is the subscription that it named, if that much could be read."""

    def __init__(self, error: str, sub_id: str | None = None) -> None:
        super().__init__(error)
        self.sub_id = sub_id


class Subscribe(Struct, frozen=True):
    """`paths` as listed; `short` when in the form that names one aggregate and is answered with its state."""

    sub_id: str | None
    paths: tuple[Aggregate, ...]
    event_types: frozenset[str] | None
    include_state: bool
    from_sequence: int | None
    short: bool

    @property
    def key(self) -> str | Aggregate:
        """What a later message means by this subscription: its id, else the aggregate."""
        return self.paths[0] if self.sub_id is None else self.sub_id

    @property
    def prefixes(self) -> tuple[Aggregate, ...]:
        """What to listen to: `engine` resolved, no prefix under another, none listed twice."""
        wanted = {part for path in self.paths or ((),) for part in (_ENGINE_PARTS if path == ENGINE else (path,))}
        return tuple(sorted(p for p in wanted if not any(p[:n] in wanted for n in range(len(p)))))


class Unsubscribe(Struct, frozen=True):
    """`key` as in `Subscribe`; None names nothing and is acknowledged all the same."""

    sub_id: str | None
    aggregate_id: Aggregate | None

    @property
    def key(self) -> str | Aggregate | None:
        return self.aggregate_id if self.sub_id is None else self.sub_id


class _Message(Struct, forbid_unknown_fields=True):
    type: str
    data: JSON = None


class _LongSubscribe(Struct, forbid_unknown_fields=True):
    sub_id: str
    aggregate_ids: list[list[str]] | None = None
    event_types: list[str] | None = None
    include_state: bool | None = None
    from_sequence: int | None = None


class _ShortSubscribe(Struct, forbid_unknown_fields=True):
    aggregate_id: list[str]
    sub_id: str | None = None
    event_types: list[str] | None = None
    from_sequence: int | None = None


class _Unsubscribe(Struct, forbid_unknown_fields=True):
    sub_id: str | None = None
    aggregate_id: list[str] | None = None


def read_message(text: str) -> Subscribe | Unsubscribe:
    """The message in a text frame. Raises `BadMessage`."""
    try:
        value = json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadMessage(f"not a JSON object: {str(error)[:200]}") from error
    data: JSON = cast("dict[str, JSON]", value).get("data") if isinstance(value, dict) else None
    sub_id = _sub_id(data)
    message = _fit(_Message, value, "", sub_id)
    if message.type == "subscribe":
        return _subscribe(data, sub_id)
    if message.type == "unsubscribe":
        wanted = _fit(_Unsubscribe, data if data is not None else {}, "/data", sub_id)
        return Unsubscribe(wanted.sub_id, tuple(wanted.aggregate_id) if wanted.aggregate_id else None)
    raise BadMessage(f"/type: unknown type {message.type[:80]!r}; known: subscribe, unsubscribe", sub_id)


def _sub_id(data: JSON) -> str | None:
    sub_id = cast("dict[str, JSON]", data).get("sub_id") if isinstance(data, dict) else None
    return sub_id if isinstance(sub_id, str) else None


def _subscribe(data: JSON, sub_id: str | None) -> Subscribe:
    short = isinstance(data, dict) and "aggregate_id" in data
    if short:
        brief = _fit(_ShortSubscribe, data, "/data", sub_id)
        paths = (tuple(brief.aggregate_id),)
        include_state, event_types, from_sequence = True, brief.event_types, brief.from_sequence
    else:
        full = _fit(_LongSubscribe, data, "/data", sub_id)
        paths = tuple(dict.fromkeys(tuple(path) for path in full.aggregate_ids or ()))
        include_state, event_types, from_sequence = bool(full.include_state), full.event_types, full.from_sequence
    subscribe = Subscribe(sub_id, paths, _known_types(event_types, sub_id), include_state, from_sequence, short)
    if from_sequence is not None:
        _check_replay(subscribe, from_sequence)
    return subscribe


def _known_types(names: list[str] | None, sub_id: str | None) -> frozenset[str] | None:
    if not names:
        return None
    for index, name in enumerate(names):
        if name not in PAYLOADS:
            near = nearest(name[:80], PAYLOADS)
            hint = f"; did you mean `{near}`?" if near else ""
            raise BadMessage(f"/data/event_types/{index}: no event type is called {name[:80]!r}{hint}", sub_id)
    return frozenset(names)


def _check_replay(subscribe: Subscribe, from_sequence: int) -> None:
    if from_sequence < 0:
        raise BadMessage(f"/data/from_sequence: {from_sequence} is below 0", subscribe.sub_id)
    for prefix in subscribe.prefixes:
        if not is_aggregate(prefix):
            shown = json.text(prefix)
            raise BadMessage(
                f"/data/from_sequence: {shown} has no history of its own; "
                'list aggregates such as ["flow", "<id>"], ["catalog"] or ["cluster"]',
                subscribe.sub_id,
            )


def is_aggregate(path: Aggregate) -> bool:
    """Whether a path is one aggregate rather than a prefix of many."""
    return path in _ENGINE_PARTS or (len(path) == 2 and path[0] in ("flow", "source"))


def _fit(shape: type[_Shape], value: JSON, place: str, sub_id: str | None) -> _Shape:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        texts = [placed(found, within=place) for found in misfits(shape, value)]
        raise BadMessage("; ".join(texts) or str(error), sub_id) from error
