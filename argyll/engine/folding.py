"""Folds the small aggregates (catalog, cluster) from the log at start, from a snapshot on when there is one."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from argyll.model.events import Payload, decode_payload
from argyll.store import Aggregate, Store

SNAPSHOT_AFTER_EVENTS = 256
"""A fold that took more events than this leaves a snapshot behind."""


class Folded(Protocol):
    """A state that counts its events."""

    sequence: int


S = TypeVar("S", bound=Folded)


def fold(store: Store, aggregate: Aggregate, empty: S, apply: Callable[[S, Payload | None, int], None]) -> S:
    """The committed state of an aggregate."""
    snapshot = store.snapshot(aggregate)
    state = msgspec.msgpack.decode(snapshot[1], type=type(empty)) if snapshot is not None else empty
    records = store.read_events(aggregate, state.sequence)
    for record in records:
        apply(state, decode_payload(record.type, record.data), record.timestamp_us)
    if len(records) > SNAPSHOT_AFTER_EVENTS:
        store.save_snapshot(aggregate, state.sequence, msgspec.msgpack.encode(state))
    return state
