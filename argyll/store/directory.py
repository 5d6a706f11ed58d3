"""The data directory: who holds it and which format it has. Knows nothing of what is in the files."""

import fcntl
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from argyll.store.errors import DirectoryLocked, NewerFormat, NotAStore
from argyll.store.wal import sync_directory

FORMAT = 1
STATE_FILE = "state.db"
LOG_DIRECTORY = "wal"
RAFT_DIRECTORY = "raft"
_LOCK_FILE = "LOCK"
_FORMAT_FILE = "FORMAT"
_NEW_FORMAT_FILE = "FORMAT.tmp"


class _Holder(msgspec.Struct):
    pid: int
    since: str


class _Format(msgspec.Struct):
    format: int
    created_by: str


class DataDirectory:
    """A directory this process holds alone. `open` takes it, `close` gives it back."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, now_us: int) -> "DataDirectory":
        """Create or check the directory. Raises `DirectoryLocked`, `NewerFormat`, `NotAStore`, OSError."""
        path.mkdir(parents=True, exist_ok=True)
        if not (path / _FORMAT_FILE).exists():
            _check_empty(path)
        lock = _take_lock(path, now_us)
        try:
            _check_format(path)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock)

    @property
    def state_file(self) -> Path:
        return self.path / STATE_FILE

    @property
    def log_directory(self) -> Path:
        return self.path / LOG_DIRECTORY

    @property
    def raft_directory(self) -> Path:
        """The log of a node of a cluster, in place of the other."""
        return self.path / RAFT_DIRECTORY

    def close(self) -> None:
        """Let others have it. The lock file stays: removing it would let two processes lock different files."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _take_lock(path: Path, now_us: int) -> int:
    lock = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 1024, 0)
        os.close(lock)
        try:
            known = msgspec.json.decode(holder, type=_Holder)
        except msgspec.DecodeError:
            raise DirectoryLocked(path, None, None) from None
        raise DirectoryLocked(path, known.pid, known.since) from None
    since = datetime.fromtimestamp(now_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    os.ftruncate(lock, 0)
    os.pwrite(lock, msgspec.json.encode(_Holder(os.getpid(), since)), 0)
    return lock


def _check_empty(path: Path) -> None:
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in {_LOCK_FILE, _NEW_FORMAT_FILE})
    if others:
        raise NotAStore(path, f"it holds {', '.join(others[:3])} but no {_FORMAT_FILE} file")


def _check_format(path: Path) -> None:
    file = path / _FORMAT_FILE
    if not file.exists():
        _write_format(path)
        return
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_Format)
    except msgspec.DecodeError as error:
        raise NotAStore(path, f"its {_FORMAT_FILE} file is unreadable ({error})") from error
    if found.format > FORMAT:
        raise NewerFormat(path, found.format, FORMAT, found.created_by)


def _write_format(path: Path) -> None:
    """Written under another name first, so that it is there whole or not at all."""
    new = path / _NEW_FORMAT_FILE
    with new.open("wb") as out:
        out.write(msgspec.json.encode(_Format(FORMAT, f"argyll {version('argyll')}")))
        out.flush()
        os.fsync(out.fileno())
    new.rename(path / _FORMAT_FILE)
    sync_directory(path)
