"""The log's files: what is acknowledged is read again, a torn end is cut, damage refuses."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from argyll.store import DamagedLog
from argyll.store import wal as wal_module
from argyll.store.wal import RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, Entry, Wal, encode_record

OpenWal = Callable[..., tuple[Wal, list[Entry]]]


@pytest.fixture
def open_wal(tmp_path: Path) -> Iterator[OpenWal]:
    opened: list[Wal] = []
    with ThreadPoolExecutor(1) as helper:

        def open_(*, after: int = 0, segment_bytes: int = 4096) -> tuple[Wal, list[Entry]]:
            entries: list[Entry] = []
            wal = Wal(tmp_path, segment_bytes=segment_bytes, helper=helper)
            opened.append(wal)
            wal.open(entries.append, after=after)
            return wal, entries

        yield open_
        for wal in opened:
            wal.close()


def write(wal: Wal, *payloads: bytes) -> None:
    """One group: written and synced together."""
    first = wal.last_index + 1
    entries = [Entry(first + position, 1, payload) for position, payload in enumerate(payloads)]
    records = b"".join(encode_record(entry, durable_index=wal.last_index) for entry in entries)
    wal.append(records, first_index=first, last_index=entries[-1].index)


def payloads(entries: list[Entry]) -> list[bytes]:
    return [entry.payload for entry in entries]


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("*.wal"))


def test_entries_come_back_in_order(open_wal: OpenWal) -> None:
    wal, entries = open_wal()
    assert entries == []
    write(wal, b"one", b"two")
    write(wal, b"")
    wal.close()
    _, entries = open_wal()
    assert entries == [Entry(1, 1, b"one"), Entry(2, 1, b"two"), Entry(3, 1, b"")]


def test_a_full_segment_is_followed_by_another(open_wal: OpenWal, tmp_path: Path) -> None:
    wal, _ = open_wal(segment_bytes=300)
    written = [b"%03d" % number * 20 for number in range(50)]
    for payload in written:
        write(wal, payload)
    wal.close()
    assert len(segments(tmp_path)) == wal.segment_count > 5
    wal, entries = open_wal(segment_bytes=300)
    assert payloads(entries) == written
    assert (wal.first_index, wal.last_index) == (1, 50)


def test_a_group_larger_than_a_segment_gets_its_own(open_wal: OpenWal) -> None:
    wal, _ = open_wal(segment_bytes=300)
    write(wal, b"small")
    write(wal, b"x" * 1000)
    write(wal, b"after")
    wal.close()
    assert payloads(open_wal()[1]) == [b"small", b"x" * 1000, b"after"]


def test_released_segments_go_but_the_last_two_stay(open_wal: OpenWal, tmp_path: Path) -> None:
    wal, _ = open_wal(segment_bytes=300)
    for number in range(20):
        write(wal, b"%03d" % number * 20)
    before = wal.segment_count
    wal.release(20)
    assert wal.segment_count == before, "segments go at the next rotation"
    while wal.segment_count == before or wal.segment_count > 2:
        write(wal, b"more" * 20)
    assert len(segments(tmp_path)) == 2
    first, last = wal.first_index, wal.last_index
    wal.close()
    wal, entries = open_wal(after=first - 1)
    assert [entry.index for entry in entries] == list(range(first, last + 1))


def test_what_is_not_released_stays(open_wal: OpenWal) -> None:
    wal, _ = open_wal(segment_bytes=300)
    wal.release(3)
    for number in range(30):
        write(wal, b"%03d" % number * 20)
    assert 1 < wal.first_index <= 4
    assert wal.segment_count > 5


@pytest.mark.parametrize("torn_bytes", [1, RECORD_HEADER_BYTES - 1, RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + 5])
def test_a_torn_write_at_the_end_is_cut_and_written_over(open_wal: OpenWal, tmp_path: Path, torn_bytes: int) -> None:
    wal, _ = open_wal()
    write(wal, b"kept")
    end = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 4
    wal.close()
    record = encode_record(Entry(2, 1, b"torn away"), durable_index=1)
    patch(segments(tmp_path)[0], end, record[:torn_bytes])

    wal, entries = open_wal()
    assert payloads(entries) == [b"kept"]
    assert wal.cut_bytes == len(record[:torn_bytes].rstrip(b"\0"))
    write(wal, b"new")
    wal.close()
    wal, entries = open_wal()
    assert payloads(entries) == [b"kept", b"new"]
    assert wal.cut_bytes == 0


def test_nothing_of_a_torn_group_comes_back_later(open_wal: OpenWal, tmp_path: Path) -> None:
    """Of a group written together, the first record is lost and the second is whole: both were never acknowledged."""
    wal, _ = open_wal()
    write(wal, b"kept")
    wal.close()
    end = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 4
    lost = encode_record(Entry(2, 1, b"lost"), durable_index=1)
    ghost = encode_record(Entry(3, 1, b"ghost"), durable_index=1)
    patch(segments(tmp_path)[0], end, bytes(8) + lost[8:] + ghost)

    wal, entries = open_wal()
    assert payloads(entries) == [b"kept"]
    write(wal, b"news")  # as long as the lost one: the ghost would follow it
    wal.close()
    assert payloads(open_wal()[1]) == [b"kept", b"news"]


def test_damage_before_an_acknowledged_entry_refuses_and_says_where(open_wal: OpenWal, tmp_path: Path) -> None:
    wal, _ = open_wal()
    write(wal, b"one")
    write(wal, b"two")
    write(wal, b"three")
    wal.close()
    offset = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 3
    patch(segments(tmp_path)[0], offset + RECORD_HEADER_BYTES, b"TWO")
    before = segments(tmp_path)[0].read_bytes()
    with pytest.raises(DamagedLog, match=rf"{offset}.*entry 2.*backup") as caught:
        open_wal()
    assert (caught.value.file, caught.value.offset) == (segments(tmp_path)[0], offset)
    assert segments(tmp_path)[0].read_bytes() == before


def test_an_earlier_segment_must_be_whole(open_wal: OpenWal, tmp_path: Path) -> None:
    wal, _ = open_wal(segment_bytes=300)
    for number in range(20):
        write(wal, b"%03d" % number * 20)
    wal.close()
    data = segments(tmp_path)[1].read_bytes()
    last_record = data.rindex(b"\xa7Rec")
    patch(segments(tmp_path)[1], last_record, bytes(len(data) - last_record))
    with pytest.raises(DamagedLog, match="entries behind"):
        open_wal(segment_bytes=300)


@pytest.mark.parametrize(("missing", "found"), [(0, "segments are missing"), (1, "entries behind"), (-1, "is gone")])
def test_a_missing_segment_refuses(open_wal: OpenWal, tmp_path: Path, missing: int, found: str) -> None:
    wal, _ = open_wal(segment_bytes=300)
    for number in range(20):
        write(wal, b"%03d" % number * 20)
    wal.close()
    segments(tmp_path)[missing].unlink()
    with pytest.raises(DamagedLog, match=found):
        open_wal(segment_bytes=300, after=20 if missing == -1 else 0)


def test_an_emptied_log_directory_refuses_when_the_state_knows_more(open_wal: OpenWal) -> None:
    with pytest.raises(DamagedLog, match="knows entry 7"):
        open_wal(after=7)


def test_a_failed_spare_does_not_stop_the_log(open_wal: OpenWal, monkeypatch: pytest.MonkeyPatch) -> None:
    wal, _ = open_wal(segment_bytes=300)
    prepare, calls = Wal._prepare_spare, iter([OSError(28, "no space left on device")])

    def fail_once(self: Wal, size: int) -> None:
        for error in calls:
            raise error
        prepare(self, size)

    monkeypatch.setattr(Wal, "_prepare_spare", fail_once)
    for number in range(20):
        write(wal, b"%03d" % number * 20)
    wal.close()
    assert len(open_wal()[1]) == 20


def small_log(open_wal: OpenWal, tmp_path: Path) -> tuple[Path, bytes, int]:
    wal, _ = open_wal(segment_bytes=512)
    write(wal, b"one")
    write(wal, b"two", b"three")
    write(wal, b"four")
    wal.close()
    file = segments(tmp_path)[0]
    data = file.read_bytes()
    return file, data, len(data.rstrip(b"\0"))


def outcome(open_wal: OpenWal) -> list[bytes] | None:
    try:
        wal, entries = open_wal(segment_bytes=512)
    except DamagedLog:
        return None
    wal.close()
    return payloads(entries)


ALL = [b"one", b"two", b"three", b"four"]


def test_a_log_cut_anywhere_gives_a_prefix_or_refuses(open_wal: OpenWal, tmp_path: Path) -> None:
    file, data, used = small_log(open_wal, tmp_path)
    for size in range(used + 1):
        file.write_bytes(data[:size])
        found = outcome(open_wal)
        assert found is None or found == ALL[: len(found)], f"cut at {size}"
        assert (found is None) == (size < SEGMENT_HEADER_BYTES), f"cut at {size}"


def test_a_flipped_byte_anywhere_gives_a_prefix_or_refuses(open_wal: OpenWal, tmp_path: Path) -> None:
    file, data, used = small_log(open_wal, tmp_path)
    starts = [at for at in range(used) if data.startswith(b"\xa7Rec", at)]
    for at in range(used):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        found = outcome(open_wal)
        assert found is None or found == ALL[: len(found)], f"flipped at {at}"
        # Only what no later write vouches for may be taken for torn: the last group.
        assert (found is None) == (at < starts[3]), f"flipped at {at}"


def patch(file: Path, offset: int, data: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[offset : offset + len(data)] = data
    file.write_bytes(content)


def test_what_a_start_finds_is_made_durable_before_it_counts(
    open_wal: OpenWal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process leaves its last write in the page cache only."""
    wal, _ = open_wal()
    write(wal, b"one")
    write(wal, b"two", b"three")
    wal.close()
    steps: list[object] = []
    pwrite, sync = os.pwrite, wal_module.sync_data
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: steps.append(data) or pwrite(fd, data, at))
    monkeypatch.setattr(wal_module, "sync_data", lambda fd: steps.append("sync") or sync(fd))
    _, entries = open_wal()
    assert payloads(entries) == [b"one", b"two", b"three"]
    rewritten, then = steps
    assert b"one" not in rewritten
    assert b"two" in rewritten
    assert b"three" in rewritten
    assert then == "sync"
