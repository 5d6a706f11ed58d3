"""`python -m argyll.scripts.conformance FILE`: runs a JSON-lines file of script cases and tells which fail.

A case has `lang`, `kind` (step, predicate, mapping, match), `script`, `args` or `value`, and `expect` or `error` with a
`stage`. Numbers compare as numbers. An error expected at run time may come as early as compile time, not later.
The compliance suite of RFC 9535 (`cts.json`: one document with `tests`) is run too, as jpath queries.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from argyll.model.json import JSON
from argyll.scripts.interface import Compiled, CompileError, Limits, RunError
from argyll.scripts.process import WORKER_RECURSION_LIMIT, configure_process
from argyll.scripts.registry import Scripts

PATIENT = Limits(wall_ms=20_000)
"""Steps decide here, so that a busy machine changes no result."""


def run_case(scripts: Scripts, case: JSON) -> str | None:
    """What is wrong with a case's outcome, None when nothing is."""
    names = _names(case)
    try:
        compiled = scripts.compile(case["lang"], case["script"], names)
    except CompileError as error:
        return None if case.get("error") else f"compile error: {error}"
    if case.get("error") and case.get("stage") == "compile":
        return "compiled; an error was expected"
    try:
        result = _evaluate(compiled, case)
    except RunError as error:
        return None if case.get("error") else f"run error: {error}"
    if case.get("error"):
        return f"gave {result!r}; an error was expected"
    return None if same(result, case.get("expect")) else f"gave {result!r}, expected {case.get('expect')!r}"


def _names(case: JSON) -> list[str]:
    if "params" in case:
        return case["params"]
    if "args" in case:
        return list(case["args"])
    return [case.get("name", "value")]


def _evaluate(compiled: Compiled, case: JSON) -> JSON:
    args = case.get("args", {})
    match case["kind"]:
        case "step":
            return compiled.outputs(args, PATIENT)
        case "predicate":
            return compiled.test(args, PATIENT)
        case "match":
            return compiled.test_value(case.get("value"), PATIENT)
        case "mapping":
            value = case.get("value")
            return compiled.map({case.get("name", "value"): value, **args}, value, PATIENT)
        case other:
            raise ValueError(f"unknown kind of case {other!r}")


def same(a: JSON, b: JSON) -> bool:
    """Equality of JSON: numbers by value, booleans never equal to numbers."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    return bool(a == b)


def run_rfc9535_case(scripts: Scripts, case: JSON) -> str | None:
    """What is wrong with the outcome of a case of the RFC's compliance suite, None when nothing is."""
    try:
        compiled = scripts.compile("jpath", case["selector"])
    except CompileError as error:
        return None if case.get("invalid_selector") else f"compile error: {error}"
    if case.get("invalid_selector"):
        return "compiled; an error was expected"
    allowed: list[JSON] = case["results"] if "results" in case else [case["result"]]
    try:
        found = compiled.map({}, case["document"], PATIENT)
    except RunError as error:
        return None if [] in allowed else f"run error: {error}"
    # A mapping answers the node itself when there is one.
    if any(nodes and same(found, nodes[0] if len(nodes) == 1 else nodes) for nodes in allowed):
        return None
    return f"gave {found!r}, expected {' or '.join(map(repr, allowed))}"


Case: TypeAlias = tuple[str, Callable[[Scripts], str | None]]
"""A case by the name it is told under, and what runs it."""


def _cases(path: str, text: str) -> Iterator[Case]:
    try:
        suite = json.loads(text)
    except json.JSONDecodeError:  # several documents, one a line
        suite = None
    if isinstance(suite, dict) and "tests" in suite:
        for case in suite["tests"]:
            yield f"{path}: {case['name']}: {case['selector']!r}", partial(run_rfc9535_case, case=case)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            case = json.loads(line)
            named = f"{path}:{number}: {case['lang']} {case['kind']} {case['script']!r}"
            yield named, partial(run_case, case=case)


def main(arguments: Sequence[str]) -> int:
    """Run the file named by the only argument; 0 when every case passes."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m argyll.scripts.conformance FILE\n")
        return 2
    configure_process(WORKER_RECURSION_LIMIT)
    scripts = Scripts()
    passed, failed = 0, 0
    for name, run in _cases(arguments[0], Path(arguments[0]).read_text("utf-8")):
        wrong = run(scripts)
        if wrong is None:
            passed += 1
        else:
            failed += 1
            sys.stdout.write(f"{name}: {wrong}\n")
    sys.stdout.write(f"scripts: {passed} of {passed + failed} passed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
