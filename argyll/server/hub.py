"""From one committed append to every subscriber: matches, encodes each message once, writes in batches.

Called by the engine on its loop for every append, so it neither waits nor reads.
"""

import asyncio
from collections.abc import Callable

from argyll.server.connection import Connection
from argyll.server.envelopes import Event, socket_event, text_frame
from argyll.server.subscriptions import Subscription, SubscriptionIndex
from argyll.store import Committed

FLUSH_REST = 2.0
"""After a round of writes that took t seconds the next comes no sooner than FLUSH_REST * t later: with few subscribers a
message leaves in the turn it was committed, with many they travel in batches and writing never takes over the loop."""

GOING_AWAY = 1001
TRY_AGAIN = 1013


class Hub:
    """All WebSocket subscriptions of a node. `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._index: SubscriptionIndex[Connection] = SubscriptionIndex()
        self._connections: set[Connection] = set()
        self._waiting: list[Connection] = []
        self._flush_at_s = 0.0
        self.closing = False
        """No new socket may join."""

    @property
    def connections(self) -> int:
        """Open sockets."""
        return len(self._connections)

    def join(self, connection: Connection) -> None:
        """Count a new socket."""
        self._connections.add(connection)

    def leave(self, connection: Connection) -> None:
        """The socket is gone; its subscriptions were removed before."""
        self._connections.discard(connection)

    def add(self, subscription: Subscription[Connection]) -> None:
        """Events of the next append on go to the subscription, through its gate."""
        self._index.add(subscription)

    def remove(self, subscription: Subscription[Connection]) -> None:
        """No event goes to the subscription any more."""
        self._index.remove(subscription)

    def publish(self, committed: Committed) -> None:
        """Send the events of an append to whoever wants them."""
        buckets = self._index.buckets(committed.aggregate)
        if not buckets:
            return
        sequence = committed.first_sequence
        for event_type, data in committed.events:
            event: Event | None = None
            frames: dict[bytes, bytes] = {}
            for subscription in self._index.matching(buckets, event_type):
                if event is None:
                    event = Event(committed.aggregate, sequence, committed.timestamp_us, event_type, data)
                if subscription.gate is not None and not admit(subscription, event):
                    continue
                frame = frames.get(subscription.part)
                if frame is None:
                    frame = frames[subscription.part] = text_frame(socket_event(event, subscription.part))
                subscription.to.send(frame)
            sequence += 1

    def wake(self, connection: Connection) -> None:
        """A connection has something to write: see to it in this turn of the loop or, after much writing, a bit later."""
        self._waiting.append(connection)
        if len(self._waiting) > 1:
            return
        loop = asyncio.get_running_loop()
        delay_s = self._flush_at_s - self._now_s()
        if delay_s <= 0:
            loop.call_soon(self._flush)
        else:
            loop.call_later(delay_s, self._flush)

    def _flush(self) -> None:
        started_s = self._now_s()
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()
        ended_s = self._now_s()
        self._flush_at_s = ended_s + (ended_s - started_s) * FLUSH_REST

    def start_over(self) -> None:
        """Events were missed that nobody can send: close every socket with 1013, so that its client resumes by sequence."""
        for connection in list(self._connections):
            connection.close(TRY_AGAIN, "events were missed; resume from the last sequence")

    async def close(self) -> None:
        """Send what waits, then close every socket with 1001."""
        self.closing = True
        endings: list[asyncio.Task[None]] = []
        for connection in self._connections:
            connection.flush()
            endings.append(connection.close(GOING_AWAY, "the node is shutting down"))
        await asyncio.gather(*endings, return_exceptions=True)


def admit(subscription: Subscription[Connection], event: Event) -> bool:
    """Whether the subscription's gate lets an event out now. A gate that keeps too much ends the connection."""
    gate = subscription.gate
    if gate is None:
        return True
    admitted = gate.admit(event)
    if gate.open:
        subscription.gate = None
    elif not admitted:
        subscription.to.hold(gate.waiting)
    return admitted
