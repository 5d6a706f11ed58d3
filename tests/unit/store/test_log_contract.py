"""What every replicated log promises, whatever is underneath. A new log joins by one line in `LOGS`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from argyll.store import BarrierTimeout, Conflict, NoOtherNode, ReplicatedLog, StoreClosed, StoreFailed, StoreOptions
from argyll.store.embedded import EmbeddedLog
from argyll.store.log import Command, Outcome, StateMachine
from argyll.store.memory import MemoryLog
from tests.unit.store.raft.members import open_log as open_cluster_log

SMALL = 64 << 10


class Machine:
    """Remembers what it applied; `no` is refused, `broken` cannot be applied."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.entries: list[int] = []
        self.entry_of: dict[bytes, int] = {}
        self.applied_index = 0

    def apply(self, index: int, term: int, commands: list[Command]) -> list[Outcome]:
        self.entries.append(index)
        outcomes: list[Outcome] = []
        for command in commands:
            if command.body == b"broken":
                raise RuntimeError("cannot")
            self.commands.append(command)
            self.entry_of[command.body] = index
            refused = Conflict(("a",), 1, 2)
            outcomes.append(refused if command.body == b"no" else len(self.commands))
        return outcomes

    @property
    def bodies(self) -> list[bytes]:
        return [command.body for command in self.commands]


OpenLog = Callable[[StateMachine], Awaitable[ReplicatedLog]]
OpenSingle = Callable[[Path, StateMachine], Awaitable[ReplicatedLog]]


async def _memory(path: Path, machine: StateMachine) -> ReplicatedLog:
    return MemoryLog(machine)


async def _inline(path: Path, machine: StateMachine) -> ReplicatedLog:
    return await EmbeddedLog.open(path, machine, StoreOptions(fsync="inline", segment_bytes=SMALL))


async def _thread(path: Path, machine: StateMachine) -> ReplicatedLog:
    return await EmbeddedLog.open(path, machine, StoreOptions(fsync="thread", segment_bytes=SMALL))


async def _leader(path: Path, machine: StateMachine) -> ReplicatedLog:
    return await open_cluster_log(path, machine, leads=True, fsync="inline")


async def _follower(path: Path, machine: StateMachine) -> ReplicatedLog:
    return await open_cluster_log(path, machine, leads=False, fsync="thread")


SINGLE = {"memory": _memory, "embedded-inline": _inline, "embedded-thread": _thread}
LOGS = SINGLE | {"raft-leader-inline": _leader, "raft-follower-thread": _follower}
DURABLE = [name for name in LOGS if name != "memory"]


@pytest.fixture(params=LOGS)
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLog:
    return lambda machine: LOGS[request.param](tmp_path, machine)


@pytest.fixture(params=DURABLE)
def open_durable(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLog:
    return lambda machine: LOGS[request.param](tmp_path, machine)


def propose(log: ReplicatedLog, body: bytes, context: object = None) -> asyncio.Future[int]:
    propose.count += 1
    return log.propose(body, command_id=propose.count.to_bytes(16), context=context)


propose.count = 0


async def test_commands_are_applied_in_the_order_proposed(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    bodies = [b"%d" % number for number in range(3000)]
    outcomes = await asyncio.gather(*[propose(log, body) for body in bodies])
    assert machine.bodies == bodies
    assert outcomes == list(range(1, 3001))
    assert machine.entries == list(range(1, len(machine.entries) + 1))
    await log.close()


async def test_nothing_is_applied_in_the_turn_it_is_proposed(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    future = propose(log, b"x")
    assert not future.done()
    assert machine.bodies == []
    await future
    assert machine.bodies == [b"x"]
    await log.close()


async def test_the_machine_gets_the_proposers_context_back(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    context = object()
    await propose(log, b"x", context)
    assert machine.commands[0].context is context
    await log.close()


async def test_a_refusal_reaches_its_proposer_only(open_log: OpenLog) -> None:
    log = await open_log(Machine())
    before, refused, after = propose(log, b"1"), propose(log, b"no"), propose(log, b"2")
    assert await before == 1
    with pytest.raises(Conflict):
        await refused
    assert await after == 3
    await log.close()


async def test_a_proposal_nobody_waits_for_is_applied_all_the_same(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    propose(log, b"left").cancel()
    await propose(log, b"kept")
    assert machine.bodies == [b"left", b"kept"]
    await log.close()


async def test_commands_proposed_from_a_callback_follow(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    propose(log, b"1").add_done_callback(
        lambda _: propose(log, b"2").add_done_callback(lambda f: done.set_result(f.result()))
    )
    assert await done == 2
    await log.close()


async def test_close_finishes_what_was_proposed_and_refuses_the_rest(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    proposed = [propose(log, b"x") for _ in range(10)]
    await log.close()
    assert [future.result() for future in proposed] == list(range(1, 11))
    with pytest.raises(StoreClosed):
        await propose(log, b"late")
    with pytest.raises(StoreClosed):
        await log.read_barrier(100)
    await log.close()
    assert log.status().role == "closed"


async def test_a_broken_machine_stops_the_log(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    await propose(log, b"fine")
    broken = propose(log, b"broken")
    with pytest.raises(StoreFailed, match="cannot"):
        await broken
    with pytest.raises(StoreFailed):
        await propose(log, b"later")
    with pytest.raises(StoreFailed):
        await log.read_barrier(100)
    assert machine.bodies == [b"fine"]
    assert log.status().role == "failed"
    await log.close()


async def test_a_barrier_covers_every_acknowledged_command(open_log: OpenLog) -> None:
    log = await open_log(Machine())
    before = await log.read_barrier(100)
    await propose(log, b"x")
    after = await log.read_barrier(100)
    assert after > before
    await log.wait_applied(after, 100)
    await log.close()


async def test_waiting_for_an_entry_ends_when_it_is_applied(open_log: OpenLog) -> None:
    log = await open_log(Machine())
    index = await log.read_barrier(100) + 1
    waiting = asyncio.ensure_future(log.wait_applied(index, 60_000))
    await asyncio.sleep(0)
    assert not waiting.done()
    await propose(log, b"x")
    await waiting
    await log.close()


async def test_waiting_for_an_entry_that_does_not_come_times_out(open_log: OpenLog) -> None:
    log = await open_log(Machine())
    with pytest.raises(BarrierTimeout, match="not applied within 1 ms"):
        await log.wait_applied(99, 1)
    await log.close()


async def test_close_ends_the_wait_for_an_entry(open_log: OpenLog) -> None:
    log = await open_log(Machine())
    waiting = asyncio.ensure_future(log.wait_applied(99, 60_000))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(StoreClosed):
        await waiting


async def test_status_follows_the_log(open_log: OpenLog) -> None:
    machine = Machine()
    log = await open_log(machine)
    waiting = propose(log, b"abc")
    assert (log.status().in_flight_appends, log.status().in_flight_bytes) == (1, 3)
    await waiting
    status = log.status()
    assert status.role in {"leader", "follower"}
    assert status.last_index == status.commit_index == status.applied_index == machine.entry_of[b"abc"]
    assert (status.in_flight_appends, status.in_flight_bytes) == (0, 0)
    await log.close()


@pytest.mark.parametrize("open_single", SINGLE.values(), ids=SINGLE)
async def test_one_node_cannot_hand_over(open_single: OpenSingle, tmp_path: Path) -> None:
    log = await open_single(tmp_path, Machine())
    with pytest.raises(NoOtherNode):
        await log.transfer_leadership()
    await log.close()


async def test_a_durable_log_replays_everything_in_order(open_durable: OpenLog) -> None:
    first = Machine()
    log = await open_durable(first)
    for round_ in range(5):
        await asyncio.gather(*[propose(log, b"%d-%d" % (round_, number) * 40) for number in range(100)])
    await log.close()

    second = Machine()
    log = await open_durable(second)
    assert [(c.id, c.body) for c in second.commands] == [(c.id, c.body) for c in first.commands]
    assert second.entries[: len(first.entries)] == first.entries
    assert all(command.context is None for command in second.commands)
    assert await propose(log, b"next") == 501
    await log.close()


async def test_a_durable_log_replays_only_what_the_machine_does_not_keep(open_durable: OpenLog) -> None:
    first = Machine()
    log = await open_durable(first)
    for number in range(5):
        await propose(log, b"%d" % number)
    await log.close()

    machine = Machine()
    machine.applied_index = first.entry_of[b"2"]
    log = await open_durable(machine)
    assert machine.bodies == [b"3", b"4"]
    await log.close()
