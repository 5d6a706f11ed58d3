"""What is known of init while planning: which names have values, and what the values are - if they are known at all.

A child flow is planned before its inputs exist; such a value is *unknown*, and a `match` over it decides nothing
(decisions 17).
"""

from collections.abc import Mapping
from typing import Final

from argyll.model.json import JSON


class _Unknown:
    __slots__ = ()


UNKNOWN: Final = _Unknown()

InitValues = list[JSON] | _Unknown


class Init:
    """Candidate values by name; names with an empty list count as absent."""

    __slots__ = ("_values", "values_used")

    def __init__(self, values: Mapping[str, InitValues]) -> None:
        self._values = {name: given for name, given in values.items() if given is UNKNOWN or given}
        self.values_used = False
        """Whether planning looked at a value rather than only at which names have one."""

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> frozenset[str]:
        """Names that have a value."""
        return frozenset(self._values)

    def candidates(self, name: str) -> list[JSON] | None:
        """The values of a name (empty if it has none), or None when they are not known yet."""
        given = self._values.get(name)
        if given is None:
            return []
        if isinstance(given, _Unknown):
            return None
        self.values_used = True
        return given
