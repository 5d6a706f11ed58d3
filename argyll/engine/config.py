"""The engine's settings: flags over environment over `engine.yaml` over defaults (surface.md 5).

Reading a file or the environment happens only in `EngineConfig.load`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from msgspec import Struct, structs

from argyll.model.json import JSON
from argyll.model.limits import DEFAULT_STEP_TIMEOUT_MS
from argyll.model.step import BACKOFF_TYPES, DEFAULT_WORK, WorkConfig
from argyll.scripts import DEFAULT_LIMITS, INLINE, Limits


class ConfigError(Exception):
    """A setting that cannot be used; `str()` names it, where it came from and what it accepts."""


DEFAULT_PORT = 8080
DEFAULT_NODE_ID = "argyll-1"
MAX_CONCURRENT_CALLS = 4_000
"""Step calls in flight on one node; more wait their turn."""
MAX_PENDING_APPENDS = 20_000
"""Appends waiting to become durable before new flows are refused with 503."""
FLOW_CACHE_ENTRIES = 32_768
MEMO_CACHE_ENTRIES = 65_536
DRAIN_S = 10.0
"""How long a stopping node waits for the calls in flight."""
HEALTH_PERIOD_S = 30.0
HEALTH_TIMEOUT_S = 3.0
UNHEALTHY_WAIT_S = 10.0
"""How long work of an unhealthy step waits before it runs all the same (decisions 28)."""


class EngineConfig(Struct, frozen=True, kw_only=True):
    """Effective settings of one node."""

    data_dir: Path
    node_id: str = DEFAULT_NODE_ID
    api_host: str = "127.0.0.1"
    api_port: int = DEFAULT_PORT
    """0 takes any free port."""
    webhook_base_url: str = ""
    """Base of the URLs that async steps call back; empty means the API's own address."""
    log_level: str = "info"
    step_timeout_ms: int = DEFAULT_STEP_TIMEOUT_MS
    work: WorkConfig = DEFAULT_WORK
    flow_cache_entries: int = FLOW_CACHE_ENTRIES
    memo_cache_entries: int = MEMO_CACHE_ENTRIES
    step_client: str = "plain"
    """How steps are called: `plain` uses own connections for plain http:// and aiohttp for the rest, `aiohttp` always."""
    max_concurrent_calls: int = MAX_CONCURRENT_CALLS
    max_pending_appends: int = MAX_PENDING_APPENDS
    script_workers: int = 1
    """Worker processes for scripts that need more than a command's budget; started when first needed."""
    script_steps: int = DEFAULT_LIMITS.steps
    script_time_ms: int = DEFAULT_LIMITS.wall_ms
    script_memory_bytes: int = DEFAULT_LIMITS.memory
    """What one evaluation may use in a worker. In a command it is less and fixed: `argyll.scripts.INLINE`."""
    drain_s: float = DRAIN_S
    health_period_s: float = HEALTH_PERIOD_S
    unhealthy_wait_s: float = UNHEALTHY_WAIT_S
    fsync: str = "auto"
    raft_servers: dict[str, str] = {}
    """Every node of the cluster, this one too: id to `host:port`. Fewer than two means a node on its own."""
    raft_address: str = ""
    """Where this node listens for the others; empty means at its address in `raft_servers`."""
    raft_tls_cert: Path | None = None
    raft_tls_key: Path | None = None
    raft_tls_ca: Path | None = None
    """Mutual TLS between nodes: all three or none."""

    @property
    def is_clustered(self) -> bool:
        """Whether there are other nodes."""
        return len(self.raft_servers) > 1

    @property
    def script_limits(self) -> Limits:
        """What one evaluation may use at most."""
        return replace(
            DEFAULT_LIMITS, steps=self.script_steps, wall_ms=self.script_time_ms, memory=self.script_memory_bytes
        )

    @property
    def webhook_base(self) -> str:
        """Where async steps call back."""
        return self.webhook_base_url or f"http://{self.api_host}:{self.api_port}"

    @classmethod
    def load(
        cls, flags: Mapping[str, JSON], environment: Mapping[str, str], file: Mapping[str, JSON] | None = None
    ) -> "EngineConfig":
        """The effective settings. `flags` and `file` use field names (work settings with the names of `WorkConfig`);
        flags that are None are not given. Raises `ConfigError`."""
        values: dict[str, JSON] = {}
        work: dict[str, JSON] = {}
        for setting in SETTINGS:
            value = _pick(setting, flags, environment, file or {})
            if value is not None:
                (work if setting.of_work else values)[setting.field] = value
        known = {setting.field for setting in SETTINGS}
        for name in file or {}:
            if name not in known:
                raise ConfigError(f"engine.yaml: unknown setting {name!r}; known are {', '.join(sorted(known))}")
        retries = structs.replace(DEFAULT_WORK, **work)
        if retries.max_backoff_ms < retries.init_backoff_ms:
            raise ConfigError(
                f"RETRY_MAX_BACKOFF ({retries.max_backoff_ms} ms) is below RETRY_INITIAL_BACKOFF "
                f"({retries.init_backoff_ms} ms); raise it"
            )
        _check_cluster(values)
        values.setdefault("data_dir", Path.home() / ".local" / "share" / "argyll" / values.get("node_id", "argyll-1"))
        return cls(work=retries, **values)


def _check_cluster(values: Mapping[str, JSON]) -> None:
    servers, node_id = values.get("raft_servers") or {}, values.get("node_id", DEFAULT_NODE_ID)
    if servers and node_id not in servers:
        raise ConfigError(
            f"RAFT_SERVERS names {', '.join(sorted(servers))} and not this node, {node_id}; add it, or set RAFT_NODE_ID"
        )
    given = [name for name in _TLS if values.get(name) is not None]
    if given and len(given) < len(_TLS):
        missing = next(setting.variable for setting in SETTINGS if setting.field in _TLS and setting.field not in given)
        raise ConfigError(f"{missing} is missing; TLS between nodes needs certificate, key and authority")


_TLS = ("raft_tls_cert", "raft_tls_key", "raft_tls_ca")


class Setting(Struct, frozen=True):
    """One setting: its field, its environment variable and how its text is read."""

    field: str
    variable: str
    read: Callable[[str], JSON]
    accepts: str
    of_work: bool = False

    @property
    def flag(self) -> str:
        """How the command line calls it."""
        return f"--{self.field.removeprefix('api_').replace('_', '-')}"


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text, 10)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return read


def _seconds(low: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value < 1e9:
            raise ValueError
        return value

    return read


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _path(text: str) -> Path:
    return Path(_text(text)).expanduser()


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError
    return text


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError
    return text


def _servers(text: str) -> dict[str, str]:
    servers: dict[str, str] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, _, address = item.partition("=")
        if name in servers:
            raise ValueError
        servers[_name(name)] = _address(address)
    if not servers:
        raise ValueError
    return servers


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError
    return text.rstrip("/")


def _count(field: str, variable: str, low: int, high: int, of_work: bool = False) -> Setting:
    return Setting(field, variable, _integer(low, high), f"a whole number from {low} to {high}", of_work)


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_YEAR_MS, _DAY_MS = 31_536_000_000, 86_400_000

SETTINGS: tuple[Setting, ...] = (
    Setting("data_dir", "ARGYLL_DATA_DIR", _path, "a directory"),
    Setting("node_id", "RAFT_NODE_ID", _name, "letters, digits, '.', '_' and '-', at most 64"),
    Setting("api_host", "API_HOST", _text, "a host name or address"),
    _count("api_port", "API_PORT", 0, 65_535),
    Setting("webhook_base_url", "WEBHOOK_BASE_URL", _url, "a URL that begins with http:// or https://"),
    Setting("log_level", "LOG_LEVEL", _one_of("debug", "info", "warn", "error"), "debug, info, warn or error"),
    _count("step_timeout_ms", "STEP_TIMEOUT", 1, _YEAR_MS),
    Setting("step_client", "ARGYLL_STEP_CLIENT", _one_of("plain", "aiohttp"), "plain or aiohttp"),
    _count("flow_cache_entries", "TIMEBOX_CACHE_SIZE", 1, 1_024_000),
    _count("memo_cache_entries", "MEMO_CACHE_SIZE", 1, 10_240_000),
    _count("max_concurrent_calls", "ARGYLL_MAX_CONCURRENT_CALLS", 1, 1_000_000),
    _count("max_pending_appends", "ARGYLL_MAX_PENDING_APPENDS", 1, 10_000_000),
    _count("script_workers", "ARGYLL_SCRIPT_WORKERS", 1, 64),
    _count("script_steps", "ARGYLL_SCRIPT_STEPS", INLINE.steps, 1_000_000_000),
    _count("script_time_ms", "ARGYLL_SCRIPT_TIME_MS", INLINE.wall_ms, 60_000),
    _count("script_memory_bytes", "ARGYLL_SCRIPT_MEMORY_BYTES", INLINE.memory, 1024 * 1024 * 1024),
    Setting("drain_s", "ARGYLL_DRAIN_SECONDS", _seconds(0), "a number of seconds, 0 or more"),
    Setting("health_period_s", "ARGYLL_HEALTH_PERIOD_SECONDS", _seconds(0.1), "a number of seconds, 0.1 or more"),
    Setting("unhealthy_wait_s", "ARGYLL_UNHEALTHY_WAIT_SECONDS", _seconds(0), "a number of seconds, 0 or more"),
    Setting("fsync", "ARGYLL_FSYNC", _one_of("auto", "thread", "inline"), "auto, thread or inline"),
    Setting("raft_servers", "RAFT_SERVERS", _servers, "id=host:port of each node once, separated by commas"),
    Setting("raft_address", "RAFT_ADDRESS", _address, "host:port with a port from 1 to 65535"),
    Setting("raft_tls_cert", "ARGYLL_RAFT_TLS_CERT", _path, "a file"),
    Setting("raft_tls_key", "ARGYLL_RAFT_TLS_KEY", _path, "a file"),
    Setting("raft_tls_ca", "ARGYLL_RAFT_TLS_CA", _path, "a file"),
    _count("max_retries", "RETRY_MAX_RETRIES", 1, 1_000, of_work=True),
    _count("init_backoff_ms", "RETRY_INITIAL_BACKOFF", 1, _DAY_MS, of_work=True),
    _count("max_backoff_ms", "RETRY_MAX_BACKOFF", 1, _DAY_MS, of_work=True),
    Setting("backoff_type", "RETRY_BACKOFF_TYPE", _one_of(*BACKOFF_TYPES), ", ".join(BACKOFF_TYPES), of_work=True),
)


def _pick(
    setting: Setting, flags: Mapping[str, JSON], environment: Mapping[str, str], file: Mapping[str, JSON]
) -> JSON:
    for origin, given in (
        (setting.flag, flags.get(setting.field)),
        (setting.variable, environment.get(setting.variable) or None),
        (f"engine.yaml: {setting.field}", file.get(setting.field)),
    ):
        if given is None:
            continue
        try:
            if isinstance(given, (dict, list)):
                raise ValueError
            return setting.read(str(given))
        except ValueError:
            raise ConfigError(f"{origin} is {str(given)!r}; it must be {setting.accepts}") from None
    return None
