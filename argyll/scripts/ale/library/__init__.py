"""The procedures and constants of Ale. Importing this package fills the catalogue."""

from argyll.scripts.ale.library import building, lazily, logic, numeric, sequences

__all__ = ["building", "lazily", "logic", "numeric", "sequences"]
