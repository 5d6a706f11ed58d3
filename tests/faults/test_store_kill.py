"""Killed at random moments under load, the store keeps every append it acknowledged, in order, with its index."""

import asyncio
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from argyll.store import FlowQuery, Store, StoreOptions

pytestmark = pytest.mark.faults

ROUNDS = 50
FLOWS = 40
EVENTS_PER_FLOW = 12
OPTIONS = {"segment_bytes": 256 << 10, "checkpoint_bytes": 256 << 10, "flush_appends": 64, "flush_delay_ms": 5}
ACK = struct.Struct("<IIH")

# Starts flows that end after some events, `FLOWS` at a time, and tells the parent (flow, next sequence, ended) per append.
CHILD = """
import asyncio, os, struct, sys
from pathlib import Path
from argyll.store import Append, IndexUpdate, NewEvent, Store, StoreOptions

ack = struct.Struct("<IIH")
directory, out, first, flows, per_flow, fsync, options = sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:6]), sys.argv[6], eval(sys.argv[7])

async def run():
    store = await Store.open(Path(directory), options=StoreOptions(fsync=fsync, **options))
    numbers = iter(range(first, 1 << 31))

    def tell(number, sequence, ended, future):
        if future.exception() is None:
            assert future.result() == sequence
            os.write(out, ack.pack(number, sequence, ended))

    async def drive():
        for number in numbers:
            futures = []
            for sequence in range(per_flow):
                ended = sequence == per_flow - 1
                index = IndexUpdate("active", {"mod": str(number % 3)}) if sequence == 0 else None
                if ended:
                    index = IndexUpdate("completed")
                event = NewEvent("e", b'{"flow":%d,"sequence":%d,"x":"%s"}' % (number, sequence, b"x" * (number % 300)))
                future = store.append(Append(("flow", f"f{number}"), sequence, number, [event], index))
                future.add_done_callback(lambda f, a=(number, sequence + 1, ended): tell(*a, f))
                futures.append(future)
                if sequence % 4 == 3:
                    await asyncio.gather(*futures)

    await asyncio.gather(*[drive() for _ in range(flows)])

asyncio.run(run())
"""


def load_until_killed(directory: Path, first: int, fsync: str, seed: random.Random) -> dict[int, tuple[int, bool]]:
    """Acknowledged (next sequence, ended) per flow of one killed process."""
    reading, writing = os.pipe()
    arguments = [directory, writing, first, FLOWS, EVENTS_PER_FLOW, fsync, OPTIONS]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *map(str, arguments)], pass_fds=[writing])
    os.close(writing)
    acknowledged: dict[int, tuple[int, bool]] = {}
    enough = seed.randrange(1, 3000)
    rest = b""
    killed = False
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while chunk := pipe.read(1 << 16):
            rest += chunk
            whole = len(rest) - len(rest) % ACK.size
            for number, sequence, ended in ACK.iter_unpack(rest[:whole]):
                acknowledged[number] = (sequence, bool(ended))
                enough -= 1
            rest = rest[whole:]
            if enough <= 0 and not killed:
                killed = True
                os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    return acknowledged


async def check(directory: Path, acknowledged: dict[int, tuple[int, bool]], recent: dict[int, tuple[int, bool]]) -> int:
    """Every acknowledged append is there; gives the first flow number nothing was written for."""
    store = await Store.open(directory, options=StoreOptions(fsync="inline", **OPTIONS))
    listed = {row.id: row for row in store.query_flows(FlowQuery()).flows}
    for number, (sequence, ended) in recent.items():
        records = store.read_events(("flow", f"f{number}"))
        assert len(records) >= sequence
        assert [record.sequence for record in records] == list(range(len(records)))
        for record in records:
            assert b'{"flow":%d,"sequence":%d,' % (number, record.sequence) in record.data
        whole = len(records) == EVENTS_PER_FLOW
        assert whole or not ended
        row = listed[f"f{number}"]
        assert (row.status, row.labels) == ("completed" if whole else "active", {"mod": str(number % 3)})
    for number, (sequence, _) in acknowledged.items():
        assert store.next_sequence(("flow", f"f{number}")) >= sequence
    by_label = [store.query_flows(FlowQuery(labels={"mod": str(mod)}, limit=1)).total for mod in range(3)]
    assert sum(by_label) == len(listed) == store.query_flows(FlowQuery(limit=1)).total
    assert store.active_flows() == sorted(row.id for row in listed.values() if row.status == "active")
    await store.close()
    return 1 + max((int(flow_id[1:]) for flow_id in listed), default=0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fsync", ["inline", "thread"])
def test_no_acknowledged_append_is_lost(tmp_path: Path, fsync: str) -> None:
    seed = random.Random(7)
    acknowledged: dict[int, tuple[int, bool]] = {}
    first = 0
    for _ in range(ROUNDS // 2):
        recent = load_until_killed(tmp_path, first, fsync, seed)
        acknowledged |= recent
        first = asyncio.run(check(tmp_path, acknowledged, recent))
    assert len(acknowledged) > ROUNDS
