"""When to try again, and after how long: full jitter, capped, with the other side's `Retry-After` honoured.

Pure arithmetic: the caller sleeps and brings the randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from argyll.client.errors import ClientError, Unavailable, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` counts the first call too. Waits grow from `base_s` by two to `cap_s`, each drawn between 0 and that.

    A `Retry-After` longer than `retry_after_cap_s` is not waited for: the error goes to the caller.
    """

    attempts: int = 4
    base_s: float = 0.1
    cap_s: float = 2.0
    retry_after_cap_s: float = 15.0

    def backoff_s(self, failures: int, entropy: Callable[[], float]) -> float:
        """The wait after the n-th failure in a row (1, 2, ...). `entropy` gives numbers in [0, 1)."""
        doublings = min(failures - 1, 32)
        return entropy() * min(self.cap_s, self.base_s * 2.0**doublings)

    def delay_s(
        self, failure: ClientError, failures: int, *, repeatable: bool, entropy: Callable[[], float]
    ) -> float | None:
        """The wait before the next attempt, or None when there must not be one.

        A call that is not repeatable is tried again only when it cannot have taken effect: it was never sent, or was
        turned away with 429.
        """
        if failures >= self.attempts:
            return None
        if isinstance(failure, Unreachable):
            return self.backoff_s(failures, entropy) if repeatable or not failure.sent else None
        if not isinstance(failure, Unavailable) or not (repeatable or failure.status == TOO_MANY_REQUESTS):
            return None
        wait_s = self.backoff_s(failures, entropy)
        if failure.retry_after_s is None:
            return wait_s
        return failure.retry_after_s + wait_s if failure.retry_after_s <= self.retry_after_cap_s else None
