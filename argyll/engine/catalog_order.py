"""The order of steps inside one commit: providers before what reads from them, so that no follower of the events ever
sees a step before what it needs. Pure and deterministic.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from argyll.model.step import Step


def providers_first(steps: Iterable[Step]) -> list[str]:
    """Ids of the steps, each after those among them that write its inputs or are its goals; ties in ascending order.

    Steps that wait for each other through goals and attributes mixed come last, ascending. Linear in the attributes.
    """
    by_id = {step.id: step for step in steps}
    unwritten: dict[str, int] = {}
    readers: dict[str, list[str]] = {}
    for step in by_id.values():
        for name in step.outputs:
            unwritten[name] = unwritten.get(name, 0) + 1
    waits: dict[str, int] = {}
    goal_of: dict[str, list[str]] = {}
    for step in by_id.values():
        names = [name for name in step.inputs if name in unwritten]
        goals = [goal for goal in dict.fromkeys(step.flow_goals) if goal in by_id]
        waits[step.id] = len(names) + len(goals)
        for name in names:
            readers.setdefault(name, []).append(step.id)
        for goal in goals:
            goal_of.setdefault(goal, []).append(step.id)
    ready = [step_id for step_id, count in waits.items() if not count]
    heapify(ready)
    order: list[str] = []
    while ready:
        step_id = heappop(ready)
        order.append(step_id)
        freed = list(goal_of.get(step_id, ()))
        for name in by_id[step_id].outputs:
            unwritten[name] -= 1
            if not unwritten[name]:
                freed += readers.get(name, ())
        for waiting in freed:
            waits[waiting] -= 1
            if not waits[waiting]:
                heappush(ready, waiting)
    done = set(order)
    return order + sorted(step_id for step_id in by_id if step_id not in done)
