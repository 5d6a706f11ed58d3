"""The one process-wide setting scripts need: Python's recursion limit. Entry points call this, imports never do."""

import sys
from typing import Final

NODE_RECURSION_LIMIT: Final = 10_000
"""For processes that decode untrusted JSON. CPython 3.11 counts C recursion against the same limit, and a JSON decoder
overflows an 8 MB stack above 15,000 levels; at 10,000 it fails cleanly first. Ale reaches about 3,000 calls."""

WORKER_RECURSION_LIMIT: Final = 36_000
"""For processes that only evaluate scripts on values already checked for depth. Ale reaches `Limits.depth`."""


def configure_process(recursion_limit: int = NODE_RECURSION_LIMIT) -> None:
    """Raise the recursion limit of this process; never lowers it. Call once, from an entry point.

    Scripts work without it: deep recursion then meets its depth limit earlier.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), recursion_limit))
