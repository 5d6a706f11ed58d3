"""`python -m benchmarks.scripts`: microseconds per evaluation of the same small programs in Ale, Lua, jpath and Python, and
to compile them.

Conversion of arguments and results is included, as the engine pays it. Best of several rounds, interleaved.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from argyll.model.json import JSON
from argyll.scripts import WORKER_RECURSION_LIMIT, Compiled, Limits, Scripts, configure_process
from argyll.scripts.ale import compile_ale
from argyll.scripts.jpath import compile_jpath
from argyll.scripts.lua import compile_lua

ROUNDS: Final = 5
ROUND_S: Final = 0.05
LIMITS: Final = Limits(steps=100_000_000, wall_ms=60_000)

Values = dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Program:
    """One program in several languages; `predicate` ones are evaluated for their truth."""

    name: str
    args: Values
    predicate: bool
    python: Callable[[Values], JSON]
    ale: str
    lua: str
    jpath: str | None = None


def _sum_to(n: int) -> int:
    total = 0
    while n != 0:
        n, total = n - 1, total + n
    return total


def _fib(n: int) -> int:
    return n if n < 2 else _fib(n - 1) + _fib(n - 2)


ORDER: Final[Values] = {
    "lines": [{"sku": f"a{i}", "qty": i, "price": i * 1.5, "active": i % 2 == 0} for i in range(20)],
    "customer": {"name": "Ann", "active": True},
}


def _total(args: Values) -> JSON:
    return {"result": sum(line["qty"] * line["price"] for line in args["order"]["lines"])}


PROGRAMS: Final = (
    Program(
        "constant result (W1)",
        {"input": 1},
        False,
        lambda args: {"result": "hello"},
        '{:result "hello"}',
        "return {result = 'hello'}",
    ),
    Program(
        "discount step",
        {"amount": 100, "discount_percent": 0.1},
        False,
        lambda args: {"discounted_amount": args["amount"] * (1 - args["discount_percent"])},
        "{:discounted_amount (* amount (- 1 discount_percent))}",
        "return {discounted_amount = amount * (1 - discount_percent)}",
    ),
    Program(
        "two-part predicate",
        {"amount": 150, "status": "active"},
        True,
        lambda args: args["amount"] > 100 and args["status"] == "active",
        '(and (> amount 100) (eq status "active"))',
        "return amount > 100 and status == 'active'",
        '$.amount > 100 && $.status == "active"',
    ),
    Program(
        "total of 20 lines",
        {"order": ORDER},
        False,
        _total,
        "(fold-left + 0 (map (lambda (l) (* (:qty l) (:price l))) (:lines order)))",
        "local s = 0 for _, l in ipairs(order.lines) do s = s + l.qty * l.price end return s",
    ),
    Program(
        "any active line of 20",
        {"order": ORDER},
        True,
        lambda args: any(line["active"] for line in args["order"]["lines"]),
        "(!empty? (filter :active (:lines order)))",
        "for _, l in ipairs(order.lines) do if l.active then return true end end return false",
        "$.order.lines[?@.active == true]",
    ),
    Program(
        "tail loop, 100,000 turns",
        {"n": 100_000},
        False,
        lambda args: {"result": _sum_to(args["n"])},
        "(let-rec [loop (lambda (n acc) (if (= n 0) acc (loop (- n 1) (+ acc n))))] (loop n 0))",
        "local function loop(n, acc) if n == 0 then return acc end return loop(n - 1, acc + n) end return loop(n, 0)",
    ),
    Program(
        "naive fib(15)",
        {"n": 15},
        False,
        lambda args: {"result": _fib(args["n"])},
        "(let-rec [fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))] (fib n))",
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(n)",
    ),
)


def _calls(program: Program, scripts: Scripts) -> dict[str, Callable[[], JSON]]:
    args, names = program.args, list(program.args)

    def evaluation(compiled: Compiled) -> Callable[[], JSON]:
        if program.predicate:
            return lambda: compiled.test(args, LIMITS)
        return lambda: compiled.outputs(args, LIMITS)

    calls: dict[str, Callable[[], JSON]] = {
        "ale": evaluation(scripts.compile("ale", program.ale, names)),
        "lua": evaluation(scripts.compile("lua", program.lua, names)),
    }
    if program.jpath is not None:
        calls["jpath"] = evaluation(scripts.compile("jpath", program.jpath, names))
    calls["python"] = lambda: program.python(args)
    return calls


def _once_us(call: Callable[[], JSON], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats * 1e6


def measure(program: Program, scripts: Scripts) -> dict[str, float]:
    """Microseconds per evaluation by language, the best round of each; the results of all languages must agree."""
    calls = _calls(program, scripts)
    results = {language: call() for language, call in calls.items()}
    if any(result != results["python"] for result in results.values()):
        raise AssertionError(f"{program.name}: the languages disagree: {results}")
    repeats = {name: max(1, round(ROUND_S * 1e6 / max(_once_us(call, 1), 0.1))) for name, call in calls.items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            best[name] = min(best[name], _once_us(call, repeats[name]))
    return best


def compile_us(program: Program) -> dict[str, float]:
    """Microseconds to compile a program anew, by language, the best round of each."""
    texts = {"ale": program.ale, "lua": program.lua, "jpath": program.jpath}
    compilers = {"ale": compile_ale, "lua": compile_lua, "jpath": compile_jpath}
    names, best = sorted(program.args), dict[str, float]()
    for language, text in texts.items():
        if text is not None:
            # Lua runtimes keep what they have compiled: each text is another one.
            fresh = (f"{text} --{number}" if language == "lua" else text for number in count())
            compiler = compilers[language]
            rounds = [_once_us(lambda: compiler(next(fresh), names, time.monotonic), 512) for _ in range(ROUNDS)]  # noqa: B023
            best[language] = min(rounds)
    return best


def main(arguments: Sequence[str]) -> int:
    """Print one table. Takes no arguments."""
    if arguments:
        sys.stderr.write("usage: python -m benchmarks.scripts\n")
        return 2
    configure_process(WORKER_RECURSION_LIMIT)
    scripts = Scripts()
    languages = ("ale", "lua", "jpath")
    head = [*languages, "python", "ale/python", *(f"compile {language}" for language in languages)]
    print(f"{'us per evaluation':<26}" + "".join(f"{column:>14}" for column in head))
    for program in PROGRAMS:
        best, compiling = measure(program, scripts), compile_us(program)
        cells = [best.get(language) for language in (*languages, "python")]
        cells += [best["ale"] / best["python"], *(compiling.get(language) for language in languages)]
        print(f"{program.name:<26}" + "".join(f"{'-':>14}" if cell is None else f"{cell:14.2f}" for cell in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
