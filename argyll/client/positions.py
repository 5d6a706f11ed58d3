"""Where a watcher stands in the history of what it watches: what to subscribe to, and what each message means.

One subscription per aggregate, so that each resumes at its own sequence. Pure: messages in, changes and messages out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from argyll.client.errors import WatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from argyll.model.json import JSON

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WatchState:
    """The projection of one aggregate; it replaces what was known. Events from `sequence` on follow."""

    id: Path
    data: JSON
    sequence: int


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One committed event. `timestamp_ms` is milliseconds since the epoch."""

    type: str
    id: Path
    data: dict[str, JSON]
    timestamp_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class WatchGap:
    """Events of `id` may have been missed while the connection was down: read what matters again."""

    id: Path


Change: TypeAlias = WatchState | WatchEvent | WatchGap


@dataclass(slots=True)
class _Subscription:
    sub_id: str
    path: Path
    # A single aggregate, rather than a prefix of many: only that has one sequence to resume from.
    exact: bool
    # First sequence not yet delivered; None while unknown. Kept only when `exact`.
    next_sequence: int | None
    # Live events passed by before this subscription stood.
    missed: bool = False
    # The hole in the sequence has been asked for once; if it is still there, it is reported.
    refilled: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one message amounts to: changes for the watcher, messages for the engine."""

    changes: list[Change] = field(default_factory=list[Change])
    replies: list[dict[str, JSON]] = field(default_factory=list[dict[str, "JSON"]])


class Positions:
    """The subscriptions of one watcher across connections.

    `paths`: aggregate ids (`("catalog",)`, `("cluster",)`, `("flow", id)`) or prefixes (`("flow",)`, `()` for all);
    none means all. `from_sequence` replays each from there, which a prefix cannot: ValueError. `include_state` asks for
    the projection of each aggregate first.
    """

    def __init__(
        self,
        paths: Sequence[Sequence[str]],
        *,
        event_types: Sequence[str] | None = None,
        from_sequence: int | None = None,
        include_state: bool = False,
    ) -> None:
        self._event_types = None if event_types is None else list(event_types)
        self._include_state = include_state
        wanted = _distinct(paths)
        prefixes = [path for path in wanted if not _is_exact(path)]
        if from_sequence is not None and prefixes:
            raise ValueError(
                f"from_sequence: {prefixes[0]} has no history of its own;"
                ' name aggregates such as ("flow", id), ("catalog",) or ("cluster",)'
            )
        self._subscriptions = {
            str(number): _Subscription(str(number), path, _is_exact(path), from_sequence)
            for number, path in enumerate(wanted, start=1)
        }

    def opening(self) -> list[dict[str, JSON]]:
        """The messages to send on a new connection."""
        return [self._subscribe(subscription) for subscription in self._subscriptions.values()]

    def disconnected(self) -> None:
        """What was answered before is answered no more: whatever has no sequence to resume from may now miss events."""
        for subscription in self._subscriptions.values():
            subscription.refilled = False
            if subscription.next_sequence is None:
                subscription.missed = not (subscription.exact and self._include_state)

    def receive(self, message: JSON) -> Step:
        """Takes one message of the engine. Raises `WatchError` when it refuses a subscription for good."""
        if not isinstance(message, dict):
            raise WatchError(f"the engine sent {message!r}, which is no message of its WebSocket protocol")
        fields = cast("dict[str, JSON]", message)
        subscription = self._subscriptions.get(fields.get("sub_id", ""))
        if fields.get("type") == "error":
            return self._refused(subscription, str(fields.get("error")))
        if subscription is None or fields.get("type") == "unsubscribed":
            return Step()
        try:
            if fields.get("type") == "subscribed":
                return self._subscribed(subscription, fields)
            return self._event(subscription, fields)
        except KeyError as missing:
            raise WatchError(f"the engine sent a message without {missing}: {fields!r:.200}") from missing

    def _subscribe(self, subscription: _Subscription) -> dict[str, JSON]:
        wanted: dict[str, JSON] = {"sub_id": subscription.sub_id}
        if subscription.path:
            wanted["aggregate_ids"] = [list(subscription.path)]
        if self._event_types is not None:
            wanted["event_types"] = self._event_types
        if subscription.next_sequence is not None:
            wanted["from_sequence"] = subscription.next_sequence
        elif self._include_state and subscription.exact:
            wanted["include_state"] = True
        return {"type": "subscribe", "data": wanted}

    def _subscribed(self, subscription: _Subscription, message: dict[str, JSON]) -> Step:
        changes: list[Change] = []
        if subscription.missed:
            changes.append(WatchGap(subscription.path))
        subscription.missed = False
        items: list[dict[str, JSON]] = message.get("items") or []
        for item in items:
            if subscription.exact:
                subscription.next_sequence = item["sequence"]
                changes.append(WatchState(tuple(item["id"]), item["data"], item["sequence"]))
        if subscription.exact and self._include_state and subscription.next_sequence is None:
            # State was asked for and there is none: the aggregate has no event yet.
            subscription.next_sequence = 0
        return Step(changes)

    def _event(self, subscription: _Subscription, message: dict[str, JSON]) -> Step:
        event = WatchEvent(
            type=message["type"],
            id=tuple(message["id"]),
            data=message["data"],
            timestamp_ms=message["timestamp"],
            sequence=message["sequence"],
        )
        expected = subscription.next_sequence
        if not subscription.exact:
            return Step([event])
        if expected is not None and event.sequence < expected:
            return Step()
        changes: list[Change] = [event]
        # With a filter on types, holes are the rule.
        if expected is not None and event.sequence > expected and self._event_types is None:
            if not subscription.refilled:
                subscription.refilled = True
                return Step(replies=[self._subscribe(subscription)])
            changes = [WatchGap(subscription.path), event]
        subscription.next_sequence = event.sequence + 1
        subscription.refilled = False
        return Step(changes)

    def _refused(self, subscription: _Subscription | None, error: str) -> Step:
        if subscription is None or subscription.next_sequence in (None, 0):
            path = "everything" if subscription is None else "/".join(subscription.path) or "everything"
            raise WatchError(f"watching {path}: the engine answered: {error}")
        # That sequence can no longer be read: begin again as on the first connection.
        subscription.next_sequence = None
        subscription.missed = not self._include_state
        return Step(replies=[self._subscribe(subscription)])


def _is_exact(path: Path) -> bool:
    return path in (("catalog",), ("cluster",)) or (len(path) == 2 and path[0] in ("flow", "source"))


def _distinct(paths: Sequence[Sequence[str]]) -> list[Path]:
    """In the order given; `engine` stands for catalog and cluster; a bare string would be read letter by letter."""
    wanted: dict[Path, None] = {}
    for path in paths:
        if isinstance(path, str):
            raise TypeError(f'aggregate id {path!r} is a string: write it as a tuple, ("{path}",) or ("flow", id)')
        both = (("catalog",), ("cluster",))
        wanted.update(dict.fromkeys(both if tuple(path) == ("engine",) else (tuple(path),)))
    return list(wanted) or [()]
