"""Temporary directories in memory where the system has them: these tests sync a thousand times and need no real disk."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def quick_directory() -> str | None:
    """Where to put temporary directories; None for the usual place."""
    return str(_MEMORY) if _MEMORY.is_dir() else None


@pytest.fixture
def tmp_path(quick_directory: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="argyll-store-", dir=quick_directory) as name:
        yield Path(name)
