"""What to do when somebody else changes steps of an owner: restore them, say so, or nothing - and when to give up.

Two writers that restore each other's changes for ever serve nobody: after some rounds healing stops until the next
revision, and the status names the steps.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

Drift = Literal["heal", "report", "off"]

MAX_HEALS = 5
"""How often a step is restored within the window before it counts as fought over."""
FIGHT_WINDOW_S = 600.0


class Healing:
    """Counts how often each step was restored. `clock` gives seconds of any origin."""

    def __init__(
        self, clock: Callable[[], float], *, max_heals: int = MAX_HEALS, window_s: float = FIGHT_WINDOW_S
    ) -> None:
        self._clock, self._max_heals, self._window_s = clock, max_heals, window_s
        self._healed: dict[str, deque[float]] = {}
        self._fought: set[str] = set()

    def fought_over(self, step_ids: Iterable[str]) -> list[str]:
        """Those of the steps that were restored too often; once found, they stay so until `begin_anew`."""
        since = self._clock() - self._window_s
        for step_id in step_ids:
            times = self._healed.get(step_id, deque())
            while times and times[0] < since:
                times.popleft()
            if len(times) >= self._max_heals:
                self._fought.add(step_id)
        return sorted(self._fought.intersection(step_ids))

    def restored(self, step_ids: Iterable[str]) -> None:
        """Remember that these steps were restored now."""
        for step_id in step_ids:
            self._healed.setdefault(step_id, deque(maxlen=self._max_heals)).append(self._clock())

    def begin_anew(self) -> None:
        """Forget everything: a new revision has other steps."""
        self._healed.clear()
        self._fought.clear()
