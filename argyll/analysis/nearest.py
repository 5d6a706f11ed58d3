"""What a person probably meant: the known name that is nearest to an unknown one.

Names that other tools use for the same thing come before spelling (`input` is `required`, not `output`).
"""

from collections.abc import Iterable
from difflib import get_close_matches

CUTOFF = 0.6
"""How similar (0 to 1) a name must be to be suggested."""

_ALIASES: dict[str, str] = {
    "input": "required",
    "in": "required",
    "mandatory": "required",
    "out": "output",
    "result": "output",
    "constant": "const",
    "metadata": "meta",
    "inputs": "attributes",
    "outputs": "attributes",
    "params": "attributes",
    "url": "endpoint",
    "uri": "endpoint",
    "verb": "method",
    "retries": "max_retries",
    "attempts": "max_attempts",
    "backoff": "init_backoff",
    "concurrency": "parallelism",
    "retry": "work_config",
    "work": "work_config",
    "when": "predicate",
    "condition": "predicate",
    "if": "predicate",
    "tags": "labels",
    "steps": "goals",
    "goal": "goals",
    "lang": "language",
    "code": "script",
    "text": "script",
    "source": "script",
    "rollback": "compensate",
    "undo": "compensate",
    "healthcheck": "health_check",
    "foreach": "for_each",
    "timeout_ms": "timeout",
    "deadline_ms": "deadline",
    "http": "sync",
    "rest": "sync",
    "webhook": "async",
    "subflow": "flow",
    "sub-flow": "flow",
    "workflow": "flow",
    "lua": "script",
    "ale": "script",
    "int": "number",
    "integer": "number",
    "float": "number",
    "double": "number",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "map": "object",
    "none": "null",
    "jsonpath": "jpath",
    "lisp": "ale",
    "scheme": "ale",
    "patch": "PUT",
    "constant_backoff": "fixed",
    "exp": "exponential",
}


def alias_of(word: str) -> str:
    """What a name of other tools is called here; empty when it is none."""
    return _ALIASES.get(word.lower(), "")


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name among `names` that `word` probably stands for, or None."""
    by_lower = {name.lower(): name for name in names}
    lower = word.lower()
    if lower in by_lower:
        return by_lower[lower]
    alias = alias_of(lower).lower()
    if alias in by_lower:
        return by_lower[alias]
    close = get_close_matches(lower, by_lower, 1, CUTOFF)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A hint that names the nearest name, else all of them when they are few."""
    known = list(names)
    near = nearest(word, known)
    if near is not None:
        return f"did you mean `{near}`?"
    return "known are " + ", ".join(f"`{name}`" for name in known) if 0 < len(known) <= 12 else ""
