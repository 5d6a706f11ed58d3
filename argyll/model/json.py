"""JSON values: the one alias for them, and the one encoder and decoder.

Integers stay exact, NaN and infinities are refused by the encoder's callers (scripts reject them), object key order is
kept. Nothing here knows what the values mean.
"""

from typing import Any, TypeAlias

import msgspec

JSON: TypeAlias = Any
"""Any JSON value: None, bool, int, float, str, list of JSON, dict of str to JSON."""

_encoder = msgspec.json.Encoder()
_canonical_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()

encode = _encoder.encode
"""Compact JSON text of a value, as bytes."""

decode = _decoder.decode
"""The value of JSON text (bytes or str). Raises `msgspec.DecodeError`."""


def canonical(value: JSON) -> bytes:
    """Compact JSON text with sorted keys: equal values give equal bytes (and `1`, `1.0` and `true` differ)."""
    return _canonical_encoder.encode(value)


def text(value: JSON) -> str:
    """Compact JSON text of a value."""
    return _encoder.encode(value).decode()
