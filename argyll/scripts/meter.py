"""The budget of one evaluation: steps, wall time, depth and sizes, with the errors for using them up.

One meter serves one run and is never shared between threads. It reads the clock it is given and nothing else.
"""

from typing import Final, NoReturn

from argyll.scripts.interface import Clock, LimitExceeded, LimitName, Limits

CHUNK: Final = 256
"""Steps handed out at a time; the clock is read between chunks."""
CHARACTERS_PER_STEP: Final = 64
"""A built string costs one step per this many characters, which also bounds the memory of a run."""


_UNSET: Final = float("inf")


class Meter:
    """Counts down what a run may still use. Time starts with the second chunk: most runs never read the clock.

    `fuel` is what is left of the current chunk and `depth` the nested calls still allowed; evaluators decrement both in
    place and come back here (`refuel`, `too_deep`) only when they run out. `0 <= fuel + reserve <= limits.steps`.
    """

    __slots__ = ("clock", "deadline", "depth", "fuel", "limits", "output", "reserve")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.clock = clock
        self.deadline = _UNSET
        self.fuel = CHUNK if limits.steps > CHUNK else limits.steps
        self.reserve = limits.steps - self.fuel
        self.depth = limits.depth
        self.output = 0

    def refuel(self, owed: int) -> int:
        """Take `owed` steps and a new chunk from the reserve; the new fuel. Raises `LimitExceeded`."""
        if owed > self.reserve:
            self.exceeded("steps", f"{self.limits.steps:,} steps")
        now = self.clock()
        if self.deadline == _UNSET:
            self.deadline = now + self.limits.wall_ms / 1000
        elif now > self.deadline:
            self.exceeded("time", f"{self.limits.wall_ms:,} ms")
        granted = min(self.reserve, owed + CHUNK)
        self.reserve -= granted
        return granted - owed

    def charge(self, steps: int) -> None:
        """Use up `steps` at once."""
        fuel = self.fuel - steps
        self.fuel = fuel if fuel >= 0 else self.refuel(-fuel)

    def check_size(self, elements: int) -> None:
        """Refuse a collection of more than `limits.size` elements."""
        if elements > self.limits.size:
            self.exceeded("size", f"{self.limits.size:,} elements in one collection")

    def check_text(self, characters: int) -> None:
        """Refuse a string of more than `limits.text` characters, and charge for building it."""
        if characters > self.limits.text:
            self.exceeded("size", f"{self.limits.text:,} characters in one string")
        if characters > CHARACTERS_PER_STEP:
            self.charge(characters // CHARACTERS_PER_STEP)

    def check_output(self, characters: int) -> None:
        """Refuse a result whose strings have more than `limits.output` characters together."""
        self.output += characters
        if self.output > self.limits.output:
            self.exceeded("size", f"{self.limits.output:,} characters in one result")

    def too_deep(self) -> NoReturn:
        """Nested calls are used up."""
        self.exceeded("depth", f"{self.limits.depth:,} nested calls")

    def exceeded(self, limit: LimitName, allowed: str) -> NoReturn:
        """Raise `LimitExceeded` for `limit`, saying what was allowed."""
        raise exceeded(limit, allowed)


def exceeded(limit: LimitName, allowed: str) -> LimitExceeded:
    """The error for using up `limit`."""
    return LimitExceeded(limit, f"the script exceeded its {limit} limit ({allowed})")
