"""What other programs use: the API client, async and blocking, and (in `argyll.client.service`) the step-service SDK."""

from argyll.client.api import AsyncClient
from argyll.client.errors import (
    ApiError,
    ApprovalNeeded,
    BadAnswer,
    ClientError,
    Conflict,
    Denied,
    FlowTimeout,
    Invalid,
    NotFound,
    StepOwned,
    Stopped,
    Unavailable,
    Unreachable,
    WatchError,
)
from argyll.client.init import Candidates
from argyll.client.positions import Change, WatchEvent, WatchGap, WatchState
from argyll.client.retry import RetryPolicy
from argyll.client.sync import Client

__all__ = [
    "ApiError",
    "ApprovalNeeded",
    "AsyncClient",
    "BadAnswer",
    "Candidates",
    "Change",
    "Client",
    "ClientError",
    "Conflict",
    "Denied",
    "FlowTimeout",
    "Invalid",
    "NotFound",
    "RetryPolicy",
    "StepOwned",
    "Stopped",
    "Unavailable",
    "Unreachable",
    "WatchError",
    "WatchEvent",
    "WatchGap",
    "WatchState",
]
