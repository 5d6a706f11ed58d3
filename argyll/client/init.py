"""Init values as people mean them, turned into what the API reads.

On the wire an array is a list of candidate values. Here every value given is one value, whatever its type, so a list is
wrapped; `Candidates` says that several were meant. Nothing here checks values against a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from argyll.model.json import JSON


class Candidates:
    """Several values for one init attribute, in order: `{"quote": Candidates([12, 14])}`."""

    __slots__ = ("values",)

    def __init__(self, values: Iterable[JSON]) -> None:
        self.values: list[JSON] = list(values)

    def __repr__(self) -> str:
        return f"Candidates({self.values!r})"


def wire_init(init: Mapping[str, JSON] | None) -> dict[str, list[JSON]]:
    """The `init` object of a request: name to candidate list. None as a value means absent, as does `Candidates([])`."""
    wired: dict[str, list[JSON]] = {}
    for name, value in (init or {}).items():
        if isinstance(value, Candidates):
            wired[name] = value.values
        elif value is not None:
            wired[name] = [value]
    return wired
