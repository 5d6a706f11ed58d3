"""The WebSocket under a watcher: connects, subscribes, and after any break connects again where it left off.

What the messages mean is decided in `positions`; here is only the connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from argyll.client.calls import MAX_ANSWER_BYTES, request_headers
from argyll.client.errors import ApiError, Unavailable, Unreachable, WatchError, error_from_answer
from argyll.model.json import decode, text

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import aiohttp

    from argyll.client.positions import Change, Positions
    from argyll.client.retry import RetryPolicy

CONNECT_TIMEOUT_S = 10.0
"""One attempt to get a socket, handshake included."""

HEARTBEAT_S = 30.0
"""A ping this often; a peer that does not answer within half of it is gone."""


class Watcher:
    """Follows `positions` over one socket after another. `on_connection` hears True and False as the socket comes and goes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        token: str | None,
        tls: ssl.SSLContext | None,
        *,
        retry: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]],
        entropy: Callable[[], float],
        on_connection: Callable[[bool], None] | None,
    ) -> None:
        self._session = session
        self._url = f"{base_url}/engine/ws"
        self._headers = request_headers(token, has_body=False)
        self._tls = tls
        self._retry = retry
        self._sleep = sleep
        self._entropy = entropy
        self._tell = on_connection or _ignore

    async def follow(self, positions: Positions) -> AsyncGenerator[Change]:
        """Changes without end. The first connection is tried as often as any call; after that, for ever.

        Raises `Unreachable` or an `ApiError` when the first connection cannot be had, `WatchError` for a refused
        subscription.
        """
        failures = 0
        ever_connected = False
        while True:
            try:
                socket = await self._connect()
            except (Unreachable, ApiError) as problem:
                failures += 1
                transient = isinstance(problem, Unreachable | Unavailable)
                if not transient or (not ever_connected and failures >= self._retry.attempts):
                    raise
                await self._sleep(self._retry.backoff_s(failures, self._entropy))
                continue
            ever_connected = True
            self._tell(True)
            try:
                async for change in self._converse(socket, positions):
                    failures = 0
                    yield change
            finally:
                await socket.close()
                self._tell(False)
            positions.disconnected()
            failures += 1
            await self._sleep(self._retry.backoff_s(failures, self._entropy))

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        import aiohttp

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._session.ws_connect(
                    self._url,
                    headers=self._headers,
                    heartbeat=HEARTBEAT_S,
                    max_msg_size=MAX_ANSWER_BYTES,
                    ssl=True if self._tls is None else self._tls,
                )
        except aiohttp.WSServerHandshakeError as problem:
            raise error_from_answer("GET", self._url, problem.status, None, b"") from problem
        except (aiohttp.ClientError, OSError, TimeoutError) as problem:
            raise Unreachable("GET", self._url, str(problem) or type(problem).__name__, sent=False) from problem

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse, positions: Positions) -> AsyncGenerator[Change]:
        """The changes one socket brings; ends when it does, for whatever reason."""
        import aiohttp

        try:
            for message in positions.opening():
                await socket.send_str(text(message))
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    continue
                step = positions.receive(_decoded(frame.data))
                for change in step.changes:
                    yield change
                for reply in step.replies:
                    await socket.send_str(text(reply))
        except (aiohttp.ClientError, ConnectionError):
            return


def _decoded(frame: str) -> object:
    try:
        return decode(frame)
    except msgspec.DecodeError as problem:
        raise WatchError(f"the engine sent a frame that is no JSON ({problem}): is a proxy in between?") from problem


def _ignore(connected: bool) -> None:
    del connected
