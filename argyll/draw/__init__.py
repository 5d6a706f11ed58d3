"""Pictures of plans and runs as plain text: what the command line, the terminal dashboard and the web page share.

Pure: plans, statuses and events in, characters out. Never prints, colours or fetches.
"""

from argyll.draw.explain import explain_plan, reasons
from argyll.draw.marks import ASCII, UNICODE, Marks
from argyll.draw.progress import Progress, StepProgress
from argyll.draw.rails import MAX_RAIL_COLUMNS, Rails, Row, as_plan
from argyll.draw.story import story

__all__ = [
    "ASCII",
    "MAX_RAIL_COLUMNS",
    "UNICODE",
    "Marks",
    "Progress",
    "Rails",
    "Row",
    "StepProgress",
    "as_plan",
    "explain_plan",
    "reasons",
    "story",
]
