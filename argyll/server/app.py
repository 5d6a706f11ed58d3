"""Opens the port and closes it again: the engine's API as a running server.

The edge decides what is answered; here is only the life of the listener and its connections.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
from typing import TYPE_CHECKING, Any

from aiohttp.web import BaseRequest, RequestHandler, Server, StreamResponse
from aiohttp.web_log import AccessLogger

from argyll.server.config import ServerConfig
from argyll.server.edge import Edge, build_router
from argyll.server.hub import Hub
from argyll.server.problems import BadRequest, Unexpected, problem_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from argyll.engine import Engine

logger = logging.getLogger(__name__)

BACKLOG = 1_024
LINGER_S = 2.0
"""How long the rest of a refused body is read, so that the client sees the refusal rather than a reset."""


class CannotListen(Exception):
    """The address cannot be listened on."""


class PortInUse(CannotListen):
    """Another process has the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use by another process; stop it, or choose another port "
            "(API_PORT, --port; 0 takes any free one)"
        )
        self.port = port


class _Handler(RequestHandler):
    """aiohttp's connection, with refusals of malformed HTTP in our form."""

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        if status == 400:
            text = " ".join((message or "").split())[:200]
            answer = problem_answer(BadRequest(f"not an HTTP request that can be read: {text}"), "")
        else:
            self.log_exception("answering failed", exc_info=exc)
            answer = problem_answer(Unexpected("a mistake of ours, not of the request; see the node's log"), "")
        answer.force_close()
        return answer


class _Server(Server):
    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self._options = options

    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=asyncio.get_running_loop(), **self._options)


class RunningServer:
    """The API, served. `close` it before the engine."""

    def __init__(
        self, listener: asyncio.Server, server: Server, hub: Hub, host: str, stop_listening: Callable[[], object]
    ) -> None:
        self._listener = listener
        self._server = server
        self._hub = hub
        self._host = host
        self._stop_listening = stop_listening
        self._closed = False
        self.port: int = listener.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Where the API is, as seen from this machine; without a slash at the end."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def close(self, drain_s: float = 10.0) -> None:
        """Accept nothing more, close sockets with 1001, let requests in progress finish for `drain_s` seconds."""
        if self._closed:
            return
        self._closed = True
        self._listener.close()
        self._stop_listening()
        await self._hub.close()
        self._server.pre_shutdown()
        await self._server.shutdown(drain_s)


async def serve(engine: Engine, config: ServerConfig) -> RunningServer:
    """Serve the API of an engine. Raises `PortInUse` or another `CannotListen`."""
    loop = asyncio.get_running_loop()
    hub = Hub(loop.time)
    edge = Edge(build_router(engine, hub, config), engine, config)
    logging_options: dict[str, Any] = {"access_log_class": AccessLogger} if config.access_log else {"access_log": None}
    server = _Server(edge.handle, keepalive_timeout=config.keepalive_s, lingering_time=LINGER_S, **logging_options)
    try:
        listener = await loop.create_server(server, config.host, config.port, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(config.host, config.port) from error
        raise CannotListen(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}; "
            "choose an address of this machine (API_HOST, --host) and a port you may use"
        ) from error
    if not _is_loopback(config.host):
        logger.warning(
            "the API on %s:%d can be reached from other machines and asks nobody who they are; "
            "bind 127.0.0.1 or put a proxy that does before it",
            config.host,
            config.port,
        )
    silence = (engine.listen(hub.publish), engine.listen_reset(hub.start_over))
    return RunningServer(listener, server, hub, config.host, lambda: [stop() for stop in silence])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
