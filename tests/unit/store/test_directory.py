"""Who may open a data directory, and what is said otherwise."""

import os
from pathlib import Path

import pytest

from argyll.store import (
    Append,
    DamagedLog,
    DamagedState,
    DirectoryLocked,
    NewerFormat,
    NewEvent,
    NotAStore,
    OpenFailed,
    Store,
    StoreOptions,
    UnreadableEntry,
)
from argyll.store.directory import DataDirectory
from argyll.store.embedded import EmbeddedLog

OPTIONS = StoreOptions(fsync="inline", segment_bytes=4096, now_us=lambda: 1_700_000_000_000_000)


async def test_a_directory_has_one_holder(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "data", options=OPTIONS)
    with pytest.raises(DirectoryLocked, match=rf"process {os.getpid()} \(since 2023-11-14T22:13:20Z\)") as caught:
        await Store.open(tmp_path / "data", options=OPTIONS)
    assert caught.value.pid == os.getpid()
    await store.close()
    await (await Store.open(tmp_path / "data", options=OPTIONS)).close()


async def test_a_failed_start_gives_the_directory_back(tmp_path: Path) -> None:
    await (await Store.open(tmp_path, options=OPTIONS)).close()
    (tmp_path / "state.db").write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(DamagedState, match="rebuilt from the log"):
            await Store.open(tmp_path, options=OPTIONS)
    (tmp_path / "state.db").unlink()
    await (await Store.open(tmp_path, options=OPTIONS)).close()


async def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_text('{"format": 7, "created_by": "argyll 9.1"}')
    with pytest.raises(NewerFormat, match=r"format 7 \(created by argyll 9.1\).*up to 1; run the newer release"):
        await Store.open(tmp_path, options=OPTIONS)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["FORMAT", "LOCK"]


@pytest.mark.parametrize(("name", "content"), [("letters.txt", "dear"), ("FORMAT", "{"), ("state.db", "")])
async def test_a_directory_that_is_no_store_is_left_alone(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(NotAStore, match=name):
        await Store.open(tmp_path, options=OPTIONS)
    assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize("name", ["LOCK", "state.db", "wal"])
async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "FORMAT").write_text('{"format": 1, "created_by": "argyll 0.1.0"}')
    if name == "wal":
        (tmp_path / name).touch()
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(OpenFailed, match=f"opening {tmp_path}.*check its permissions"):
        await Store.open(tmp_path, options=OPTIONS)


def test_a_start_that_was_killed_half_way_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "LOCK").touch()
    (tmp_path / "FORMAT.tmp").write_text("{")
    DataDirectory.open(tmp_path, now_us=0).close()
    assert '"format":1' in (tmp_path / "FORMAT").read_text()


async def test_an_entry_of_a_newer_release_stops_the_start(tmp_path: Path) -> None:
    class Accepting:
        applied_index = 0

        def apply(self, index: int, term: int, commands: list[object]) -> list[int]:
            return [1] * len(commands)

    await (await Store.open(tmp_path, options=OPTIONS)).close()
    log = await EmbeddedLog.open(tmp_path / "wal", Accepting(), OPTIONS)
    await log.propose(b"\x09" * 60, command_id=bytes(16))
    await log.close()
    with pytest.raises(UnreadableEntry, match=r"entry 1 .*append format 9.*run the newer release"):
        await Store.open(tmp_path, options=OPTIONS)


async def test_a_state_ahead_of_its_log_stops_the_start(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, options=OPTIONS)
    await store.append(Append(("catalog",), 0, 0, [NewEvent("e", b"{}")]))
    await store.close()
    for file in (tmp_path / "wal").glob("*.wal"):
        file.unlink()
    with pytest.raises(DamagedLog, match=r"state.db knows entry 1: the end of the log is gone.*backup"):
        await Store.open(tmp_path, options=OPTIONS)
