"""Circles in a directed graph that is given by its successors: found from some nodes only, in linear time."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

N = TypeVar("N", bound=Hashable)
Successors = Callable[[N], Iterable[N]]


def circles(roots: Sequence[N], successors: Successors[N]) -> Iterator[list[N]]:
    """A shortest circle for every group of nodes that lead to each other and hold a root.

    Each starts at the first root of its group and names every node once. Most changes close no circle, so the cheap
    question whether anything leads back to a root comes first.
    """
    reached = _reached(roots, successors)
    suspects = [root for root in roots if root in reached]
    if not suspects:
        return
    order = {root: index for index, root in enumerate(roots)}
    for group in _groups(suspects, successors):
        in_group = [node for node in group if node in order]
        if in_group:
            yield _shortest(min(in_group, key=order.__getitem__), group, successors)


def _reached(roots: Iterable[N], successors: Successors[N]) -> set[N]:
    """Nodes at the end of at least one edge from the roots."""
    reached: set[N] = set()
    waiting = list(roots)
    while waiting:
        new = [node for node in successors(waiting.pop()) if node not in reached]
        reached.update(new)
        waiting += new
    return reached


def _groups(roots: Iterable[N], successors: Successors[N]) -> Iterator[set[N]]:
    """Strongly connected groups that contain a circle (Tarjan's algorithm without recursion)."""
    index: dict[N, int] = {}
    low: dict[N, int] = {}
    path: list[N] = []
    on_path: set[N] = set()
    for root in roots:
        if root in index:
            continue
        work: list[tuple[N, Iterator[N]]] = []
        entered: N | None = root
        while entered is not None or work:
            if entered is not None:
                index[entered] = low[entered] = len(index)
                path.append(entered)
                on_path.add(entered)
                work.append((entered, iter(successors(entered))))
                entered = None
            node, rest = work[-1]
            for following in rest:
                if following not in index:
                    entered = following
                    break
                if following in on_path:
                    low[node] = min(low[node], index[following])
            if entered is not None:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                group = _popped(path, on_path, node)
                if len(group) > 1 or node in successors(node):
                    yield group


def _popped(path: list[N], on_path: set[N], until: N) -> set[N]:
    group: set[N] = set()
    while until not in group:
        node = path.pop()
        on_path.discard(node)
        group.add(node)
    return group


def _shortest(start: N, group: set[N], successors: Successors[N]) -> list[N]:
    """A shortest way from a node of a connected group back to itself."""
    came_from: dict[N, N] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for following in successors(node):
            if following == start:
                circle = [node]
                while circle[-1] != start:
                    circle.append(came_from[circle[-1]])
                return circle[::-1]
            if following in group and following not in came_from:
                came_from[following] = node
                waiting.append(following)
    raise AssertionError("a connected group leads back to each of its nodes")
