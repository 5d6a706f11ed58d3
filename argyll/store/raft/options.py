"""Who belongs to the cluster, and the times and limits of its Raft. Pure data."""

import ssl
from collections.abc import Mapping

import msgspec

_ID_LIMIT_BYTES = 255


class TlsContexts(msgspec.Struct, frozen=True):
    """Mutual TLS between nodes: each context loads this node's certificate and trusts the cluster's authority only.

    A node's certificate names its id as a DNS subject alternative name.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext


class RaftOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds, sizes in bytes."""

    heartbeat_ms: int = 100
    election_min_ms: int = 600
    election_max_ms: int = 1_200
    leader_silence_ms: int = 1_500
    """A leader that no quorum answered for this long steps down."""
    fast_election_ms: int = 150
    """After losing the connection to the leader, wait at most this long before asking for votes."""
    tick_ms: int = 20
    proposal_timeout_ms: int = 10_000
    """How long an append waits for its commit before its outcome is called unknown."""
    transfer_timeout_ms: int = 3_000
    max_entry_commands: int = 1_024
    max_entry_bytes: int = 1 << 20
    """One entry takes commands until it is this large; a single larger command is an entry of its own."""
    max_open_entries: int = 2
    """Entries on their way to commit; what comes meanwhile is gathered into the next."""
    message_bytes: int = 1 << 20
    """Entries in one message to a follower, unless a single one is larger."""
    window_bytes: int = 8 << 20
    """Entries sent to a follower that it has not acknowledged."""
    chunk_bytes: int = 256 << 10
    """Piece of a state transfer."""
    chunk_window: int = 4
    """Pieces sent and not acknowledged."""
    retained_log_bytes: int = 32 << 20
    """Entries kept in memory and in the log for followers that lag, beyond what this node needs."""
    max_send_buffer_bytes: int = 64 << 20
    """A connection whose other side takes no more is given up beyond this."""
    connect_timeout_ms: int = 1_000
    reconnect_max_ms: int = 500
    ping_ms: int = 500
    silence_ms: int = 2_500
    """A connection on which nothing arrives for this long is given up."""
    max_strangers: int = 64
    """Connections that have not said who they are."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"cluster option {name} is {getattr(self, name)}; it must be 1 or more")
        if not 3 * self.heartbeat_ms < self.election_min_ms < self.election_max_ms:
            raise ValueError(
                f"cluster options: 3 x heartbeat_ms ({self.heartbeat_ms}) < election_min_ms ({self.election_min_ms})"
                f" < election_max_ms ({self.election_max_ms}) must hold"
            )
        if self.election_max_ms > 3_000:
            raise ValueError(f"cluster option election_max_ms is {self.election_max_ms}; 3000 is the most")


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One node's place in a cluster.

    `members` maps every node's id to the address `host:port` on which the others reach it, this node's too. It must be
    the same on every node; addresses may differ from node to node.
    """

    node_id: str
    members: Mapping[str, str]
    listen: str | None = None
    """Address to bind, `host:port`; this node's address in `members` if None."""
    tls: TlsContexts | None = None
    raft: RaftOptions = RaftOptions()

    def __post_init__(self) -> None:
        if self.node_id not in self.members:
            known = ", ".join(sorted(self.members)) or "none"
            raise ValueError(
                f"node {self.node_id!r} is not among the cluster's members ({known}); add it or mend its id"
            )
        for node_id, address in self.members.items():
            if not 0 < len(node_id.encode()) <= _ID_LIMIT_BYTES:
                raise ValueError(f"node id {node_id[:40]!r}: 1 to {_ID_LIMIT_BYTES} bytes are allowed")
            parse_address(address)
        if self.listen is not None:
            parse_address(self.listen)

    @property
    def others(self) -> list[str]:
        """The other nodes' ids, sorted."""
        return sorted(set(self.members) - {self.node_id})

    @property
    def listen_address(self) -> tuple[str, int]:
        return parse_address(self.listen or self.members[self.node_id])


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"address {address!r}: write it as host:port, with a port from 1 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)
