"""How it is kept: an append-only log of events per aggregate, durable before it is acknowledged, and what is read from it.

Nothing here knows what an event means.
"""

from argyll.store.errors import (
    BarrierTimeout,
    Conflict,
    DamagedLog,
    DamagedState,
    DirectoryLocked,
    EntryTooLarge,
    InvalidCursor,
    NewerFormat,
    NoLeader,
    NoOtherNode,
    NotAStore,
    NotLeader,
    OpenError,
    OpenFailed,
    OutcomeUnknown,
    Overloaded,
    SafetyStop,
    StoreClosed,
    StoreError,
    StoreFailed,
    TransferFailed,
    UnreadableEntry,
)
from argyll.store.flows import FlowPage, FlowQuery, FlowRow
from argyll.store.log import LogStatus, PeerStatus, ReplicatedLog, StateMachine
from argyll.store.records import Aggregate, Append, Committed, IndexUpdate, NewEvent, Record, StoreOptions
from argyll.store.store import Store

__all__ = [
    "Aggregate",
    "Append",
    "BarrierTimeout",
    "Committed",
    "Conflict",
    "DamagedLog",
    "DamagedState",
    "DirectoryLocked",
    "EntryTooLarge",
    "FlowPage",
    "FlowQuery",
    "FlowRow",
    "IndexUpdate",
    "InvalidCursor",
    "LogStatus",
    "NewEvent",
    "NewerFormat",
    "NoLeader",
    "NoOtherNode",
    "NotAStore",
    "NotLeader",
    "OpenError",
    "OpenFailed",
    "OutcomeUnknown",
    "Overloaded",
    "PeerStatus",
    "Record",
    "ReplicatedLog",
    "SafetyStop",
    "StateMachine",
    "Store",
    "StoreClosed",
    "StoreError",
    "StoreFailed",
    "StoreOptions",
    "TransferFailed",
    "UnreadableEntry",
]
