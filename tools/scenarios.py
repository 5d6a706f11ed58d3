"""`python -m tools.scenarios [--check]`: writes `docs/scenarios.md`, which test shows which scenario.

The catalogue is `tests/scenarios/catalogue.toml`. A test says in its docstring which entries it shows (`13.1/2`, `13.1/27-29`); one
for a settled defect carries its number in its name (`test_b17_...`). Tests are read, never imported.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from argyll.analysis.generated import write_or_compare

REPOSITORY = Path(__file__).resolve().parents[1]
CATALOGUE = Path("tests/scenarios/catalogue.toml")
PAGE = Path("docs/scenarios.md")
SETTLED = "settled"
"""The section whose entries have tests named after them."""

_ENTRY = re.compile(r"\b(13\.\d+)/(\d+)(?:-(\d+))?")
_NUMBERED = re.compile(r"\b([BSD]\d+)\b")
_NAMED = re.compile(r"test_([bsd]\d+)_")


class Scenario(NamedTuple):
    """One entry of the catalogue."""

    key: str
    says: str
    decision: str
    """Which decision of the project makes the outcome what it is; empty where none does."""
    cluster: str
    """Why one node cannot show the whole of it; empty where it can."""


class ShownBy(NamedTuple):
    """A test function and the catalogue keys that it names."""

    path: str
    name: str
    shows: frozenset[str]
    named_after: str
    """The settled number in its name, or nothing."""


class Section(NamedTuple):
    """A part of the catalogue, entries in order."""

    key: str
    title: str
    scenarios: list[Scenario]


def read_catalogue(text: str) -> list[Section]:
    """The sections of a catalogue."""
    return [
        Section(key, str(table["title"]), [_scenario(key, *entry) for entry in table.items() if entry[0] != "title"])
        for key, table in tomllib.loads(text).items()
    ]


def _scenario(section: str, number: str, entry: str | dict[str, str]) -> Scenario:
    key = number if section == SETTLED else f"{section}/{number}"
    fields = {"says": entry} if isinstance(entry, str) else entry
    return Scenario(key, fields["says"], fields.get("decision", ""), fields.get("cluster", ""))


def read_tests(root: Path) -> list[ShownBy]:
    """Every test function below `root`/tests, in order of path and name."""
    found: list[ShownBy] = []
    for path in sorted(root.glob("tests/**/test_*.py")):
        found += _tests_of(path.relative_to(root).as_posix(), ast.parse(path.read_bytes()))
    return found


def _tests_of(path: str, module: ast.Module) -> Iterator[ShownBy]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            named = _NAMED.match(node.name)
            after = named[1].upper() if named else ""
            shows = set(_references(ast.get_docstring(node) or "")) | ({after} if after else set())
            yield ShownBy(path, node.name, frozenset(shows), after)


def _references(docstring: str) -> Iterator[str]:
    for section, first, last in _ENTRY.findall(docstring):
        yield from (f"{section}/{number}" for number in range(int(first), int(last or first) + 1))
    yield from _NUMBERED.findall(docstring)


def faults(catalogue: list[Section], tests: list[ShownBy]) -> list[str]:
    """What keeps the catalogue from being shown: entries without a test, tests that name no entry."""
    scenarios = {scenario.key: scenario for section in catalogue for scenario in section.scenarios}
    shown = {key for test in tests for key in test.shows}
    named = {test.named_after for test in tests}
    found = [
        f"{CATALOGUE}: no test names {key} ({scenario.says})"
        for key, scenario in scenarios.items()
        if "/" in key and key not in shown and not scenario.cluster
    ]
    found += [
        f"{CATALOGUE}: no test is named after {key}; call one test_{key.lower()}_..."
        for key in scenarios
        if "/" not in key and key not in named
    ]
    found += [
        f"{test.path}: {test.name} names {key}, which the catalogue does not have"
        for test in tests
        for key in sorted(test.shows)
        if key not in scenarios and ("/" in key or key == test.named_after)
    ]
    return found


def page(catalogue: list[Section], tests: list[ShownBy]) -> str:
    """The page that says which test shows which scenario."""
    shown: defaultdict[str, list[ShownBy]] = defaultdict(list)
    for test in tests:
        for key in test.shows:
            shown[key].append(test)
    count = sum(len(section.scenarios) for section in catalogue if section.key != SETTLED)
    lines = [
        "# Scenarios",
        "",
        f"The {count} scenarios of execution that this project is held to, and the settled defects of earlier work, each with the tests",
        "that show it. Written by `make docs` from `tests/scenarios/catalogue.toml` and the docstrings of the tests; `make lint` fails when",
        "an entry has no test.",
    ]
    for section in catalogue:
        lines += ["", f"## {section.title}", "", "| No. | What is shown | Tests |", "| --- | --- | --- |"]
        lines += [_row(section, scenario, shown[scenario.key]) for scenario in section.scenarios]
    return "\n".join(lines) + "\n"


def _row(section: Section, scenario: Scenario, tests: list[ShownBy]) -> str:
    words = scenario.says
    if scenario.decision:
        words += f" (decision{'s' if ',' in scenario.decision else ''} {scenario.decision})"
    if scenario.cluster:
        words += f" (cluster: {scenario.cluster})"
    names = "<br>".join(f"`{test.path.removeprefix('tests/')}::{test.name}`" for test in tests)
    return f"| {scenario.key} | {words} | {names or '-'} |"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it. 1 when it differs or the catalogue is not shown."""
    catalogue = read_catalogue((REPOSITORY / CATALOGUE).read_text("utf-8"))
    tests = read_tests(REPOSITORY)
    found = faults(catalogue, tests)
    for fault in found:
        print(fault, file=sys.stderr)
    stale = write_or_compare({PAGE: page(catalogue, tests)}, arguments, "python -m tools.scenarios")
    return 1 if found else stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
