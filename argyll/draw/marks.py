"""The two character sets of every picture: box drawing for terminals that can, ASCII for the rest.

A mark never stands alone: the status word is always printed beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

NORTH, EAST, SOUTH, WEST = 1, 2, 4, 8
"""Directions that a line leaves a cell in; a cell of a rail is a set of them."""

_LIGHT = " │─╰││╭├─╯─┴╮┤┬┼"
_PLAIN = " |-`||.+-'-+.+++"


@dataclass(frozen=True)
class Marks:
    """One character per status and per line junction. `lines` is indexed by the set of directions."""

    status: Mapping[str, str]
    lines: str
    child: str
    rule: str

    def of(self, status: str) -> str:
        """The mark of a step, flow or work status; `?` for one this version does not know."""
        return self.status.get(status, "?")


UNICODE = Marks(
    status={
        "pending": "○",
        "active": "●",
        "retrying": "↻",
        "not_completed": "↻",
        "completed": "✔",
        "succeeded": "✔",
        "skipped": "⊘",
        "cancelled": "⊘",
        "failed": "✖",
        "compensating": "↺",
        "compensated": "↺",
        "compensation_failed": "✖",
    },
    lines=_LIGHT,
    child="▸",
    rule="─",
)

ASCII = Marks(
    status={
        "pending": "o",
        "active": "*",
        "retrying": "~",
        "not_completed": "~",
        "completed": "v",
        "succeeded": "v",
        "skipped": "s",
        "cancelled": "s",
        "failed": "x",
        "compensating": "<",
        "compensated": "<",
        "compensation_failed": "x",
    },
    lines=_PLAIN,
    child=">",
    rule="-",
)
