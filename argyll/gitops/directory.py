"""A directory as a source. Its revision is a hash of its step files.

File system notices only hasten the next look: they get lost when directories are swapped or made anew.
"""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from argyll.gitops.source import (
    MAX_FILE_BYTES,
    Budget,
    Lineage,
    Snapshot,
    SourceError,
    belongs,
    content_revision,
)

DEBOUNCE_MS = 200
"""An editor that saves many files is answered once."""


class DirectorySource:
    """Every step file below a directory, in any depth, hidden directories left out."""

    poll_s = 5.0

    def __init__(self, root: Path, *, rewatch_s: float = 5.0) -> None:
        """`rewatch_s` is the pause before notices are asked for again after the directory vanished."""
        self._root = root.absolute()
        self._rewatch_s = rewatch_s

    @property
    def name(self) -> str:
        return f"dir:{self._root}"

    def read(self) -> Snapshot:
        """All files as they are now; one that goes away in between belongs to the next look."""
        if not self._root.is_dir():
            what = "is a file, not a directory" if self._root.exists() else "no such directory"
            raise SourceError(f"{self._root}: {what}; give --dir the directory that holds the step files")
        budget = Budget(str(self._root))
        files: dict[str, bytes] = {}
        for path in self._paths():
            with suppress(FileNotFoundError):
                content = _read(self._root / path)
                budget.take(len(content))
                files[path] = content
        revision = content_revision(files)
        return Snapshot(revision, files, f"{self._root} ({revision.removeprefix('sha256:')[:12]})")

    def _paths(self) -> Iterator[str]:
        def refuse(error: OSError) -> None:
            raise SourceError(f"{error.filename}: cannot be listed ({error.strerror}); mend its permissions") from error

        for folder, folders, names in os.walk(self._root, onerror=refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = (Path(folder) / name).relative_to(self._root).as_posix()
                if belongs(path):
                    yield path

    def lineage(self, earlier: str, later: str) -> Lineage:
        """A directory has no history: what is there now follows whatever was there."""
        return "same" if earlier == later else "forward"

    @asynccontextmanager
    async def hints(self, changed: asyncio.Event) -> AsyncGenerator[None]:
        stop = asyncio.Event()
        watcher = asyncio.create_task(self._watch(changed, stop))
        try:
            yield
        finally:
            stop.set()
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, changed: asyncio.Event, stop: asyncio.Event) -> None:
        from watchfiles import awatch

        while not stop.is_set():
            with suppress(OSError, RuntimeError):  # gone, or out of watches: the periodic read goes on
                async for _ in awatch(self._root, stop_event=stop, debounce=DEBOUNCE_MS, step=50):
                    changed.set()
            changed.set()
            await asyncio.sleep(self._rewatch_s)


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path}: not a regular file; only files can hold steps")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise SourceError(f"{path}: a link that leads nowhere; remove it or mend it") from None
        raise
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    if not content:
        # A file that is being written is empty for a moment; its steps must not be removed for that.
        raise SourceError(f"{path}: empty; remove the file, or write a step into it")
    return content
