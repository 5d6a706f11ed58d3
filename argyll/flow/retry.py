"""When failed work is tried again: how often and after how long (execution.md 8.3)."""

from collections.abc import Callable

from argyll.model.step import WorkConfig
from argyll.model.times import US_PER_MS

_MAX_DOUBLINGS = 62
"""Beyond this 2**n exceeds every cap; the delay saturates instead of overflowing (decisions 26)."""

MAX_RETRY_DELAY_MS = 365 * 24 * 3600 * 1000
"""No wait is longer, whatever cap a step declares: a later moment may not be representable."""


def retry_allowed(work: WorkConfig, retry_count: int) -> bool:
    """Whether one more retry may follow `retry_count` retries."""
    return work.retry_limit < 0 or retry_count < work.retry_limit


def retry_delay_us(work: WorkConfig, retry_count: int, random: Callable[[], float], retry_after_ms: int = 0) -> int:
    """Microseconds to wait before the retry that follows `retry_count` retries; never more than `max_backoff_ms`
    (or `MAX_RETRY_DELAY_MS`).

    A service's `Retry-After` (`retry_after_ms`, 0 when it gave none) lengthens the wait up to the cap. Jitter, when the
    step asks for it, takes up to half of the wait away.
    """
    init_ms, cap_ms = work.init_backoff_ms, min(work.max_backoff_ms, MAX_RETRY_DELAY_MS)
    match work.backoff_type:
        case "linear":
            delay_ms = init_ms * (retry_count + 1)
        case "exponential":
            delay_ms = init_ms << min(retry_count, _MAX_DOUBLINGS)
        case _:
            delay_ms = init_ms
    delay_us = min(delay_ms, cap_ms) * US_PER_MS
    if work.jitter:
        delay_us -= int(delay_us * random() / 2)
    return max(delay_us, min(retry_after_ms, cap_ms) * US_PER_MS)
