"""The engine's face to the network: HTTP routes, WebSocket and webhooks. Decides nothing about flows or steps."""

from argyll.server.app import CannotListen, PortInUse, RunningServer, serve
from argyll.server.config import ServerConfig

__all__ = ["CannotListen", "PortInUse", "RunningServer", "ServerConfig", "serve"]
