"""Why a flow did what it did, and what it waits for, from its events alone.

`History` reads the events, `explain` answers in the shape of `answer`. Pure: no clock, no scripts, no catalog; the same
events give the same answer for ever.
"""

from argyll.flow.commands import UnknownStep
from argyll.flow.explain.answer import Explanation
from argyll.flow.explain.explaining import NothingHappened, explain, left_out
from argyll.flow.explain.history import History
from argyll.flow.explain.origins import UnknownAttribute

__all__ = [
    "Explanation",
    "History",
    "NothingHappened",
    "UnknownAttribute",
    "UnknownStep",
    "explain",
    "left_out",
]
