"""What can be set on the API's edge, with defaults: address, limits of bodies, pages and sockets.

Where the values come from (flags, environment, files) is not known here.
"""

from dataclasses import dataclass

from argyll.model.limits import (
    MAX_CATALOG_APPLY_BYTES,
    MAX_EVENTS_PAGE,
    MAX_REQUEST_BODY_BYTES,
    MAX_STEP_BODY_BYTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The edge's configuration; every error that a limit causes names it as it is named here."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes any free port."""

    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may call from, `*` for any; none means that no CORS header is sent."""

    access_log: bool = False

    max_step_bytes: int = MAX_STEP_BODY_BYTES
    max_catalog_bytes: int = MAX_CATALOG_APPLY_BYTES
    max_request_bytes: int = MAX_REQUEST_BODY_BYTES
    """Every other body."""

    body_timeout_s: float = 30.0
    """A body must have arrived this long after its head."""

    keepalive_s: float = 75.0
    """An idle connection is closed after this long: above what common proxies keep theirs."""

    max_events_page: int = MAX_EVENTS_PAGE
    """Events that one history answer holds at most."""

    max_events_page_bytes: int = 16 * 1024 * 1024
    """A history answer ends with the event that reaches this size, and says where to go on."""

    ws_connections: int = 1_000
    ws_subscriptions: int = 256
    """Subscriptions on one connection."""

    ws_message_bytes: int = 64 * 1024
    """What a client may send in one message."""

    ws_queue_messages: int = 10_000
    """Messages waiting for one connection; a consumer further behind is closed with 1013."""

    ws_queue_bytes: int = 64 * 1024 * 1024
    ws_ping_s: float = 20.0
    ws_close_s: float = 5.0
    """How long a closing connection waits for the peer's close frame."""
