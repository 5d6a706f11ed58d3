"""Moments are integers: microseconds since the Unix epoch, UTC; 0 means unset. Here they become text and back."""

from datetime import UTC, datetime

US_PER_MS = 1_000
US_PER_S = 1_000_000


def to_rfc3339(at_us: int) -> str:
    """`2026-01-02T03:04:05.000006Z`, always with microseconds (decisions 7)."""
    return datetime.fromtimestamp(at_us // US_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_us % US_PER_S:06d}Z"


def from_rfc3339(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 moment with any offset. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds
