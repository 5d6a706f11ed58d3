"""Ale: reader, expander, evaluator and the catalogue of what the language offers."""

from argyll.scripts.ale.catalogue import ENTRIES, EXCLUDED, Entry
from argyll.scripts.ale.program import compile_ale

__all__ = ["ENTRIES", "EXCLUDED", "Entry", "compile_ale"]
