"""A real limit of the operating system ends the writing: the store says so, and what it acknowledged is there."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from argyll.store import Store, StoreOptions

pytestmark = pytest.mark.faults

# Segments are larger than the process may write files: the log ends where the operating system refuses.
CHILD = """
import asyncio, resource, signal, sys
from pathlib import Path
from argyll.store import Append, NewEvent, Store, StoreFailed, StoreOptions

async def run():
    store = await Store.open(Path(sys.argv[1]), options=StoreOptions(fsync=sys.argv[2], segment_bytes=64 << 10))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (48 << 10, 48 << 10))
    acknowledged = 0
    try:
        while True:
            event = NewEvent("e", b'{"x":"%s"}' % (b"x" * 700))
            acknowledged = await store.append(Append(("catalog",), acknowledged, 0, [event]))
    except StoreFailed as error:
        print(acknowledged, error, flush=True)

asyncio.run(run())
"""


@pytest.mark.parametrize("fsync", ["inline", "thread"])
def test_a_file_that_may_not_grow_stops_the_store_and_loses_nothing(tmp_path: Path, fsync: str) -> None:
    arguments = [sys.executable, "-c", CHILD, str(tmp_path), fsync]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    count, _, text = done.stdout.partition(" ")
    assert "File too large" in text or "state.db failed" in text, "whichever file reached the limit first"
    assert "restart" in text
    acknowledged = int(count)
    assert acknowledged > 0

    async def check() -> None:
        store = await Store.open(tmp_path, options=StoreOptions(segment_bytes=64 << 10))
        assert store.next_sequence(("catalog",)) in {acknowledged, acknowledged + 1}
        assert len(store.read_events(("catalog",))) == store.next_sequence(("catalog",))
        await store.close()

    asyncio.run(check())
