"""A whole cluster in one process: the real nodes, guards, logs and frames over simulated clocks, links and disks.

Deterministic: a seed gives one history, on every machine. `Simulation.run` raises `Violation` when a promise is broken.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import NamedTuple

import pysyncobj.syncobj as library

from argyll.store.errors import NoLeader, NotLeader, OutcomeUnknown, SafetyStop, StoreFailed, TransferFailed
from argyll.store.log import Command, Outcome
from argyll.store.raft.frames import FrameReader
from argyll.store.raft.journal import Batch, Journal
from argyll.store.raft.node import RaftNode
from argyll.store.raft.options import RaftOptions
from argyll.store.raft.proposals import Proposal
from argyll.store.raft.snapshots import Incoming, Snapshot
from argyll.store.wal import Wal
from tests.unit.store.raft.disk import PowerCut, SimDisk

ID_BYTES = 16
SMALL_FRAME_BYTES = 48
KIND_AT, VOTE_REQUEST_KIND = 8, 7


class Violation(Exception):
    """A promise of the log is broken."""


class Settings(NamedTuple):
    nodes: int = 3
    seconds: float = 14.0
    quiet_s: float = 7.0
    """Without faults, at the end: everything has to come together."""
    faults_every_s: float = 0.5
    max_delay_s: float = 0.06
    window_bytes: int = 4_096
    message_bytes: int = 600
    retained_log_bytes: int = 1_500
    body_bytes: int = 60
    rounds_before_faults_s: float = 1.0


class _Now(Executor):
    def submit(self, fn, /, *args, **kwargs):
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (OSError, PowerCut) as error:
            future.set_exception(error)
        return future


class SimSnapshot:
    def __init__(self, index: int, term: int, commands: tuple[bytes, ...]) -> None:
        self.index, self.term = index, term
        self.data = index.to_bytes(ID_BYTES) + b"".join(commands)
        self.size = len(self.data)

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]

    def close(self) -> None: ...


class SimIncoming:
    def __init__(self, machine: "SimMachine") -> None:
        self.machine = machine
        self.data = bytearray()

    def write(self, offset: int, data: bytes) -> None:
        assert offset == len(self.data)
        self.data += data

    def finish(self, done: Callable[[Exception | None], None]) -> None:
        self.machine.later(lambda: done(None))

    def close(self) -> None: ...


class SimMachine:
    """Remembers the ids of all commands in order; makes them durable now and then."""

    def __init__(self, sim: "Simulation", name: str, boot: int) -> None:
        self.sim, self.name, self.boot = sim, name, boot
        index, term, commands = sim.disks[name].state
        self.applied_index, self.applied_term = index, term
        self.index, self.term = index, term
        self.commands = list(commands)

    def apply(self, index: int, term: int, commands: list[Command]) -> list[Outcome]:
        if index != self.index + 1:
            raise Violation(f"{self.name} applies {index} after {self.index}")
        self.index, self.term = index, term
        ids = [command.id for command in commands]
        self.sim.on_apply(self.name, index, term, ids)
        self.commands += ids
        return [index] * len(ids)

    def save(self) -> None:
        self.sim.disks[self.name].state = (self.index, self.term, tuple(self.commands))
        self.applied_index, self.applied_term = self.index, self.term

    def take_snapshot(self, done: Callable[[Snapshot | Exception], None]) -> None:
        snapshot = SimSnapshot(self.index, self.term, tuple(self.commands))
        self.later(lambda: done(snapshot))

    def receive_snapshot(self) -> Incoming:
        return SimIncoming(self)

    def replace(self, incoming: SimIncoming) -> None:
        data = bytes(incoming.data)
        index = int.from_bytes(data[:ID_BYTES])
        commands = [data[at : at + ID_BYTES] for at in range(ID_BYTES, len(data), ID_BYTES)]
        if commands != [command for at in range(1, index + 1) for command in self.sim.committed[at][1]]:
            raise Violation(f"{self.name} takes over a state at {index} that is not what was committed")
        if index < self.index:
            raise Violation(f"{self.name} goes back from {self.index} to {index}")
        self.sim.stats["states taken over"] += 1
        self.commands = commands
        self.sim.installing = (self.name, self)

    def installed(self, index: int, term: int) -> None:
        self.index, self.term = index, term
        self.save()
        if self.sim.chance.random() < 0.2 and self.sim.now < self.sim.heal_at:
            self.sim.disks[self.name].cut_after = self.sim.chance.randrange(3)

    def later(self, action: Callable[[], None]) -> None:
        boot = self.boot

        def act() -> None:
            member = self.sim.nodes.get(self.name)
            if member is not None and self.sim.boots[self.name] == boot:
                self.sim.inside(self.name, member, action)
                self.sim.kick(self.name)

        self.sim.at(self.sim.chance.random() ** 3 * 1.5, act)


class Member:
    """One running process."""

    def __init__(self, node: RaftNode, journal: Journal, machine: SimMachine) -> None:
        self.node, self.journal, self.machine = node, journal, machine
        self.links: dict[str, int] = {}
        self.kicked = False
        self.writing = False
        self.paused_until = 0.0
        self.slow_disk_s = 0.0
        self.last_commit = 0


class Simulation:
    def __init__(self, seed: int, settings: Settings) -> None:
        self.settings = settings
        self.chance = random.Random(seed)
        self.now, self.active, self.order = 1000.0, "", 0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.names = [f"n{number}" for number in range(settings.nodes)]
        self.disks = {name: SimDisk(random.Random(f"{seed}{name}")) for name in self.names}
        self.skews = {name: (self.chance.uniform(0.97, 1.03), self.chance.uniform(0, 50)) for name in self.names}
        self.nodes: dict[str, Member] = {}
        self.boots = dict.fromkeys(self.names, 0)
        self.blocked: set[tuple[str, str]] = set()
        self.pipes: dict[tuple[str, str, int], deque[tuple[float, bytes]]] = {}
        self.link_number = 0
        self.old_frames: deque[tuple[str, str, bytes]] = deque(maxlen=200)
        self.stats: Counter[str] = Counter()
        self.committed: dict[int, tuple[int, list[bytes]]] = {}
        self.leaders: dict[int, str] = {}
        self.outcomes: dict[bytes, list[Outcome]] = {}
        self.proposed_by: dict[bytes, tuple[str, int, int]] = {}
        self.acked_index = 0
        self.crashed_logs: dict[str, tuple[list[tuple[bytes, int, int]], int, str | None]] = {}
        self.wiped: str | None = None
        self.lost_log: set[tuple[int, int]] = set()
        self.lost_below = 0
        self.installing: tuple[str, SimMachine] | None = None
        self.options = RaftOptions(
            window_bytes=settings.window_bytes,
            message_bytes=settings.message_bytes,
            retained_log_bytes=settings.retained_log_bytes,
            max_entry_commands=8,
            chunk_bytes=200,
            proposal_timeout_ms=3_000,
            transfer_timeout_ms=1_500,
        )
        self.end = self.now + settings.seconds
        self.heal_at = self.end - settings.quiet_s

    def at(self, delay_s: float, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + delay_s, self.order, action))

    def clock(self) -> float:
        rate, offset = self.skews[self.active]
        return self.now * rate + offset

    def enter(self, name: str) -> str:
        before, self.active = self.active, name
        return before

    def run(self) -> Counter[str]:
        """The whole history of one seed. Raises `Violation`."""
        clock, library.monotonicTime = library.monotonicTime, self.clock
        try:
            for name in self.names:
                self.at(self.chance.random() * 0.5, lambda name=name: self.start(name))
            self.at(0.3, self.client)
            self.at(self.settings.rounds_before_faults_s, self.fault)
            self.at(self.settings.seconds - self.settings.quiet_s, self.heal)
            while self.events and self.events[0][0] < self.end:
                self.now, _, action = heapq.heappop(self.events)
                action()
            self.check_end()
            return self.stats
        finally:
            library.monotonicTime = clock

    def start(self, name: str) -> None:
        if name in self.nodes:
            return
        disk = self.disks[name]
        self.boots[name] += 1
        boot = self.boots[name]
        previous = self.enter(name)
        try:
            wal = Wal(Path("/sim"), segment_bytes=2_048, helper=_Now(), files=disk)
            machine = SimMachine(self, name, boot)
            journal = Journal(wal, base_index=machine.applied_index, base_term=machine.applied_term)
            self.check_kept(name, journal)
            node = RaftNode(
                name,
                [other for other in self.names if other != name],
                journal,
                machine,
                self.options,
                chance=self.chance.random,
                session=boot.to_bytes(4) + name.encode().ljust(4)[:4],
                send=lambda peer, frame: self.send(name, peer, frame),
                room=lambda peer: True,
                fail=lambda error: self.failed(name, boot, error),
            )
        except PowerCut:
            self.crash_disk(name, power=True)
            self.at(1, lambda: self.start(name))
            return
        finally:
            self.active = previous
        member = self.nodes[name] = Member(node, journal, machine)
        member.slow_disk_s = self.chance.choice([0.0, 0.0, 0.002, 0.03])
        node.on_applied = lambda index: self.after_apply(name)
        self.timer(name, boot)
        self.at(self.chance.random() * 0.3, lambda: self.save(name, boot))
        for other in self.names:
            if other != name:
                self.at(self.chance.random() * 0.3, lambda other=other: self.connect(name, other))

    def after_apply(self, name: str) -> None:
        if self.installing is not None:
            installing, machine = self.installing
            self.installing = None
            assert installing == name
            machine.installed(self.nodes[name].journal.base_index, self.nodes[name].journal.last_term)

    def timer(self, name: str, boot: int) -> None:
        if self.boots[name] == boot and name in self.nodes:
            self.kick(name)
            self.at(0.02, lambda: self.timer(name, boot))

    def kick(self, name: str) -> None:
        member = self.nodes.get(name)
        if member is not None and not member.kicked:
            member.kicked = True
            self.at(self.chance.random() * 0.0005, lambda: self.tick(name, member))

    def tick(self, name: str, member: Member) -> None:
        if self.nodes.get(name) is not member:
            return
        if member.paused_until > self.now:
            self.at(member.paused_until - self.now, lambda: self.tick(name, member))
            return
        member.kicked = False
        if not member.writing:
            self.inside(name, member, lambda: self.begin(name, member))

    def begin(self, name: str, member: Member) -> None:
        batch = member.node.begin()
        if batch is None or not member.slow_disk_s:
            self.finish(name, member, batch)
        else:
            member.writing = True
            delay_s = self.chance.random() * member.slow_disk_s
            self.at(delay_s, lambda: self.inside(name, member, lambda: self.finish(name, member, batch)))

    def finish(self, name: str, member: Member, batch: Batch | None) -> None:
        member.writing = False
        if batch is not None:
            member.journal.write(batch)
        member.node.finish(batch)
        if member.node.is_dirty:
            self.kick(name)

    def inside(self, name: str, member: Member, action: Callable[[], None]) -> None:
        """Run a piece of a node, as its process would: with its clock, and with what happens when its disk gives up."""
        if self.nodes.get(name) is not member:
            return
        previous = self.enter(name)
        try:
            action()
        except PowerCut:
            self.crash(name, power=True)
        except (OSError, StoreFailed):
            self.stats["disk full"] += 1
            self.crash(name, power=False)
        except SafetyStop as error:
            raise Violation(str(error)) from error
        finally:
            self.active = previous
        self.check_node(name)

    def failed(self, name: str, boot: int, error: Exception) -> None:
        if self.boots[name] == boot:
            self.crash(name, power=False)

    def save(self, name: str, boot: int) -> None:
        """The machine makes its state durable; the log may forget what it holds."""
        member = self.nodes.get(name)
        if member is None or self.boots[name] != boot:
            return
        if member.paused_until <= self.now and not member.writing:
            member.machine.save()
            if self.chance.random() < 0.7:
                self.inside(name, member, lambda: member.node.release(member.machine.applied_index))
        self.at(self.chance.random() * 0.8, lambda: self.save(name, boot))

    def crash(self, name: str, *, power: bool) -> None:
        member = self.nodes.pop(name, None)
        if member is None:
            return
        self.stats["crashes"] += 1
        journal = member.journal
        durable = journal._durable
        kept = [entry for entry, number in zip(journal._entries, journal._numbers, strict=True) if number <= durable]
        saved = journal.getCurrentTerm() if journal.has_durable_vote else 0
        vote = journal.getVotedForNodeId() if journal.has_durable_vote else None
        self.crashed_logs[name] = (kept[1:], saved, vote)
        self.crash_disk(name, power=power)
        for other, link in member.links.items():
            self.at(self.chance.random() * 0.1, lambda other=other, link=link: self.close(other, name, link))
        self.at(self.chance.random() * 2.5, lambda: self.start(name))

    def crash_disk(self, name: str, *, power: bool) -> None:
        self.disks[name].crash(power=power)

    def connect(self, a: str, b: str) -> None:
        if a not in self.nodes or b not in self.nodes:
            return
        one, two = self.nodes[a], self.nodes[b]
        if {(a, b), (b, a)} & self.blocked:
            self.at(0.3, lambda: self.connect(a, b))
            return
        if b in one.links and one.links[b] == two.links.get(a):
            return
        for here, there in ((a, b), (b, a)):
            if there in self.nodes[here].links:
                self.close(here, there, self.nodes[here].links[there])
        self.link_number += 1
        for here, there in ((a, b), (b, a)):
            self.nodes[here].links[there] = self.link_number
            self.pipes[here, there, self.link_number] = deque()
            last, term = self.nodes[there].journal.last_index, self.nodes[there].node.host.term
            previous = self.enter(here)
            self.nodes[here].node.connected(there, last, term)
            self.active = previous
            self.kick(here)

    def close(self, here: str, there: str, link: int) -> None:
        member = self.nodes.get(here)
        if member is not None and member.links.get(there) == link:
            del member.links[there]
            previous = self.enter(here)
            member.node.disconnected(there)
            self.active = previous
            self.kick(here)
            self.at(0.02 + self.chance.random() * 0.3, lambda: self.connect(here, there))

    def send(self, here: str, there: str, frame: bytes) -> None:
        link = self.nodes[here].links.get(there)
        if link is None:
            return
        pipe = self.pipes[here, there, link]
        max_delay_s = self.settings.max_delay_s if self.now < self.heal_at else min(self.settings.max_delay_s, 0.02)
        arrives = self.now + 0.0001 + self.chance.random() ** 3 * max_delay_s
        if pipe:
            arrives = max(arrives, pipe[-1][0])
        pipe.append((arrives, frame))
        if len(frame) < SMALL_FRAME_BYTES and self.chance.random() < 0.3:
            self.old_frames.append((here, there, frame))
        if frame[KIND_AT] == VOTE_REQUEST_KIND and self.chance.random() < 0.2 and self.now < self.heal_at:
            # The worst moment for a vote of another term.
            self.at(self.chance.random() * 0.02, lambda: self.deliver_late(here))
        self.stats["messages"] += 1
        self.at(arrives - self.now, lambda: self.deliver(here, there, link))

    def deliver(self, here: str, there: str, link: int) -> None:
        pipe = self.pipes[here, there, link]
        member = self.nodes.get(there)
        if member is None or member.links.get(here) != link:
            pipe.clear()
            return
        if (here, there) in self.blocked:
            self.at(0.05, lambda: self.deliver(here, there, link))
            return
        while pipe and pipe[0][0] <= self.now:
            for received in FrameReader(1 << 20).feed(pipe.popleft()[1]):
                member.node.receive(here, received)
        self.kick(there)

    def client(self) -> None:
        if self.now < self.heal_at + 1 and self.nodes:
            for _ in range(self.chance.choice([1, 1, 2, 6])):
                self.propose(self.chance.choice(sorted(self.nodes)))
            if self.chance.random() < 0.4:
                self.read(self.chance.choice(sorted(self.nodes)))
        self.at(self.chance.random() * 0.08, self.client)

    def propose(self, name: str) -> None:
        number = len(self.outcomes) + 1
        command_id = number.to_bytes(ID_BYTES)
        self.outcomes[command_id] = []
        self.proposed_by[command_id] = (name, self.boots[name], number)
        boot = self.boots[name]

        def done(outcome: Outcome) -> None:
            self.outcomes[command_id].append(outcome)
            if isinstance(outcome, int):
                self.acked_index = max(self.acked_index, outcome)
                self.stats["acknowledged"] += 1
            elif isinstance(outcome, OutcomeUnknown) and self.now < self.heal_at:
                self.stats["unknown"] += 1
                self.at(0, lambda: self.retry(name, boot))
            elif isinstance(outcome, NoLeader):
                self.stats["no leader"] += 1
            elif not isinstance(outcome, OutcomeUnknown):
                raise Violation(f"a proposal ended with {outcome!r}")

        member = self.nodes[name]
        previous = self.enter(name)
        deadline_s = self.clock() + self.options.proposal_timeout_ms / 1000
        member.node.propose(Proposal(command_id, bytes(self.settings.body_bytes), None, deadline_s, done))
        self.active = previous
        self.kick(name)

    def retry(self, name: str, boot: int) -> None:
        if self.nodes:
            self.propose(self.chance.choice(sorted(self.nodes)))

    def read(self, name: str) -> None:
        asked, known = self.now, self.acked_index

        def done(index: int) -> None:
            self.stats["reads"] += 1
            if index < known:
                raise Violation(f"a read at {asked:.3f} is answered with {index}, {known} was acknowledged before it")

        self.nodes[name].node.read(done)
        self.kick(name)

    def fault(self) -> None:
        if self.now >= self.heal_at:
            return
        chance = self.chance
        frequent = [self.crash_one, self.isolate, self.reset]
        rare = [
            self.cut_power_while_writing,
            self.partition,
            self.pause,
            self.fill_disk,
            self.wipe,
            self.hand_over,
            self.deliver_late,
        ]
        chance.choice([*frequent, *frequent, *rare])()
        self.at(chance.expovariate(1 / self.settings.faults_every_s), self.fault)

    def crash_one(self) -> None:
        if len(self.nodes) > len(self.names) // 2:
            self.crash(self.chance.choice(sorted(self.nodes)), power=self.chance.random() < 0.6)

    def cut_power_while_writing(self) -> None:
        if len(self.nodes) > len(self.names) // 2:
            self.disks[self.chance.choice(sorted(self.nodes))].cut_after = self.chance.randrange(8)

    def partition(self) -> None:
        a, b = self.chance.sample(self.names, 2)
        self.block({(a, b)} if self.chance.random() < 0.5 else {(a, b), (b, a)})

    def isolate(self) -> None:
        a = self.chance.choice(self.names)
        links = {(a, b) for b in self.names if b != a}
        self.block(links | {(b, a) for a, b in links} if self.chance.random() < 0.7 else links)

    def block(self, links: set[tuple[str, str]]) -> None:
        self.stats["partitions"] += 1
        self.blocked |= links
        for a, b in sorted(links):
            if self.chance.random() < 0.5:
                self.at(self.chance.random() * 2.5, lambda a=a, b=b: self.time_out(a, b))

        def unblock() -> None:
            self.blocked -= links

        self.at(self.chance.random() * 3, unblock)

    def time_out(self, a: str, b: str) -> None:
        if {(a, b), (b, a)} & self.blocked:
            self.break_link(a, b)

    def break_link(self, a: str, b: str) -> None:
        for here, there in ((a, b), (b, a)):
            member = self.nodes.get(here)
            if member is not None and there in member.links:
                link = member.links[there]
                self.at(
                    self.chance.random() * 0.3, lambda here=here, there=there, link=link: self.close(here, there, link)
                )

    def reset(self) -> None:
        self.stats["resets"] += 1
        self.break_link(*self.chance.sample(self.names, 2))

    def pause(self) -> None:
        self.stats["pauses"] += 1
        if self.nodes:
            self.nodes[self.chance.choice(sorted(self.nodes))].paused_until = self.now + self.chance.random() * 2.5

    def fill_disk(self) -> None:
        if len(self.nodes) > len(self.names) // 2:
            self.disks[self.chance.choice(sorted(self.nodes))].full = True

    def wipe(self) -> None:
        """One node at a time loses its disk, and not before the last one that did is whole again."""
        if self.wiped is not None:
            member = self.nodes.get(self.wiped)
            if member is None or not member.journal.may_vote or not member.journal.has_durable_vote:
                return
            if member.journal.is_dirty or member.writing:
                return
        if any(not member.journal.may_vote for member in self.nodes.values()) or len(self.nodes) < len(self.names):
            return
        self.stats["wipes"] += 1
        self.wiped = name = self.chance.choice(self.names)
        self.crash(name, power=True)
        self.lost_log = {(index, term) for _, index, term in self.crashed_logs.pop(name)[0]}
        self.lost_below = self.disks[name].state[0]
        self.disks[name].wipe()

    def hand_over(self) -> None:
        for name, member in self.nodes.items():
            if member.node.host.is_leader:
                to = self.chance.choice([other for other in self.names if other != name])

                def done(error: Exception | None) -> None:
                    self.stats["handed over" if error is None else "not handed over"] += 1
                    if error is not None and not isinstance(error, TransferFailed | NotLeader | StoreFailed):
                        raise Violation(f"a hand-over ended with {error!r}")

                previous = self.enter(name)
                member.node.hand_over(to, done)
                self.active = previous
                self.kick(name)
                return

    def deliver_late(self, to: str | None = None) -> None:
        """Answers and votes of terms that are over turn up after all."""
        for here, there, frame in list(self.old_frames):
            if to is not None and there != to:
                continue
            member = self.nodes.get(there)
            (received,) = FrameReader(1 << 20).feed(frame)
            if member is not None and received.term < member.node.host.term and here != self.wiped:
                self.stats["late frames"] += 1
                member.node.receive(here, received)
                self.kick(there)

    def heal(self) -> None:
        self.blocked.clear()
        for disk in self.disks.values():
            disk.full, disk.cut_after = False, None
        for member in self.nodes.values():
            member.paused_until = 0
        for name in self.names:
            self.start(name)
        for a in self.names:
            for b in self.names:
                if a < b:
                    self.at(0.1, lambda a=a, b=b: self.connect(a, b))

    def on_apply(self, name: str, index: int, term: int, ids: list[bytes]) -> None:
        first = self.committed.setdefault(index, (term, ids))
        if first != (term, ids):
            raise Violation(f"entry {index} is {first} elsewhere and {(term, ids)} on {name}")
        self.stats["applied"] += 1

    def check_kept(self, name: str, journal: Journal) -> None:
        """A restarted node still has every entry it had made durable, its term and its vote."""
        entries, term, vote = self.crashed_logs.get(name, ([], 0, None))
        for payload, index, entry_term in entries:
            if index <= journal.base_index:
                continue
            found = journal[index - journal.base_index] if index <= journal.last_index else None
            if found != (payload, index, entry_term):
                raise Violation(f"{name} lost entry {index} of term {entry_term} from its disk")
        if journal.getCurrentTerm() < term:
            raise Violation(f"{name} forgot term {term}")
        if vote is not None and journal.getCurrentTerm() == term and journal.getVotedForNodeId() != vote:
            raise Violation(f"{name} forgot its vote for {vote} in term {term}")

    def check_node(self, name: str) -> None:
        member = self.nodes.get(name)
        if member is None:
            return
        host = member.node.host
        if host.commit_index < member.last_commit:
            raise Violation(f"{name} takes back its commit index {member.last_commit} to {host.commit_index}")
        if host.is_leader:
            if self.leaders.setdefault(host.term, name) != name:
                raise Violation(f"{name} and {self.leaders[host.term]} both lead in term {host.term}")
            if host.commit_index > member.last_commit:
                self.check_majority(name, member)
        member.last_commit = host.commit_index

    def check_majority(self, name: str, leader: Member) -> None:
        index = leader.node.host.commit_index
        term = leader.journal.term_at(index)
        holders = [other for other in self.names if self.holds(other, index, term)]
        if len(holders) <= len(self.names) // 2:
            raise Violation(f"{name} commits {index} of term {term}, which only {holders} have on disk")

    def holds(self, name: str, index: int, term: int | None) -> bool:
        if name == self.wiped and (index <= self.lost_below or (index, term) in self.lost_log):
            # It acknowledged in good faith; one lost disk is within what a majority survives.
            return True
        member = self.nodes.get(name)
        if member is None:
            entries, _, _ = self.crashed_logs.get(name, ([], 0, None))
            return self.disks[name].state[0] >= index or (b"", index, term) in [(b"", e[1], e[2]) for e in entries]
        journal = member.journal
        if index <= journal.base_index:
            return True
        if journal.term_at(index) != term:
            return False
        return journal._numbers[index - journal.base_index] <= journal._durable

    def check_end(self) -> None:
        if len(self.nodes) < len(self.names):
            raise Violation("a node did not come back")
        for member in self.nodes.values():
            if not member.journal.may_vote:
                raise Violation(f"{member.node.node_id} never caught up enough to vote")
        leaders = [name for name, member in self.nodes.items() if member.node.host.is_leader]
        if len(leaders) != 1:
            raise Violation(f"leaders at the end: {leaders}")
        states = {name: (member.machine.index, member.machine.commands) for name, member in self.nodes.items()}
        reference = states[leaders[0]]
        for name, state in states.items():
            if state != reference:
                raise Violation(f"{name} ends at {state[0]}, {leaders[0]} at {reference[0]}, or they differ")
        self.check_outcomes(reference[1])

    def check_outcomes(self, commands: list[bytes]) -> None:
        applied = set(commands)
        if len(applied) != len(commands):
            raise Violation("a command is applied twice")
        for command_id, outcomes in self.outcomes.items():
            name, boot, _ = self.proposed_by[command_id]
            if len(outcomes) > 1 or (not outcomes and self.boots[name] == boot):
                raise Violation(f"proposal {int.from_bytes(command_id)} ended {len(outcomes)} times")
            if outcomes and isinstance(outcomes[0], int) and command_id not in applied:
                raise Violation(f"acknowledged command {int.from_bytes(command_id)} is lost")
            if outcomes and isinstance(outcomes[0], NoLeader) and command_id in applied:
                raise Violation(f"command {int.from_bytes(command_id)} was refused and is applied")
        last: dict[tuple[str, int], int] = {}
        for command_id in commands:
            name, boot, number = self.proposed_by[command_id]
            if number < last.get((name, boot), 0):
                raise Violation(f"commands of {name} are applied out of order")
            last[name, boot] = number
