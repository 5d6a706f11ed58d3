"""Write-ahead log files: segments of checked records, torn tails, rotation.

Blocking and confined to one caller at a time; group commit and threads belong to `embedded`. A record's payload is
opaque. A segment is filled with zeros before it is used, so that a sync never has to wait for file metadata.
"""

import fcntl
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import msgspec

from argyll.store.errors import DamagedLog

VERSION = 1
KEPT_SEGMENTS = 2
_SEGMENT_MAGIC = b"ARGYLWAL"
_RECORD_MAGIC = b"\xa7Rec"
# magic, version, group, first index; then the CRC of these
_SEGMENT = Struct("<8sHHxxxxQ")
# payload bytes, version, kind, group, index, term, the last index known durable when this was written
_FIELDS = Struct("<IBBHQQQ")
_CRC = Struct("<I")
_ENTRY_KIND = 1
SEGMENT_HEADER_BYTES = _SEGMENT.size + _CRC.size
RECORD_HEADER_BYTES = len(_RECORD_MAGIC) + _CRC.size + _FIELDS.size
_ZERO_CHUNK = bytes(1 << 20)
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
"""macOS: its fsync leaves the data in the drive's own cache, this does not."""


class Entry(msgspec.Struct, frozen=True):
    """One record: an entry of the log."""

    index: int
    term: int
    payload: bytes


class SegmentFile(NamedTuple):
    """A segment on disk; it ends where the next one begins."""

    path: Path
    first_index: int


def encode_record(entry: Entry, *, durable_index: int, group: int = 0) -> bytes:
    """An entry as bytes on disk."""
    fields = _FIELDS.pack(len(entry.payload), VERSION, _ENTRY_KIND, group, entry.index, entry.term, durable_index)
    checksum = zlib.crc32(entry.payload, zlib.crc32(fields))
    return b"".join((_RECORD_MAGIC, _CRC.pack(checksum), fields, entry.payload))


def sync_data(descriptor: int) -> None:
    """Return only when the file's data is on stable storage."""
    if _FULL_SYNC is None:
        os.fdatasync(descriptor)
    else:
        fcntl.fcntl(descriptor, _FULL_SYNC)


def sync_directory(directory: Path) -> None:
    """Make created, renamed and removed names durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Files:
    """What the log does to a file system: the one place to put another one under it."""

    def list(self, directory: Path) -> list[Path]:
        """The segment files of the directory, oldest first."""
        return sorted(directory.glob("*.wal"))

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def open(self, path: Path) -> int:
        """A descriptor to read and write an existing file."""
        return os.open(path, os.O_RDWR)

    def create(self, path: Path) -> int:
        """A descriptor to write the file, emptied or new."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write everything. Raises OSError, possibly after a part."""
        _write_all(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        """Make the file's data durable."""
        sync_data(descriptor)

    def sync_whole(self, descriptor: int) -> None:
        """Make the file's data and its length durable."""
        os.fsync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        sync_directory(directory)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Remove the file if it is there."""
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


FILES = Files()


class _Found(NamedTuple):
    entry: Entry
    durable_index: int
    end: int


def _record_at(data: bytes, offset: int) -> _Found | None:
    start = offset + RECORD_HEADER_BYTES
    if start > len(data) or not data.startswith(_RECORD_MAGIC, offset):
        return None
    crc_at = offset + len(_RECORD_MAGIC)
    fields_at = crc_at + _CRC.size
    size, version, kind, _group, index, term, durable_index = _FIELDS.unpack_from(data, fields_at)
    end = start + size
    if end > len(data):
        return None
    payload = data[start:end]
    if zlib.crc32(payload, zlib.crc32(data[fields_at:start])) != _CRC.unpack_from(data, crc_at)[0]:
        return None
    if version != VERSION or kind != _ENTRY_KIND:
        return None
    return _Found(Entry(index, term, payload), durable_index, end)


class SegmentContents(NamedTuple):
    """What a segment holds: its entries, the offset where they end, how many bytes of a torn write follow there."""

    entries: list[Entry]
    end: int
    torn: int
    unsure: bytes
    """The last records: whole, but not known to be on stable storage. They end at `end`."""


def read_segment(segment: SegmentFile, *, last: bool, files: Files = FILES) -> SegmentContents:
    """Read and check a whole segment.

    Raises `DamagedLog` for everything that a write interrupted by a crash does not explain: only the last segment can
    end in one, and only behind the last entry that was known durable.
    """
    data = files.read(segment.path)
    _check_header(segment, data)
    found_records: list[_Found] = []
    offset = SEGMENT_HEADER_BYTES
    expected = segment.first_index
    while found := _record_at(data, offset):
        if found.entry.index != expected:
            raise DamagedLog(segment.path, offset, f"entry {found.entry.index} where {expected} belongs")
        found_records.append(found)
        offset = found.end
        expected += 1
    rest = data[offset:]
    torn = len(rest.rstrip(b"\0"))
    if torn and not last:
        raise DamagedLog(segment.path, offset, f"entry {expected} is unreadable and is not at the end of the log")
    if torn and _was_durable(data, offset, expected):
        raise DamagedLog(segment.path, offset, f"entry {expected} is unreadable and later entries say it was complete")
    durable = max((found.durable_index for found in found_records), default=0)
    sure = max((found.end for found in found_records if found.entry.index <= durable), default=SEGMENT_HEADER_BYTES)
    return SegmentContents([found.entry for found in found_records], offset, torn, data[sure:offset])


def _check_header(segment: SegmentFile, data: bytes) -> None:
    head = data[: _SEGMENT.size]
    if len(data) < SEGMENT_HEADER_BYTES or zlib.crc32(head) != _CRC.unpack_from(data, _SEGMENT.size)[0]:
        raise DamagedLog(segment.path, 0, "the segment header is unreadable")
    magic, version, _group, first_index = _SEGMENT.unpack(head)
    if magic != _SEGMENT_MAGIC or first_index != segment.first_index:
        raise DamagedLog(segment.path, 0, "the segment header belongs to another file")
    if version > VERSION:
        raise DamagedLog(segment.path, 0, f"log version {version}, this release reads {VERSION}: run the newer release")


def _was_durable(data: bytes, offset: int, index: int) -> bool:
    """Whether a readable record behind `offset` was written when `index` was already durable."""
    while (offset := data.find(_RECORD_MAGIC, offset + 1)) >= 0:
        found = _record_at(data, offset)
        if found and found.durable_index >= index:
            return True
    return False


class Wal:
    """The log's files. Entries are dense and begin at 1; `append` returns when they are durable."""

    def __init__(self, directory: Path, *, segment_bytes: int, helper: Executor, files: Files = FILES) -> None:
        self.directory = directory
        self._files = files
        self._segment_bytes = max(segment_bytes, SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES)
        self._helper = helper
        self._segments: list[SegmentFile] = []
        self._descriptor = -1
        self._offset = 0
        self._capacity = 0
        self._spare: Future[None] | None = None
        self._released = 0
        self._stopped = False
        self.last_index = 0
        self.cut_bytes = 0

    @property
    def first_index(self) -> int:
        """The oldest entry kept."""
        return self._segments[0].first_index

    @property
    def segment_count(self) -> int:
        return len(self._segments)

    @property
    def size_bytes(self) -> int:
        """Disk space taken by the segments, about."""
        return max(0, len(self._segments) - 1) * self._segment_bytes + self._capacity

    def open(self, replay: Callable[[Entry], None], *, after: int | None) -> None:
        """Check every segment, give the entries behind index `after` to `replay`, make ready to append.

        With None, the entries kept are given from the first on, whichever that is. Raises `DamagedLog`; nothing is
        changed then.
        """
        self._files.remove(self._spare_path)
        self._segments = [SegmentFile(path, int(path.stem)) for path in self._files.list(self.directory)]
        if after is None:
            after = self._segments[0].first_index - 1 if self._segments else 0
        if not self._segments:
            self._check_reaches(after)
            self._start_segment(first_index=1, size=self._segment_bytes)
            return
        self._check_joins(after)
        for position, segment in enumerate(self._segments):
            last = position == len(self._segments) - 1
            contents = read_segment(segment, last=last, files=self._files)
            self.last_index = segment.first_index + len(contents.entries) - 1
            if not last and self.last_index + 1 != self._segments[position + 1].first_index:
                raise DamagedLog(segment.path, contents.end, f"entries behind {self.last_index} are missing")
            if last:
                self._check_reaches(after)
                self._reopen_last(contents)
            for entry in contents.entries:
                if entry.index > after:
                    replay(entry)

    def append(self, records: bytes, *, first_index: int, last_index: int) -> None:
        """Write encoded records and wait until they are durable. Raises OSError: then never append again."""
        if self._offset + len(records) > self._capacity:
            size = max(self._segment_bytes, SEGMENT_HEADER_BYTES + len(records))
            self._start_segment(first_index=first_index, size=size)
        self._files.write(self._descriptor, records, self._offset)
        self._files.sync(self._descriptor)
        self._offset += len(records)
        self.last_index = last_index
        if self._spare is None and self._offset * 2 > self._capacity:
            self._spare = self._helper.submit(self._prepare_spare, self._segment_bytes)

    def release(self, index: int) -> None:
        """Entries up to `index` are kept elsewhere; their segments go at the next rotation."""
        self._released = max(self._released, index)

    def close(self) -> None:
        """Close the files; waits for a spare segment that is being prepared."""
        self._stopped = True
        if self._spare is not None:
            self._spare.exception()
            self._spare = None
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1

    @property
    def _spare_path(self) -> Path:
        return self.directory / "spare.tmp"

    def _check_joins(self, after: int) -> None:
        first = self._segments[0]
        if first.first_index > after + 1:
            found = f"the log begins at entry {first.first_index}, state.db ends at {after}: segments are missing"
            raise DamagedLog(first.path, 0, found)

    def _check_reaches(self, after: int) -> None:
        if self.last_index < after:
            path = self._segments[-1].path if self._segments else self.directory
            found = f"the log ends at entry {self.last_index}, state.db knows entry {after}: the end of the log is gone"
            raise DamagedLog(path, self._offset, found)

    def _reopen_last(self, contents: SegmentContents) -> None:
        files = self._files
        self._descriptor = files.open(self._segments[-1].path)
        self._offset = contents.end
        self.cut_bytes = contents.torn
        # What was read may be in the page cache only, after a kill or even after a failed sync that dropped the dirty
        # mark: writing it again is the one way to know it on the disk before anybody builds on it.
        files.write(self._descriptor, contents.unsure, contents.end - len(contents.unsure))
        # Left there, the remains of a torn write could later line up with a new record and pass for an entry.
        self._write_zeros(self._descriptor, contents.end, contents.torn)
        files.sync(self._descriptor)
        self._capacity = max(files.size(self._descriptor), contents.end)

    def _start_segment(self, *, first_index: int, size: int) -> None:
        self._take_spare(size)
        path = self.directory / f"{first_index:020d}.wal"
        descriptor = self._files.open(self._spare_path)
        try:
            header = _SEGMENT.pack(_SEGMENT_MAGIC, VERSION, 0, first_index)
            self._files.write(descriptor, header + _CRC.pack(zlib.crc32(header)), 0)
            self._files.sync(descriptor)
            self._files.rename(self._spare_path, path)
            self._files.sync_directory(self.directory)
        except OSError:
            self._files.close(descriptor)
            raise
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
        self._descriptor = descriptor
        self._offset = SEGMENT_HEADER_BYTES
        self._capacity = size
        self._segments.append(SegmentFile(path, first_index))
        self._drop_released()

    def _take_spare(self, size: int) -> None:
        """Leave a zeroed file of `size` under the spare's name, the prepared one if it fits and worked out."""
        spare, self._spare = self._spare, None
        if spare is None or spare.exception() is not None or size != self._segment_bytes:
            self._prepare_spare(size)

    def _prepare_spare(self, size: int) -> None:
        descriptor = self._files.create(self._spare_path)
        try:
            for offset in range(0, size, len(_ZERO_CHUNK)):
                if self._stopped:
                    return
                # Synced chunk by chunk: one sync of the whole file would hold up every commit behind it.
                self._write_zeros(descriptor, offset, min(len(_ZERO_CHUNK), size - offset))
                self._files.sync(descriptor)
            self._files.sync_whole(descriptor)
        finally:
            self._files.close(descriptor)

    def _write_zeros(self, descriptor: int, offset: int, size: int) -> None:
        for chunk in _chunks(size):
            self._files.write(descriptor, _ZERO_CHUNK[:chunk], offset)
            offset += chunk

    def _drop_released(self) -> None:
        while len(self._segments) > KEPT_SEGMENTS and self._segments[1].first_index <= self._released + 1:
            # Oldest first, so that a crash in between leaves no hole.
            self._files.remove(self._segments.pop(0).path)


def _chunks(size: int) -> Iterator[int]:
    while size > 0:
        yield min(size, len(_ZERO_CHUNK))
        size -= len(_ZERO_CHUNK)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        more = os.pwrite(descriptor, data[written:], offset + written)
        if more == 0:
            raise OSError(28, "no space left on device")
        written += more
