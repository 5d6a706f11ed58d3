"""One client's talk on the WebSocket: subscribe, unsubscribe, and catching up with state or history.

A subscription listens first and reads then, so that nothing falls between; its gate keeps what is committed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from argyll.model import json
from argyll.server.connection import Connection
from argyll.server.envelopes import Event, socket_event, sub_part, text_frame
from argyll.server.messages import (
    ENGINE,
    BadMessage,
    Subscribe,
    Unsubscribe,
    is_aggregate,
    read_message,
)
from argyll.server.overview import engine_overview
from argyll.server.subscriptions import Gate, Subscription

if TYPE_CHECKING:
    from argyll.engine import Engine
    from argyll.server.config import ServerConfig
    from argyll.server.hub import Hub
    from argyll.store import Aggregate, Record

logger = logging.getLogger(__name__)

REPLAY_PAGE_EVENTS = 500
"""Events read at once while history is replayed; each page waits for room in the queue."""

INTERNAL_ERROR = 1011


class Conversation:
    """The receiving side of one WebSocket."""

    def __init__(self, engine: Engine, hub: Hub, connection: Connection, config: ServerConfig) -> None:
        self._engine = engine
        self._hub = hub
        self._connection = connection
        self._config = config
        self._subscriptions: dict[str | Aggregate, Subscription[Connection]] = {}
        self._replays: dict[Subscription[Connection], asyncio.Task[None]] = {}

    async def hear(self, text: str) -> None:
        """Act on one message of the client; a bad one is answered, not punished."""
        try:
            message = read_message(text)
            if isinstance(message, Unsubscribe):
                self._unsubscribe(message)
            else:
                await self._subscribe(message)
        except BadMessage as bad:
            self.complain(str(bad), bad.sub_id)
        except Exception:
            logger.exception("reading state for %s failed", text[:200])
            self._fail()

    def complain(self, error: str, sub_id: str | None = None) -> None:
        """Answer that something was wrong."""
        self._say(b'{"type":"error",%b"error":%b}' % (sub_part(sub_id), json.encode(error)))

    def end(self) -> None:
        """The socket is closed: drop every subscription."""
        for subscription in [*self._subscriptions.values()]:
            self._drop(subscription)

    def _fail(self) -> None:
        """State or history cannot be read: a stream with a gap would be worse than none."""
        self._connection.close(INTERNAL_ERROR, "the node cannot read what was asked for; see its log")

    def _say(self, message: bytes) -> None:
        self._connection.send(text_frame(message))

    def _unsubscribe(self, message: Unsubscribe) -> None:
        subscription = self._subscriptions.get(message.key) if message.key is not None else None
        if subscription is not None:
            self._drop(subscription)
        named = b""
        if message.sub_id is not None:
            named = b',"sub_id":%b' % json.encode(message.sub_id)
        elif message.aggregate_id is not None:
            named = b',"id":%b' % json.encode(message.aggregate_id)
        self._say(b'{"type":"unsubscribed"%b}' % named)

    def _drop(self, subscription: Subscription[Connection]) -> None:
        self._hub.remove(subscription)
        self._subscriptions.pop(subscription.key, None)
        replay = self._replays.pop(subscription, None)
        if replay is not None:
            replay.cancel()

    async def _subscribe(self, wish: Subscribe) -> None:
        former = self._subscriptions.get(wish.key)
        if former is not None:
            self._drop(former)
        if len(self._subscriptions) >= self._config.ws_subscriptions:
            limit = self._config.ws_subscriptions
            raise BadMessage(f"more than ws_subscriptions, {limit}; unsubscribe from something first", wish.sub_id)
        subscription = Subscription(wish, self._connection)
        self._subscriptions[wish.key] = subscription
        self._hub.add(subscription)
        try:
            items, boundaries = await self._read_state(wish) if wish.include_state else ([], {})
        except BadMessage:
            self._drop(subscription)
            raise
        self._say(_subscribed(wish, items))
        replayed = wish.prefixes if wish.from_sequence is not None else ()
        gate = subscription.gate or Gate()
        fresh = gate.unshut({path: at for path, at in boundaries.items() if path not in replayed}, replayed)
        self._pass_on(subscription, fresh)
        if wish.from_sequence is not None:
            replay = asyncio.create_task(self._replay(subscription, gate, wish.from_sequence))
            self._replays[subscription] = replay

    def _pass_on(self, subscription: Subscription[Connection], events: list[Event]) -> None:
        for event in events:
            self._say(socket_event(event, subscription.part))
        if subscription.gate is not None and subscription.gate.open:
            subscription.gate = None

    async def _read_state(self, wish: Subscribe) -> tuple[list[bytes], dict[Aggregate, int]]:
        """An item for each path (not for an unknown flow), and from which sequence on events are news."""
        items: list[bytes] = []
        boundaries: dict[Aggregate, int] = {}
        size = 0
        for path in wish.paths:
            state, sequence = await self._state(path, boundaries)
            if state is None and path[:1] == ("flow",) and len(path) == 2 and not wish.short:
                continue
            items.append(b'"id":%b,"data":%b,"sequence":%d' % (json.encode(path), state or b"null", sequence))
            size += len(items[-1])
            if size > self._config.ws_queue_bytes:
                limit = self._config.ws_queue_bytes
                raise BadMessage(f"the states are larger than ws_queue_bytes, {limit}; ask for fewer", wish.sub_id)
        return items, boundaries

    async def _state(self, path: Aggregate, boundaries: dict[Aggregate, int]) -> tuple[bytes | None, int]:
        if path == ENGINE:
            overview, boundary = engine_overview(self._engine)
            boundaries |= boundary
            # One number for two histories: the lower one lets no client take news for old.
            return overview, min(boundary.values())
        if not is_aggregate(path):
            return None, 0
        view = await self._engine.view(path)
        if view is None:
            return None, 0
        state, sequence = view
        boundaries[path] = sequence
        return state, sequence

    async def _replay(self, subscription: Subscription[Connection], gate: Gate, start: int) -> None:
        try:
            for aggregate in subscription.prefixes:
                await self._replay_one(subscription, gate, aggregate, start)
        except Exception:
            logger.exception("replaying %s from %d failed", subscription.prefixes, start)
            self._fail()
        finally:
            self._replays.pop(subscription, None)

    async def _replay_one(
        self, subscription: Subscription[Connection], gate: Gate, aggregate: Aggregate, start: int
    ) -> None:
        page = REPLAY_PAGE_EVENTS
        while not self._connection.closing:
            await self._connection.room()
            gate.reading(aggregate)
            records = await self._engine.events(aggregate, start, page)
            sent = self._send_while_room(subscription, aggregate, records)
            if sent:
                start = records[sent - 1].sequence + 1
            if sent == len(records) < page:
                self._pass_on(subscription, gate.caught_up(aggregate, start))
                return
            gate.read_more(aggregate)
            # Large events fill the queue early: what did not fit is read again, in a page that fits.
            page = min(page * 2, REPLAY_PAGE_EVENTS) if sent == len(records) else max(sent, 1)

    def _send_while_room(
        self, subscription: Subscription[Connection], aggregate: Aggregate, records: list[Record]
    ) -> int:
        """How many of the records were passed on (or filtered out) before the queue was half full."""
        for done, record in enumerate(records):
            if not self._connection.has_room:
                return done
            if subscription.wants(record.type):
                self._say(socket_event(Event(aggregate, *record), subscription.part))
        return len(records)


def _subscribed(wish: Subscribe, items: list[bytes]) -> bytes:
    part = sub_part(wish.sub_id)
    if wish.short:
        return b'{"type":"subscribed",%b%b}' % (part, items[0])
    return b'{"type":"subscribed",%b"items":[%b]}' % (part, b",".join(b"{%b}" % item for item in items))
