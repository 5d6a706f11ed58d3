"""Circles in graphs, held against a search that tries everything."""

from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.analysis.circles import circles

Graph = dict[int, list[int]]
GRAPHS = st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=3), max_size=8)


def reaches(graph: Graph, start: int, goal: int) -> bool:
    seen: set[int] = set()
    waiting = list(graph.get(start, []))
    while waiting:
        node = waiting.pop()
        if node == goal:
            return True
        if node not in seen:
            seen.add(node)
            waiting += graph.get(node, [])
    return False


@given(GRAPHS, st.lists(st.integers(0, 7), unique=True, max_size=8))
@settings(max_examples=300)
def test_every_group_with_a_root_gives_one_circle_through_its_first_root(graph: Graph, roots: list[int]):
    found = list(circles(roots, lambda node: graph.get(node, [])))
    for circle in found:
        assert circle[0] in roots
        assert len(set(circle)) == len(circle)
        assert all(after in graph[before] for before, after in zip(circle, [*circle[1:], circle[0]], strict=True))
    on_a_circle = [root for root in roots if reaches(graph, root, root)]
    groups = [
        {other for other in on_a_circle if reaches(graph, root, other) and reaches(graph, other, root)}
        for root in on_a_circle
    ]
    starts = {min(group, key=roots.index) for group in groups}
    assert {circle[0] for circle in found} == starts
    assert len(found) == len(starts)


def test_the_shortest_circle_is_shown():
    graph = {0: [1, 3], 1: [2], 2: [0], 3: [0]}
    assert list(circles([0], lambda node: graph[node])) == [[0, 3]]


def test_depth_does_not_matter():
    size = 50_000
    assert len(next(circles([0], lambda node: [(node + 1) % size]))) == size
