"""Who imports whom: the contracts hold, name every room, and say what the architecture page says."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "argyll"
ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
WORLD = {"asyncio", "io", "logging", "os", "random", "secrets", "socket", "time"}


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, and of what it takes from them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def page_rows() -> dict[str, set[str]]:
    """What each room may import, as the page says."""
    page = (REPOSITORY / "docs/architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `argyll\.(\w+)` \|[^|]*\|([^|]*)\|", page, re.MULTILINE)
    return {room: set(re.findall(r"\w+", allowed)) if "Any" not in allowed else ROOMS for room, allowed in rows}


def test_every_import_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([linter, "--no-logo", "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_architecture_page_names_every_room() -> None:
    assert set(page_rows()) == ROOMS


@pytest.mark.parametrize("room", sorted(ROOMS - {"cli"}))
def test_the_contract_of_a_room_forbids_what_the_page_does_not_allow(room: str) -> None:
    forbidden = next(
        set(contract["forbidden_modules"])
        for contract in CONTRACTS
        if contract["source_modules"] == [f"argyll.{room}"] and contract["forbidden_modules"][0].startswith("argyll.")
    )

    assert forbidden == {f"argyll.{other}" for other in ROOMS - page_rows()[room] - {room}}


@pytest.mark.parametrize("room", ["flow", "planning", "model"])
def test_a_pure_room_reaches_for_no_clock_no_chance_and_no_world(room: str) -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {module}"
        for path in (PACKAGE / room).rglob("*.py")
        for module in imported(path)
        if module.partition(".")[0] in WORLD
    }

    assert not found


def test_http_is_served_by_the_server_and_the_step_service_kit_alone() -> None:
    serving = {
        path.relative_to(PACKAGE).parent.as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(module == "aiohttp.web" or module.startswith("aiohttp.web.") for module in imported(path))
    }

    assert serving <= {"server", "client/service"}
