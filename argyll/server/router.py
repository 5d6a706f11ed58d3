"""Which handler a method and a path lead to. Knows nothing of what handlers do.

Paths are split at `/` before they are percent-decoded, so an encoded slash never separates. A literal segment wins over
a parameter where both have the method: `POST /engine/flow/query` and `GET /engine/flow/query` (a flow of that name) live
side by side.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

Handler = TypeVar("Handler")

MAX_PATH_SEGMENTS = 16
"""No route is longer; the walk over both branches of each segment stays bounded whatever a client sends."""


@dataclass(slots=True)
class _Node(Generic[Handler]):
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    literal: "dict[str, _Node[Handler]]" = field(default_factory=dict[str, "_Node[Handler]"])
    parameter: "_Node[Handler] | None" = None


class Router(Generic[Handler]):
    """A table of routes. `{name}` in a path stands for one non-empty segment."""

    def __init__(self) -> None:
        self._root: _Node[Handler] = _Node()
        self._exact: dict[tuple[str, str], Handler] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Add a route. A GET route answers HEAD too."""
        node = self._root
        segments = path.split("/")[1:]
        for segment in segments:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literal.setdefault(segment, _Node())
        for name in (method, "HEAD") if method == "GET" else (method,):
            node.handlers[name] = handler
            if "{" not in path:
                self._exact[name, path] = handler

    def find(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]] | None:
        """The handler and the decoded parameters, or None."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, ()
        for node, parameters in self._matches(path):
            handler = node.handlers.get(method)
            if handler is not None:
                return handler, parameters
        return None

    def allowed(self, path: str) -> list[str]:
        """Methods that the path has, ascending; empty when there is no such path."""
        return sorted({method for node, _ in self._matches(path) for method in node.handlers})

    def _matches(self, path: str) -> Iterator[tuple[_Node[Handler], tuple[str, ...]]]:
        segments = path.split("/", MAX_PATH_SEGMENTS + 1)[1:]
        if len(segments) <= MAX_PATH_SEGMENTS:
            yield from _walk(self._root, [unquote(segment) for segment in segments], ())


def _walk(
    node: _Node[Handler], segments: list[str], parameters: tuple[str, ...]
) -> Iterator[tuple[_Node[Handler], tuple[str, ...]]]:
    if not segments:
        if node.handlers:
            yield node, parameters
        return
    first, rest = segments[0], segments[1:]
    literal = node.literal.get(first)
    if literal is not None:
        yield from _walk(literal, rest, parameters)
    if node.parameter is not None and first:
        yield from _walk(node.parameter, rest, (*parameters, first))
