"""Writes `docs/reference/` from the tables that the code itself uses, so that the pages cannot drift.

Each module here holds one page: the words that no table has, and a `page()` that joins them with what the code says.
"""
