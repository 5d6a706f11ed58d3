"""Scripts: three languages behind one interface. Compile once with `Scripts`, evaluate many times with `Limits`.

Pure: no language reaches files, network, clocks or other scripts.
"""

from argyll.scripts.interface import (
    DEFAULT_LIMITS,
    INLINE,
    LANGUAGES,
    CallSite,
    Compiled,
    CompileError,
    Language,
    LimitExceeded,
    Limits,
    RunError,
    ScriptError,
)
from argyll.scripts.process import NODE_RECURSION_LIMIT, WORKER_RECURSION_LIMIT, configure_process
from argyll.scripts.registry import Scripts

__all__ = [
    "DEFAULT_LIMITS",
    "INLINE",
    "LANGUAGES",
    "NODE_RECURSION_LIMIT",
    "WORKER_RECURSION_LIMIT",
    "CallSite",
    "CompileError",
    "Compiled",
    "Language",
    "LimitExceeded",
    "Limits",
    "RunError",
    "ScriptError",
    "Scripts",
    "configure_process",
]
