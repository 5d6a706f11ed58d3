"""Files of the repository that are made from tables: written, or compared so that they cannot drift."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def write_or_compare(
    files: Mapping[Path, str], arguments: Sequence[str], command: str, *, root: Path = REPOSITORY
) -> int:
    """Write the files below `root`; with `--check` in `arguments` only compare. Returns the exit code, 1 on drift."""
    if unknown := [argument for argument in arguments if argument != "--check"]:
        sys.stderr.write(f"{command}: unknown argument {unknown[0]!r}; the only one is --check\n")
        return 64
    stale = 0
    for path, text in files.items():
        target = root / path
        if "--check" in arguments:
            if not target.exists() or target.read_text("utf-8") != text:
                sys.stderr.write(f"{path} is not up to date: run `{command}`\n")
                stale = 1
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    return stale
