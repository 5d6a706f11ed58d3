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
    NoOtherNode,
    NotAStore,
    OpenError,
    OpenFailed,
    OutcomeUnknown,
    Overloaded,
    StoreClosed,
    StoreError,
    StoreFailed,
    UnreadableEntry,
)
from argyll.store.flows import FlowPage, FlowQuery, FlowRow
from argyll.store.log import LogStatus, ReplicatedLog, StateMachine
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
    "NoOtherNode",
    "NotAStore",
    "OpenError",
    "OpenFailed",
    "OutcomeUnknown",
    "Overloaded",
    "Record",
    "ReplicatedLog",
    "StateMachine",
    "Store",
    "StoreClosed",
    "StoreError",
    "StoreFailed",
    "StoreOptions",
    "UnreadableEntry",
]
