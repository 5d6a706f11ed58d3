"""Events on their way out: the envelope as bytes around the event's JSON text, which was encoded once, at its append.

REST (`aggregate_id`, RFC 3339) and WebSocket (`id`, milliseconds) differ only here (surface.md 2, 1.3).
"""

from struct import Struct as Layout
from typing import NamedTuple

from argyll.model import json
from argyll.model.times import US_PER_MS, to_rfc3339
from argyll.store import Aggregate, Record

_SHORT = Layout("!BB").pack
_MEDIUM = Layout("!BBH").pack
_LONG = Layout("!BBQ").pack
_FINAL_TEXT = 0x81


class Event(NamedTuple):
    """One committed event with its place."""

    aggregate: Aggregate
    sequence: int
    timestamp_us: int
    type: str
    data: bytes


def rest_event(aggregate_json: bytes, record: Record) -> bytes:
    """An event as the history answers show it."""
    return b'{"sequence":%d,"timestamp":"%b","type":"%b","aggregate_id":%b,"data":%b}' % (
        record.sequence,
        to_rfc3339(record.timestamp_us).encode(),
        record.type.encode(),
        aggregate_json,
        record.data,
    )


def socket_event(event: Event, sub_part: bytes) -> bytes:
    """An event as a WebSocket message. `sub_part` is from `sub_part()`."""
    return b'{"type":"%b",%b"id":%b,"data":%b,"timestamp":%d,"sequence":%d}' % (
        event.type.encode(),
        sub_part,
        json.encode(event.aggregate),
        event.data,
        event.timestamp_us // US_PER_MS,
        event.sequence,
    )


def sub_part(sub_id: str | None) -> bytes:
    """What names the subscription inside a message; empty for the short form."""
    return b"" if sub_id is None else b'"sub_id":%b,' % json.encode(sub_id)


def text_frame(message: bytes) -> bytes:
    """A server's WebSocket frame (RFC 6455 5.2): final, text, not masked."""
    size = len(message)
    if size < 126:
        return _SHORT(_FINAL_TEXT, size) + message
    if size < 65_536:
        return _MEDIUM(_FINAL_TEXT, 126, size) + message
    return _LONG(_FINAL_TEXT, 127, size) + message
