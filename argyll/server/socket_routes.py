"""`GET /engine/ws`: upgrades the connection and holds the conversation until either side ends it.

What is said on it is the conversation's business, how frames leave the connection's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import WSMsgType
from aiohttp.web import HTTPException, StreamResponse, WebSocketResponse

from argyll.server.connection import Connection
from argyll.server.conversation import Conversation
from argyll.server.problems import BadRequest, Unavailable

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.server.config import ServerConfig
    from argyll.server.hub import Hub

BUSY_RETRY_S = 5.0


class SocketRoutes:
    """The handler; it takes the request and the path's parameters."""

    def __init__(self, engine: Engine, hub: Hub, config: ServerConfig) -> None:
        self._engine = engine
        self._hub = hub
        self._config = config

    async def events(self, request: BaseRequest, parameters: tuple[str, ...]) -> StreamResponse:
        """Serve one WebSocket."""
        config = self._config
        if self._hub.closing:
            raise Unavailable("this node is shutting down; use another one", retry_after_s=BUSY_RETRY_S)
        if self._hub.connections >= config.ws_connections:
            limit = config.ws_connections
            raise Unavailable(
                f"this node already serves ws_connections, {limit}; use another node or raise the limit",
                retry_after_s=BUSY_RETRY_S,
            )
        socket = WebSocketResponse(
            heartbeat=config.ws_ping_s,
            timeout=config.ws_close_s,
            max_msg_size=config.ws_message_bytes,
            compress=False,
        )
        try:
            await socket.prepare(request)
        except HTTPException as error:
            reason = " ".join((error.text or "").split())
            raise BadRequest(f"this route speaks WebSocket, connect with a client that does ({reason})") from error
        connection = Connection(socket, request, config, self._hub.wake)
        conversation = Conversation(self._engine, self._hub, connection, config)
        self._hub.join(connection)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await conversation.hear(message.data)
                elif message.type is WSMsgType.BINARY:
                    conversation.complain("binary messages mean nothing here; send JSON as text")
        finally:
            conversation.end()
            self._hub.leave(connection)
            await connection.closed()
        return socket
