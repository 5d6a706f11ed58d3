"""What a node needs of its state machine to hand its whole state to a node that is too far behind, and to take one over.

Interfaces only; files and threads are the implementation's.
"""

from collections.abc import Callable
from typing import Protocol

from argyll.store.log import StateMachine


class Snapshot(Protocol):
    """A state of the machine that does not change any more, as `size` bytes."""

    @property
    def index(self) -> int:
        """The last entry applied in it."""
        ...

    @property
    def term(self) -> int:
        """That entry's term."""
        ...

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes: ...

    def close(self) -> None:
        """It is not read any more."""
        ...


class Incoming(Protocol):
    """A state that arrives in pieces."""

    def write(self, offset: int, data: bytes) -> None: ...

    def finish(self, done: Callable[[Exception | None], None]) -> None:
        """Make what was written durable and check it; `done` is called later."""
        ...

    def close(self) -> None:
        """Drop what arrived, unless the machine took it over."""
        ...


class SnapshotMachine(StateMachine, Protocol):
    """A state machine of a cluster."""

    @property
    def applied_term(self) -> int:
        """Term of the entry `applied_index`; 0 if unknown."""
        ...

    def take_snapshot(self, done: Callable[[Snapshot | Exception], None]) -> None:
        """Prepare the present state for sending; `done` is called later."""
        ...

    def receive_snapshot(self) -> Incoming:
        """Get ready for a state of another node. Raises OSError."""
        ...

    def replace(self, incoming: Incoming) -> None:
        """Take over a finished state, durably, in place of all that was applied. Raises `StoreFailed`."""
        ...
