"""Remembers, by receipt token, what each work item was answered, so that a repeated call runs nothing twice.

In memory and bounded: a restarted service has forgotten. Only final answers are kept, because the engine repeats a
token on purpose after a retryable one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

DEFAULT_CAPACITY = 4096
"""Answers kept; the one used longest ago goes first. Calls under way are never dropped."""


class _Final(Protocol):
    @property
    def final(self) -> bool: ...


T = TypeVar("T", bound=_Final)


class ReceiptBook(Generic[T]):
    """`once(key, run)` gives the recorded outcome of `key`, or runs, recording the outcome if it is final."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"receipts is {capacity}: keep at least 1 answer")
        self._capacity = capacity
        self._recorded: OrderedDict[Hashable, T] = OrderedDict()
        self._running: dict[Hashable, asyncio.Future[T]] = {}

    async def once(self, key: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        """A call that comes while another with the same key is under way waits for that one and shares its outcome.

        When the one under way is cancelled or raises, a waiting call takes its place.
        """
        while key in self._running:
            running = self._running[key]
            await asyncio.wait([running])
            if not running.cancelled():
                return running.result()
        if key in self._recorded:
            self._recorded.move_to_end(key)
            return self._recorded[key]
        return await self._run(key, run)

    async def _run(self, key: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._running[key] = future
        try:
            outcome = await run()
            if outcome.final:
                self._record(key, outcome)
            future.set_result(outcome)
            return outcome
        finally:
            del self._running[key]
            if not future.done():
                future.cancel()

    def _record(self, key: Hashable, outcome: T) -> None:
        self._recorded[key] = outcome
        while len(self._recorded) > self._capacity:
            self._recorded.popitem(last=False)
