"""The repository as a stranger finds it: licensed, versioned once, runnable, and free of the place it was made in."""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import argyll

REPOSITORY = Path(__file__).resolve().parents[2]
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
NOT_OURS = {"__pycache__", "node_modules", "build", "dist", "results"}
FOREIGN = re.compile(
    "|".join(
        [
            # Put together here, so that this file does not hold what it looks for.
            r"(?<![\w.])/" + "work/",
            r"\." + "library/",
            "shared/" + "(spec|design|lab)",
            r"(extra-)?index[-_]" + r"url",
            r"https?://[^/\s]*" + r"(artifactory|nexus|devpi|jfrog)",
        ]
    ),
    re.IGNORECASE,
)


def files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if not hidden and path.name not in NOT_OURS and not path.name.endswith(".egg-info"):
                yield from files(path)
        else:
            yield path


def test_nothing_names_the_place_it_was_made_in() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:120]}"
        for path in files(REPOSITORY)
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1)
        if FOREIGN.search(line)
    ]

    assert not found


def test_the_licence_is_the_whole_apache_licence() -> None:
    assert hashlib.sha256((REPOSITORY / "LICENSE").read_bytes()).hexdigest() == APACHE_2_SHA256


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert newest is not None
    assert project["version"] == argyll.__version__ == newest[1]


def test_the_build_script_can_be_run() -> None:
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
