"""A log that keeps nothing: for tests, and for trying things out without a disk.

Held to the same contract tests as the durable logs. It answers in a later turn of the loop, as they do.
"""

import asyncio
from typing import NamedTuple

from argyll.store.applied import AppliedIndex
from argyll.store.errors import NoOtherNode, StoreClosed, StoreError, StoreFailed
from argyll.store.log import Command, LogStatus, StateMachine

_TERM = 1


class _Proposal(NamedTuple):
    command: Command
    future: asyncio.Future[int]


class MemoryLog:
    """`ReplicatedLog` without a disk."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Proposal] = []
        self._applied = AppliedIndex(machine.applied_index)
        self._closing = False
        self._failure: StoreFailed | None = None

    def propose(self, command: bytes, *, command_id: bytes, context: object = None) -> asyncio.Future[int]:
        """See `ReplicatedLog.propose`."""
        future: asyncio.Future[int] = self._loop.create_future()
        refusal = self._refusal()
        if refusal is not None:
            future.set_exception(refusal)
            return future
        self._waiting.append(_Proposal(Command(command_id, command, context), future))
        if len(self._waiting) == 1:
            self._loop.call_soon(self._commit)
        return future

    async def read_barrier(self, timeout_ms: int) -> int:
        """See `ReplicatedLog.read_barrier`."""
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        return self._applied.value

    async def wait_applied(self, index: int, timeout_ms: int) -> None:
        """See `ReplicatedLog.wait_applied`."""
        await self._applied.wait(index, timeout_ms)

    async def transfer_leadership(self, to: str | None = None) -> None:
        """See `ReplicatedLog.transfer_leadership`."""
        raise NoOtherNode

    def release(self, index: int) -> None:
        """See `ReplicatedLog.release`: nothing is kept anyway."""

    def status(self) -> LogStatus:
        """See `ReplicatedLog.status`."""
        applied = self._applied.value
        return LogStatus(
            role="closed" if self._closing else "failed" if self._failure else "leader",
            term=_TERM,
            leader=None,
            first_index=applied + 1,
            last_index=applied,
            commit_index=applied,
            applied_index=applied,
            segments=0,
            bytes=0,
            in_flight_appends=len(self._waiting),
            in_flight_bytes=sum(len(proposal.command.body) for proposal in self._waiting),
            fsync="none",
            fsyncs=0,
            fsync_last_us=0,
            fsync_worst_us=0,
            cut_bytes=0,
            failure=str(self._failure) if self._failure else None,
        )

    async def close(self) -> None:
        """See `ReplicatedLog.close`."""
        self._closing = True
        if self._waiting:
            await asyncio.wait([proposal.future for proposal in self._waiting])
        self._applied.fail(StoreClosed())

    def _refusal(self) -> StoreError | None:
        return self._failure or (StoreClosed() if self._closing else None)

    def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        index = self._applied.value + 1
        try:
            outcomes = self._machine.apply(index, _TERM, [proposal.command for proposal in waiting])
        except Exception as error:  # noqa: BLE001 - a machine that cannot apply must stop acknowledging, whatever it is
            self._failure = StoreFailed("applying the log", error)
            self._applied.fail(self._failure)
            outcomes = [self._failure] * len(waiting)
        else:
            self._applied.advance(index)
        for (_, future), outcome in zip(waiting, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
