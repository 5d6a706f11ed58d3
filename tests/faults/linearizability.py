"""Whether a recorded history of one aggregate could have happened on a single machine, one operation at a time.

The final order of the appends is known, so no search is needed: each operation is given the earliest moment it can have.
"""

from typing import NamedTuple

NEVER = float("inf")


class Operation(NamedTuple):
    """From `call_s` to `return_s` (`NEVER` if nobody knows how it ended)."""

    call_s: float
    return_s: float


class Read(NamedTuple):
    """A read that found `length` events."""

    call_s: float
    return_s: float
    length: int


def first_anomaly(appends: list[Operation], reads: list[Read]) -> str | None:
    """What could not have happened, in words; None when everything could. `appends` in the order they took effect."""
    waiting: dict[int, list[Read]] = {}
    for read in reads:
        waiting.setdefault(read.length, []).append(read)
    now_s = -NEVER
    for length in range(len(appends) + 1):
        latest_s = now_s
        for read in waiting.pop(length, []):
            at_s = max(now_s, read.call_s)
            if at_s > read.return_s:
                return (
                    f"a read that returned at {read.return_s:.4f} found {length} events, more were there at {now_s:.4f}"
                )
            latest_s = max(latest_s, at_s)
        if length == len(appends):
            break
        now_s = max(latest_s, appends[length].call_s)
        if now_s > appends[length].return_s:
            return f"append {length} returned at {appends[length].return_s:.4f} and took effect after {now_s:.4f}"
    return f"reads found {sorted(waiting)} events, {len(appends)} were appended" if waiting else None
