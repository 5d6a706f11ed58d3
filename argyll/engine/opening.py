"""Opens the store that the configuration describes: of a node on its own, or of one of several."""

import ssl
from typing import TYPE_CHECKING, Any, cast

from argyll.engine.config import ConfigError, EngineConfig
from argyll.store import Store, StoreOptions

if TYPE_CHECKING:
    from argyll.store.raft import TlsContexts


async def open_store(config: EngineConfig) -> Store:
    """Open or create the store in `data_dir`. Raises `argyll.store.OpenError`, `ConfigError`, OSError."""
    options = StoreOptions(fsync=cast(Any, config.fsync))
    if not config.is_clustered:
        return await Store.open(config.data_dir, options=options)
    # A node on its own does without the library underneath.
    from argyll.store.raft import ClusterConfig

    cluster = ClusterConfig(
        node_id=config.node_id,
        members=config.raft_servers,
        listen=config.raft_address or None,
        tls=_tls(config),
    )
    return await Store.open_cluster(config.data_dir, cluster=cluster, options=options)


def _tls(config: EngineConfig) -> "TlsContexts | None":
    """Both sides of mutual TLS 1.3 with this node's certificate and the cluster's authority. Raises `ConfigError`."""
    from argyll.store.raft import TlsContexts

    if config.raft_tls_cert is None or config.raft_tls_key is None or config.raft_tls_ca is None:
        return None
    contexts: list[ssl.SSLContext] = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(config.raft_tls_ca)
            context.load_cert_chain(config.raft_tls_cert, config.raft_tls_key)
        except OSError as error:
            raise ConfigError(
                f"TLS between nodes: {config.raft_tls_cert}, {config.raft_tls_key} and {config.raft_tls_ca} do not go "
                f"together: {error.strerror or error}; they must be this node's certificate and key and the authority"
            ) from error
        contexts.append(context)
    return TlsContexts(server=contexts[0], client=contexts[1])
