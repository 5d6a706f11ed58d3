"""A plan as rails: one row a step, providers above consumers, a vertical line for every output that is still awaited.

Deterministic: the same plan always gives the same picture, so the reader's memory and the golden tests hold. The
layout depends on the plan alone; statuses only change the mark of a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

from argyll.draw.marks import EAST, NORTH, SOUTH, UNICODE, WEST, Marks
from argyll.model.plan import Plan, plan_from_json
from argyll.model.wire import JSONObject

MAX_RAIL_COLUMNS = 30
"""A plan that needs more parallel rails than this is drawn without lines: they could not be followed."""


@dataclass(frozen=True)
class Row:
    """One step's line. `rail` holds the lines and the mark, `owners` the step each of its characters belongs to.

    `below` is a rail for further lines about the step: only what goes on to the next row.
    """

    step: str
    rail: str
    owners: tuple[str, ...]
    status: str
    below: str


def as_plan(plan: Plan | JSONObject) -> Plan:
    """The plan itself, also of the JSON object that the API answers with."""
    return plan if isinstance(plan, Plan) else plan_from_json(plan)


class Rails:
    """The layout of one plan, made once and painted as often as statuses change."""

    def __init__(self, plan: Plan | JSONObject) -> None:
        self.plan = as_plan(plan)
        wired = _parents(self.plan)
        self.order = _order(wired)
        self._row_of = {step: row for row, step in enumerate(self.order)}
        self.parents = {
            step: tuple(p for p in parents if self._row_of[p] < self._row_of[step]) for step, parents in wired.items()
        }
        """Step id to the steps above it that write its inputs."""
        self._last_row = self._last_rows()
        columns = self._columns()
        self.lined = max(columns.values(), default=0) < MAX_RAIL_COLUMNS
        """Whether lines are drawn; see `MAX_RAIL_COLUMNS`."""
        self._column = columns if self.lined else dict.fromkeys(columns, 0)
        self.width = 2 * max(self._column.values(), default=0) + 1
        """Characters of every row's rail."""

    def rows(self, statuses: Mapping[str, str] | None = None, marks: Marks = UNICODE) -> list[Row]:
        """Every step's row from top to bottom; a step without a status is pending."""
        return [self._row(step, (statuses or {}).get(step, "pending"), marks) for step in self.order]

    def _row(self, step: str, status: str, marks: Marks) -> Row:
        chars = [" "] * self.width
        owners = [""] * self.width
        below = [" "] * self.width
        for x, (directions, owner) in self._cells[self._row_of[step]].items():
            chars[x], owners[x] = marks.lines[directions], owner
            if directions & SOUTH:
                below[x] = marks.lines[NORTH | SOUTH]
        x = 2 * self._column[step]
        chars[x], owners[x] = marks.of(status), step
        return Row(step, "".join(chars), tuple(owners), status, "".join(below))

    def _last_rows(self) -> dict[str, int]:
        last = dict(self._row_of)
        for step in self.order:
            for parent in self.parents[step]:
                last[parent] = max(last[parent], self._row_of[step])
        return last

    def _columns(self) -> dict[str, int]:
        """A column per step: one that a provider frees at this row if possible, else the leftmost free one.

        Never the one of the row above without a wire: marks right below each other always mean provider and consumer.
        """
        columns: dict[str, int] = {}
        busy_until: dict[int, int] = {}
        for row, step in enumerate(self.order):
            freed = sorted(columns[p] for p in self.parents[step] if self._last_row[p] == row)
            above = columns[self.order[row - 1]] if row else -1
            column = freed[0] if freed else 0
            while not freed and (busy_until.get(column, -1) >= row or column == above):
                column += 1
            columns[step] = column
            busy_until[column] = self._last_row[step]
        return columns

    @cached_property
    def _cells(self) -> list[dict[int, tuple[int, str]]]:
        """Per row: x to the directions drawn there and the step whose line it is; the later line owns a crossing."""
        cells: list[dict[int, tuple[int, str]]] = [{} for _ in self.order]
        if not self.lined:
            return cells

        def draw(row: int, x: int, directions: int, owner: str) -> None:
            cells[row][x] = (cells[row].get(x, (0, ""))[0] | directions, owner)

        for step in self.order:
            first, last, x = self._row_of[step], self._last_row[step], 2 * self._column[step]
            for row in range(first, last + 1):
                draw(row, x, (NORTH if row > first else 0) | (SOUTH if row < last else 0), step)
        for step in self.order:
            row, target = self._row_of[step], 2 * self._column[step]
            for parent in self.parents[step]:
                low, high = sorted((2 * self._column[parent], target))
                for x in range(low, high + 1):
                    draw(row, x, (WEST if x > low else 0) | (EAST if x < high else 0), parent)
        return cells


def _parents(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Step id to the steps of the plan that write any of its inputs, ascending."""
    return {
        step_id: tuple(
            sorted({p for name in step.inputs for p in plan.providers(name) if p != step_id and p in plan.steps})
        )
        for step_id, step in sorted(plan.steps.items())
    }


def _order(parents: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Providers before consumers, each consumer as soon after its last provider as can be, for short lines."""
    children: dict[str, list[str]] = {step: [] for step in parents}
    missing = {step: len(providers) for step, providers in parents.items()}
    for step, providers in parents.items():
        for provider in providers:
            children[provider].append(step)
    ready = [(0, step) for step, count in sorted(missing.items()) if count == 0]
    order: list[str] = []
    while ready:
        _, step = heappop(ready)
        order.append(step)
        for child in children[step]:
            missing[child] -= 1
            if missing[child] == 0:
                heappush(ready, (-len(order), child))
    # A plan has no cycles; should a damaged one be shown, nothing of it is hidden.
    return order + sorted(set(parents) - set(order))
