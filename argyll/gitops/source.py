"""Where definitions come from: a source gives the bytes of every step file at one revision, all or nothing.

A source reads and never writes, checks nothing, and knows no engine.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, Protocol, TypeVar

MAX_SOURCE_FILES = 50_000
MAX_FILE_BYTES = 1024 * 1024
"""A longer file is handed on cut after one byte more, so that the check reports it with its place (ARG011)."""
MAX_SOURCE_BYTES = 256 * 1024 * 1024
"""All files of one revision together."""

Lineage = Literal["same", "forward", "rewound", "rewritten"]
"""How a revision follows another one: a later commit, an earlier one, or one of another history."""

Content = TypeVar("Content")

PROJECT_FILE = "argyll.yaml"
STEP_SUFFIXES = (".yaml", ".yml")


class SourceError(Exception):
    """The source cannot be read. The text names the place and the mend."""


class SourceTooLarge(SourceError):
    """More files or bytes than `MAX_SOURCE_FILES` or `MAX_SOURCE_BYTES`."""


@dataclass(frozen=True)
class Snapshot:
    """One revision. `files` maps POSIX paths below the root to contents, the project file of the root among them."""

    revision: str
    files: Mapping[str, bytes]
    description: str
    """The revision for people, such as `main@9f2c1e4`."""
    unread: Mapping[str, str] = field(default_factory=dict[str, str])
    """Paths of step files that are there but cannot be read, and why: to pass them over would remove their steps."""


class Source(Protocol):
    """`read` blocks (run it in a thread); `hints` sets an event when something may have changed."""

    @property
    def name(self) -> str:
        """What people call it; also the default owner of the steps it supplies."""
        ...

    @property
    def poll_s(self) -> float:
        """How often it may be asked without being a burden, in seconds."""
        ...

    def read(self) -> Snapshot:
        """The current revision. Raises `SourceError`."""
        ...

    def lineage(self, earlier: str, later: str) -> Lineage:
        """How the revision `later` follows `earlier`. Blocks like `read`. Raises `SourceError`."""
        ...

    def hints(self, changed: asyncio.Event) -> AbstractAsyncContextManager[None]:
        """While entered, sets `changed` on news. Hints may be lost or wrong: a periodic read stays the truth."""
        ...


def belongs(path: str) -> bool:
    """Whether a source reads a path below its root: YAML in no hidden directory; of project files only the root's."""
    parts = PurePosixPath(path).parts
    if parts[-1] == PROJECT_FILE:
        return len(parts) == 1
    return path.endswith(STEP_SUFFIXES) and not any(part.startswith(".") for part in parts)


def within(files: Mapping[str, Content], directories: Sequence[str]) -> dict[str, Content]:
    """The project file and the files below the directories that it names under `paths`; all when it names none."""
    roots = [PurePosixPath(directory) for directory in directories]
    return {
        path: content
        for path, content in files.items()
        if not roots or path == PROJECT_FILE or any(PurePosixPath(path).is_relative_to(root) for root in roots)
    }


def content_revision(files: Mapping[str, bytes]) -> str:
    """A revision for files that have no commit: equal contents give equal text."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{len(path.encode())}:{len(content)}:{path}\0".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


class Budget:
    """Counts what a source has read against the limits."""

    def __init__(self, place: str) -> None:
        self._place, self._files, self._bytes = place, 0, 0

    def take(self, size: int) -> None:
        """Account for one file. Raises `SourceTooLarge`."""
        self._files += 1
        self._bytes += size
        if self._files > MAX_SOURCE_FILES:
            raise SourceTooLarge(
                f"{self._place}: more than {MAX_SOURCE_FILES} step files (MAX_SOURCE_FILES); point to a directory below"
            )
        if self._bytes > MAX_SOURCE_BYTES:
            raise SourceTooLarge(
                f"{self._place}: step files of more than {MAX_SOURCE_BYTES} bytes (MAX_SOURCE_BYTES); "
                "point to a directory below"
            )
