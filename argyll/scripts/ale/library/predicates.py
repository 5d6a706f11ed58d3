"""How predicates are defined: `p?` holds when every argument passes, `!p?` when every argument fails."""
# Plain loops, no all(): a generator costs more than these loops and nests C frames.
# ruff: noqa: SIM110

from collections.abc import Callable

from argyll.scripts.ale.catalogue import builtin
from argyll.scripts.ale.values import Value


def predicate(name: str, what: str, test: Callable[[Value], bool], *, tier: int) -> None:
    """Define `name` and its negation from a test of one value."""

    @builtin(name, "value values*", f"Whether every value is {what}.", tier=tier)
    def every(values: list[Value]) -> bool:
        for value in values:
            if not test(value):
                return False
        return True

    @builtin(f"!{name}", "value values*", f"Whether no value is {what}.", tier=max(tier, 2))
    def none(values: list[Value]) -> bool:
        for value in values:
            if test(value):
                return False
        return True
