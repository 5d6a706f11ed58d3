"""The log of a cluster: Raft over PySyncObj, fenced. What is not named here is private to this package."""

from argyll.store.raft.log import PySyncObjLog
from argyll.store.raft.options import ClusterConfig, RaftOptions, TlsContexts

__all__ = ["ClusterConfig", "PySyncObjLog", "RaftOptions", "TlsContexts"]
