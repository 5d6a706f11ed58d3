"""Who wants which event: subscriptions indexed by prefix and event type, and what holds one back while it catches up.

Pure book-keeping: nothing here reads state or writes to a socket.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from argyll.server.envelopes import Event, sub_part
from argyll.server.messages import Subscribe
from argyll.store import Aggregate


class Gate:
    """Lets a subscription catch up without a gap or a duplicate, while events keep being committed.

    Shut at first: everything waits. Then, per aggregate, either replaying (its history is being read) or bounded
    (events below the boundary are already in what was sent). A gate with nothing left in it is `open`.
    """

    __slots__ = ("_boundaries", "_replaying", "_shut", "_waiting")

    def __init__(self) -> None:
        self._shut = True
        self._waiting: list[Event] = []
        self._replaying: dict[Aggregate, list[Event] | None] = {}
        self._boundaries: dict[Aggregate, int] = {}

    @property
    def open(self) -> bool:
        """Whether the gate has become needless."""
        return not (self._shut or self._replaying or self._boundaries)

    @property
    def waiting(self) -> int:
        """How many events it keeps."""
        return len(self._waiting) + sum(len(events) for events in self._replaying.values() if events)

    def admit(self, event: Event) -> bool:
        """Whether the event may go out now; if not, it is kept or known to be superfluous."""
        if self._shut:
            self._waiting.append(event)
            return False
        if event.aggregate in self._replaying:
            kept = self._replaying[event.aggregate]
            if kept is not None:
                kept.append(event)
            return False
        boundary = self._boundaries.get(event.aggregate)
        if boundary is None:
            return True
        if event.sequence < boundary:
            return False
        del self._boundaries[event.aggregate]
        return True

    def unshut(self, boundaries: dict[Aggregate, int], replay: tuple[Aggregate, ...]) -> list[Event]:
        """State was read up to `boundaries`; `replay` is about to be. Returns what may go out now, in order."""
        self._shut = False
        self._boundaries = dict(boundaries)
        self._replaying = dict.fromkeys(replay)
        waiting, self._waiting = self._waiting, []
        return [event for event in waiting if self.admit(event)]

    def reading(self, aggregate: Aggregate) -> None:
        """A page of the aggregate's history is asked for now: from here on its events may be missing in it."""
        self._replaying[aggregate] = []

    def read_more(self, aggregate: Aggregate) -> None:
        """The page was not the last one: what was committed meanwhile will be in a later page."""
        self._replaying[aggregate] = None

    def caught_up(self, aggregate: Aggregate, next_sequence: int) -> list[Event]:
        """The last page ended before `next_sequence`. Returns what was committed since, which may go out now."""
        kept = self._replaying.pop(aggregate, None) or []
        fresh = [event for event in kept if event.sequence >= next_sequence]
        self._boundaries[aggregate] = fresh[-1].sequence + 1 if fresh else next_sequence
        return fresh


class Receiver(Protocol):
    """Where a subscription's events go."""

    def send(self, frame: bytes) -> None:
        """Queue one WebSocket frame."""
        ...


To = TypeVar("To", bound=Receiver)


class Subscription(Generic[To]):
    """One client's wish."""

    __slots__ = ("gate", "key", "part", "prefixes", "to", "types")

    def __init__(self, wish: Subscribe, to: To) -> None:
        self.key = wish.key
        self.part = sub_part(wish.sub_id)
        self.prefixes = wish.prefixes
        self.types = wish.event_types
        self.to = to
        self.gate: Gate | None = Gate()

    def wants(self, event_type: str) -> bool:
        """Whether the subscription's filter lets a type through."""
        return self.types is None or event_type in self.types


_Bucket = dict[str | None, dict[Subscription[To], None]]


class SubscriptionIndex(Generic[To]):
    """All subscriptions of a node. Finding those of an append costs as many look-ups as its aggregate has parts."""

    def __init__(self) -> None:
        self._buckets: dict[Aggregate, _Bucket[To]] = {}

    def add(self, subscription: Subscription[To]) -> None:
        """Events from the next append on are matched against it."""
        for prefix in subscription.prefixes:
            bucket = self._buckets.setdefault(prefix, {})
            for event_type in subscription.types or (None,):
                bucket.setdefault(event_type, {})[subscription] = None

    def remove(self, subscription: Subscription[To]) -> None:
        """Forget it; it is fine if it is not there."""
        for prefix in subscription.prefixes:
            bucket = self._buckets.get(prefix, {})
            for event_type in subscription.types or (None,):
                among = bucket.get(event_type, {})
                among.pop(subscription, None)
                if not among:
                    bucket.pop(event_type, None)
            if not bucket:
                self._buckets.pop(prefix, None)

    def buckets(self, aggregate: Aggregate) -> list[_Bucket[To]]:
        """What is subscribed to the aggregate or a prefix of it, by event type (None: every type)."""
        found = self._buckets
        return [found[prefix] for n in range(len(aggregate) + 1) if (prefix := aggregate[:n]) in found]

    @staticmethod
    def matching(buckets: list[_Bucket[To]], event_type: str) -> Iterator[Subscription[To]]:
        """Subscriptions in `buckets` that want a type; each once, as its prefixes do not overlap."""
        for bucket in buckets:
            for wanted in (event_type, None):
                if wanted in bucket:
                    yield from bucket[wanted]
