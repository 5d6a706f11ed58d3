"""jpath: RFC 9535 JSONPath with expressions as queries, compiled to closures."""

from argyll.scripts.jpath.program import compile_jpath

__all__ = ["compile_jpath"]
