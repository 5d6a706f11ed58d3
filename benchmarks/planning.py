"""`python -m benchmarks.planning`: what plans, checks for circles and catalog updates cost as the catalog grows.

Best of several rounds, nothing remembered between them. Exit code 1 when a plan of 100 steps out of 10,000 takes longer than
10 milliseconds.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from argyll.analysis.wiring import check_against
from argyll.model.catalog import Catalog
from argyll.model.json import JSON
from argyll.model.step import Attribute, Http, Script, Step
from argyll.planning import Planner

SIZES: Final = (1_000, 3_000, 10_000)
ROUNDS: Final = 20
LAYERS: Final = 11
WIDTH: Final = 9
"""Steps of a layer; every one reads all attributes of the layer before, so a group has WIDTH**LAYERS paths."""
GROUP: Final = LAYERS * WIDTH + 1
PLAN_LIMIT_MS: Final = 10.0


def group(number: int) -> Iterator[Step]:
    """A hundred steps that stand on each other in layers; the goal `g{number}` needs them all."""
    for layer in range(LAYERS):
        for place in range(WIDTH):
            yield _step(f"g{number}-s{layer}-{place}", number, layer, f"g{number}-{layer}-{place}")
    yield _step(f"g{number}", number, LAYERS, f"g{number}-goal")


def _step(step_id: str, number: int, layer: int, output: str) -> Step:
    attributes = {output: Attribute("output", "string")}
    if layer:
        below = (f"g{number}-{layer - 1}-{place}" for place in range(WIDTH))
        attributes |= {name: Attribute("required", "string") for name in below}
    return Step(id=step_id, name=step_id, type="sync", attributes=attributes, http=Http("http://h"))


def catalog_of(size: int) -> Catalog:
    """A catalog of that many steps in groups of a hundred."""
    catalog = Catalog()
    for number in range(size // GROUP):
        for step in group(number):
            catalog.put(step)
    return catalog


def best_ms(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds of the quickest of several calls."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        best = min(best, (time.perf_counter() - started) * 1000)
    return best


def plan_ms(catalog: Catalog) -> tuple[float, int]:
    """Milliseconds to plan one group's goal, and the steps of the plan."""

    def plan() -> int:
        return len(Planner(catalog, _no_match).plan(["g0"], {}).steps)

    return best_ms(plan), plan()


def _no_match(script: Script, value: JSON) -> bool:
    raise AssertionError("no step here has a match")


def circles_ms(catalog: Catalog) -> float:
    """Milliseconds to check a change that closes a circle through a whole group, and of one that closes none."""
    first = catalog.steps["g0-s0-0"]
    closing = Step(
        id=first.id,
        name=first.name,
        type="sync",
        attributes={**first.attributes, "g0-goal": Attribute("required", "string")},
        http=first.http,
    )
    if not check_against(catalog, [closing]) or check_against(catalog, [first]):
        raise AssertionError("the check for circles does not tell a circle")
    return best_ms(lambda: check_against(catalog, [closing])) + best_ms(lambda: check_against(catalog, [first]))


def update_us(catalog: Catalog) -> float:
    """Microseconds to replace one step, edges included."""
    step = catalog.steps["g0-s5-5"]

    def replace() -> None:
        for _ in range(100):
            catalog.put(step)

    return best_ms(replace) * 1000 / 100


def main(arguments: Sequence[str]) -> int:
    """Print one table. Takes no arguments. 1 when a plan takes too long."""
    if arguments:
        sys.stderr.write("usage: python -m benchmarks.planning\n")
        return 2
    print(f"{'steps in the catalog':<22}{'plan, ms':>10}{'steps in it':>13}{'circles, ms':>13}{'update, us':>12}")
    slowest = 0.0
    for size in SIZES:
        catalog = catalog_of(size)
        took_ms, planned = plan_ms(catalog)
        slowest = max(slowest, took_ms)
        print(f"{size:<22,}{took_ms:>10.2f}{planned:>13}{circles_ms(catalog):>13.2f}{update_us(catalog):>12.2f}")
    steps = [step for number in range(SIZES[-1] // GROUP) for step in group(number)]
    whole_ms = best_ms(lambda: check_against(Catalog(), steps), rounds=3)
    print(f"all {len(steps):,} steps at once, with every check between them: {whole_ms:.0f} ms")
    if slowest > PLAN_LIMIT_MS:
        print(f"a plan took {slowest:.2f} ms, more than {PLAN_LIMIT_MS:.0f}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
