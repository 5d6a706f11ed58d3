"""Dependencies: declared, documented, and no more than what is used."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;~! ]", requirement)[0] for requirement in requirements}


def documented(heading: str) -> set[str]:
    page = (REPOSITORY / "docs/dependencies.md").read_text("utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| ([a-z][a-z0-9-]*) \|", section, re.MULTILINE))


def imported(package: Path) -> Iterator[str]:
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def test_every_dependency_to_run_has_its_line_and_every_line_its_dependency() -> None:
    assert documented("To run") == names(PROJECT["dependencies"])


def test_every_dependency_to_build_and_test_has_its_line_and_every_line_its_dependency() -> None:
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]

    assert documented("To build and to test") == names(build + PROJECT["optional-dependencies"]["dev"])


def test_the_package_imports_exactly_what_it_declares() -> None:
    distributions = packages_distributions()
    foreign = set(imported(REPOSITORY / "argyll")) - set(sys.stdlib_module_names) - {"argyll"}

    used = {distributions[module][0].lower() for module in foreign}

    assert used == names(PROJECT["dependencies"])
