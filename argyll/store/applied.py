"""How far a node has applied its log, and who waits for it to get further."""

import asyncio

from argyll.store.errors import BarrierTimeout


class AppliedIndex:
    """A number that only grows; readers wait for it to reach theirs."""

    def __init__(self, value: int) -> None:
        self.value = value
        self._failure: Exception | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._watched: set[asyncio.Future[int]] = set()

    def advance(self, index: int) -> None:
        """The entry is applied: wake who waited for it."""
        self.value = index
        if not self._waiters:
            return
        for wanted, waiter in self._waiters:
            if wanted <= index and not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """It will never advance again: whoever waits, or comes to wait, gets `error`."""
        self._failure = error
        for waiter in [*(waiter for _, waiter in self._waiters), *self._watched]:
            if not waiter.done():
                waiter.set_exception(error)

    def watch(self, future: asyncio.Future[int]) -> None:
        """Let `fail` fail this future too."""
        self._watched.add(future)

    def unwatch(self, future: asyncio.Future[int]) -> None:
        self._watched.discard(future)

    async def wait(self, index: int, timeout_ms: int) -> None:
        """Return once `index` is applied. Raises `BarrierTimeout`, or what `fail` was told."""
        if index <= self.value:
            return
        if self._failure is not None:
            raise self._failure
        entry = (index, asyncio.get_running_loop().create_future())
        self._waiters.append(entry)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await entry[1]
        except TimeoutError:
            raise BarrierTimeout(index, self.value, timeout_ms) from None
        finally:
            self._waiters.remove(entry)
