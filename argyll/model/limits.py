"""Every limit of the model by name, with its default; the engine's configuration may lower or raise the sized ones.

An error that a limit causes names it. Units are in the names.
"""

MAX_STEP_BODY_BYTES = 512 * 1024
MAX_REQUEST_BODY_BYTES = 1024 * 1024
MAX_CATALOG_APPLY_BYTES = 8 * 1024 * 1024
MAX_RESPONSE_BYTES = 1024 * 1024
"""What the engine reads of a step's response (decisions 8)."""

MAX_JSON_DEPTH = 100
MAX_FLOW_ID_BYTES = 256
MAX_GOALS = 64
MAX_INIT_KEYS = 128
MAX_LABELS = 32
MAX_WORK_ITEMS = 10_000
MAX_DEADLINE_MS = 365 * 24 * 3600 * 1000
MAX_EVENTS_PAGE = 10_000
"""Events one history answer holds at most; the next page starts after the last."""
MAX_FLOWS_PAGE = 1_000
MAX_PLAN_DEPTH = 32
"""How deep flow steps may nest."""

DEFAULT_STEP_TIMEOUT_MS = 30_000
