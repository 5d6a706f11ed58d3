"""What goes into the store and what comes out: appends, records, committed notices, options, the byte form of an append.

Pure data and its encoding. An event's JSON text is encoded once by the caller; here it is only ever copied.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import msgspec

Aggregate: TypeAlias = tuple[str, ...]
"""Whose history it is: `("catalog",)`, `("cluster",)`, `("flow", "<id>")`."""

STATUSES = ("active", "completed", "failed")
COMMAND_ID_BYTES = 16
MAX_SEQUENCE = (1 << 32) - 1
MAX_EVENT_TYPE_BYTES = 65_535

_APPEND_FORMAT = 1
_HAS_AFTER = 1
_HAS_INDEX = 2
# format, flags, aggregate bytes, event count, index bytes, timestamp_us, expected sequence
_HEADER = struct.Struct("<BBHIIqQ")
_FRAME = struct.Struct("<HI")  # bytes of the type, bytes of the data


class NewEvent(NamedTuple):
    """One event to append; `data` is the text of a JSON object."""

    type: str
    data: bytes


class Record(NamedTuple):
    """One stored event. `timestamp_us` is microseconds since the epoch, the time of its append."""

    sequence: int
    timestamp_us: int
    type: str
    data: bytes


class IndexUpdate(msgspec.Struct, frozen=True):
    """What an append changes in the flow list, atomically with its events.

    The last `status` wins and takes the append's timestamp; labels merge, an empty value removes one;
    `root=False` marks a child flow, which is never listed.
    """

    status: str | None = None
    labels: dict[str, str] | None = None
    error: str | None = None
    root: bool = True


class Append(msgspec.Struct):
    """One ordered, all-or-nothing batch of events of one aggregate.

    `expected_sequence` is the aggregate's next sequence, counting appends of this process still in flight.
    `context` is never stored; the commit listener of this process gets it back.
    """

    aggregate: Aggregate
    expected_sequence: int
    timestamp_us: int
    events: list[NewEvent]
    index: IndexUpdate | None = None
    context: object = None


class Committed(msgspec.Struct):
    """An append that is durable and applied on this node. `context` is None when another node appended it."""

    aggregate: Aggregate
    first_sequence: int
    timestamp_us: int
    events: list[NewEvent]
    context: object = None
    index: IndexUpdate | None = None


_POSITIVE_OPTIONS = (
    "segment_bytes",
    "max_append_bytes",
    "max_in_flight_bytes",
    "max_in_flight_appends",
    "flush_appends",
    "flush_delay_ms",
    "checkpoint_bytes",
    "cached_aggregates",
)


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and choices of one store; sizes in bytes."""

    fsync: Literal["auto", "thread", "inline"] = "auto"
    """Where the disk is waited for: `auto` measures it at start and waits on the loop when it is quick."""
    segment_bytes: int = 64 << 20
    max_append_bytes: int = 16 << 20
    max_in_flight_bytes: int = 64 << 20
    max_in_flight_appends: int = 65_536
    flush_appends: int = 256
    """Rows go to state.db when this many wait ..."""
    flush_delay_ms: int = 50
    """... or after this long."""
    checkpoint_bytes: int = 32 << 20
    """Bytes of rows written to state.db between two of its checkpoints."""
    cached_aggregates: int = 65_536
    """Aggregates whose next sequence stays in memory; the longest known are forgotten first."""
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    new_session: Callable[[], bytes] = partial(os.urandom, 8)
    """Eight bytes that no other opening of the store shares; the first half of every command id."""

    def __post_init__(self) -> None:
        for name in _POSITIVE_OPTIONS:
            if getattr(self, name) < 1:
                raise ValueError(f"store option {name} is {getattr(self, name)}; it must be 1 or more")
        if self.fsync not in {"auto", "thread", "inline"}:
            raise ValueError(f"store option fsync is {self.fsync!r}; it must be auto, thread or inline")


class PreparedAppend(msgspec.Struct):
    """An append with its stored form: `after` is the command it was built on while that was in flight."""

    aggregate: Aggregate
    name: str
    """The aggregate as JSON text, its key in state.db."""
    expected_sequence: int
    timestamp_us: int
    count: int
    after: bytes | None
    index: IndexUpdate | None
    frames: bytes
    """The framed events, exactly as kept in state.db."""
    source: Append | None


_index_encoder = msgspec.json.Encoder()
_index_decoder = msgspec.json.Decoder(IndexUpdate)
_name_encoder = msgspec.json.Encoder()
_name_decoder = msgspec.json.Decoder(tuple[str, ...])


def aggregate_name(aggregate: Aggregate) -> str:
    """The aggregate as JSON text: its key on disk."""
    return _name_encoder.encode(aggregate).decode()


def check_append(append: Append) -> None:
    """Raise ValueError for an append no history could accept: a mistake of the caller, found before anything is written."""
    if not append.events:
        raise ValueError(f"{append.aggregate}: an append needs at least one event")
    if not append.aggregate or not 0 <= append.expected_sequence <= MAX_SEQUENCE - len(append.events):
        raise ValueError(f"{append.aggregate}: an append needs an aggregate and a sequence from 0 to {MAX_SEQUENCE}")
    index = append.index
    if index is None:
        return
    if len(append.aggregate) != 2 or append.aggregate[0] != "flow":
        raise ValueError(f'{append.aggregate}: only ("flow", id) aggregates are indexed; leave index out')
    if index.status is not None and index.status not in STATUSES:
        raise ValueError(f"{append.aggregate}: status {index.status!r} is not one of {', '.join(STATUSES)}")


def prepare(append: Append, after: bytes | None) -> tuple[bytes, PreparedAppend]:
    """The append as command bytes, and as the machine applies it. Raises ValueError for an event type too long."""
    parts: list[bytes] = []
    frame = _FRAME.pack
    for kind, data in append.events:
        kind_bytes = kind.encode()
        if len(kind_bytes) > MAX_EVENT_TYPE_BYTES:
            raise ValueError(
                f"{append.aggregate}: an event type of {len(kind_bytes)} bytes, {MAX_EVENT_TYPE_BYTES} is the most"
            )
        parts += (frame(len(kind_bytes), len(data)), kind_bytes, data)
    frames = b"".join(parts)
    name = _name_encoder.encode(append.aggregate)
    index = b"" if append.index is None else _index_encoder.encode(append.index)
    flags = (_HAS_AFTER if after else 0) | (_HAS_INDEX if index else 0)
    count = len(append.events)
    timestamp_us = append.timestamp_us
    expected = append.expected_sequence
    header = _HEADER.pack(_APPEND_FORMAT, flags, len(name), count, len(index), timestamp_us, expected)
    command = b"".join((header, after or b"", name, index, frames))
    prepared = PreparedAppend(
        append.aggregate, name.decode(), expected, timestamp_us, count, after, append.index, frames, append
    )
    return command, prepared


def decode_append(command: bytes) -> PreparedAppend:
    """The append in command bytes read from a log. Raises ValueError for bytes this release cannot read."""
    try:
        return _decode_append(command)
    except (struct.error, msgspec.DecodeError) as error:
        raise ValueError(f"not an append: {error}") from error


def _decode_append(command: bytes) -> PreparedAppend:
    version, flags, name_bytes, count, index_bytes, timestamp_us, expected = _HEADER.unpack_from(command)
    if version != _APPEND_FORMAT:
        raise ValueError(f"append format {version}, this release reads {_APPEND_FORMAT}; run the newer release")
    offset = _HEADER.size
    after = None
    if flags & _HAS_AFTER:
        after = command[offset : offset + COMMAND_ID_BYTES]
        offset += COMMAND_ID_BYTES
    name = command[offset : offset + name_bytes].decode()
    offset += name_bytes
    index = _index_decoder.decode(command[offset : offset + index_bytes]) if flags & _HAS_INDEX else None
    frames = command[offset + index_bytes :]
    return PreparedAppend(
        _name_decoder.decode(name), name, expected, timestamp_us, count, after, index, frames, source=None
    )


def read_frames(frames: bytes) -> Iterator[NewEvent]:
    """The events in one append's stored form."""
    offset, end = 0, len(frames)
    while offset < end:
        type_bytes, data_bytes = _FRAME.unpack_from(frames, offset)
        middle = offset + _FRAME.size + type_bytes
        offset_next = middle + data_bytes
        yield NewEvent(frames[offset + _FRAME.size : middle].decode(), frames[middle:offset_next])
        offset = offset_next
