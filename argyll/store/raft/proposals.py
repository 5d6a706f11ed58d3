"""Commands on their way into the log: what this node proposed, and what the leader takes in from all nodes.

A node numbers its commands within one term, sends them in order and again after every lost connection; the leader takes
each number once. A command is thus bound to the term it was sent in: when an entry of a newer term is applied, the
command is either applied or will never be, and is sent again. Nothing here knows sockets or futures.
"""

from collections import deque
from collections.abc import Callable

from argyll.store.errors import NoLeader, OutcomeUnknown
from argyll.store.log import Outcome
from argyll.store.raft.frames import Forward


class Proposal:
    """One command of this node, until it is applied here or given up."""

    __slots__ = ("body", "command_id", "context", "deadline_s", "done", "is_given_up", "was_sent")

    def __init__(
        self, command_id: bytes, body: bytes, context: object, deadline_s: float, done: Callable[[Outcome], None]
    ) -> None:
        self.command_id = command_id
        self.body = body
        self.context = context
        self.deadline_s = deadline_s
        self.done = done
        """Called once, at the latest at the deadline."""
        self.was_sent = False
        """It may be in some leader's log."""
        self.is_given_up = False


class Proposals:
    """This node's commands in the order proposed, those sent first."""

    def __init__(self, session: bytes, timeout_ms: int) -> None:
        """`session`: eight bytes that no other start of any node shares."""
        self._session = session
        self._timeout_ms = timeout_ms
        self._stream = 0
        self._queue: deque[Proposal] = deque()
        self._by_id: dict[bytes, Proposal] = {}
        self._first = 0
        """Number of the queue's first command in the present stream."""
        self._sent = 0
        """Commands of the queue sent on the present connection."""
        self._given_up = 0
        self.term = -1
        """The term of the present stream."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def unanswered(self) -> int:
        """Commands whose maker still waits."""
        return len(self._queue) - self._given_up

    @property
    def has_unsent(self) -> bool:
        return self._sent < len(self._queue)

    def add(self, proposal: Proposal) -> None:
        """A new command, last in order."""
        self._queue.append(proposal)
        self._by_id[proposal.command_id] = proposal
        self.bytes += len(proposal.body)

    def get(self, command_id: bytes) -> Proposal | None:
        """The command, if it is one of this node that is not applied yet."""
        return self._by_id.get(command_id)

    def applied(self, proposal: Proposal, outcome: Outcome) -> None:
        """The command's entry is applied."""
        position = 0 if self._queue[0] is proposal else self._queue.index(proposal)
        self._remove(position)
        if position < self._sent:
            self._sent -= 1
        # It had a number, also when the connection that carried it is gone and sending has begun anew.
        self._first += 1
        if not proposal.is_given_up:
            proposal.done(outcome)

    def open(self, term: int) -> None:
        """Everything sent in older terms and not applied never will be: start a stream for this term with all of it."""
        self.term = term
        self._restart()
        for proposal in self._queue:
            proposal.was_sent = False

    def rewind(self) -> None:
        """The connection to the leader is a new one: send again what may not have arrived."""
        self._sent = 0

    def lose_sight(self) -> None:
        """A state was taken over whole: what was sent may be in it or not."""
        error = OutcomeUnknown("this node took over the state of another; read the aggregate before deciding again")
        sent = [proposal for proposal in self._queue if proposal.was_sent]
        for proposal in sent:
            self._remove(self._queue.index(proposal))
            if not proposal.is_given_up:
                proposal.done(error)
        self.term = -1
        self._restart()

    def take_unsent(self, max_commands: int, max_bytes: int) -> Forward | None:
        """The next commands to send to the leader, in order; None when all are sent."""
        start = self._sent
        commands: list[tuple[bytes, bytes]] = []
        size = 0
        while self._sent < len(self._queue) and len(commands) < max_commands and size < max_bytes:
            proposal = self._queue[self._sent]
            proposal.was_sent = True
            commands.append((proposal.command_id, proposal.body))
            size += len(proposal.body)
            self._sent += 1
        if not commands:
            return None
        return Forward(self.term, self._session + self._stream.to_bytes(8), self._first + start, commands)

    def expire(self, now_s: float, quorum: str) -> None:
        """Give up what waited too long; `quorum` says in words what is known of the cluster."""
        while self._given_up < len(self._queue):
            proposal = self._queue[self._given_up]
            if proposal.deadline_s > now_s:
                return
            if proposal.was_sent:
                # It stays in its place: the numbers of those behind it count on it.
                proposal.is_given_up = True
                self._given_up += 1
                text = f"not committed within {self._timeout_ms} ms ({quorum}); it still may be: read the aggregate before deciding again"
                proposal.done(OutcomeUnknown(text))
            else:
                self._remove(self._given_up)
                proposal.done(NoLeader(self._timeout_ms, quorum))

    def fail(self, error: Exception) -> None:
        """Nothing of this will be followed up any more."""
        queue, self._queue = self._queue, deque()
        self._by_id.clear()
        self._sent = self._given_up = self.bytes = 0
        for proposal in queue:
            if not proposal.is_given_up:
                proposal.done(error)

    def _restart(self) -> None:
        self._stream += 1
        self._first = self._sent = self._given_up = 0
        for proposal in [proposal for proposal in self._queue if proposal.is_given_up]:
            self._remove(self._queue.index(proposal))
        self._given_up = 0

    def _remove(self, position: int) -> None:
        proposal = self._queue[position]
        del self._queue[position]
        del self._by_id[proposal.command_id]
        self.bytes -= len(proposal.body)
        if proposal.is_given_up:
            self._given_up -= 1


class Intake:
    """What the leader has accepted and not put into an entry yet."""

    def __init__(self) -> None:
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._streams: dict[str, tuple[bytes, int]] = {}
        self.gaps = 0

    def __len__(self) -> int:
        return len(self._queue)

    def clear(self) -> None:
        """A new term: every node starts its stream again."""
        self._queue.clear()
        self._streams.clear()

    def accept(self, sender: str, forward: Forward) -> None:
        """Take in what is new of a node's stream."""
        stream, expected = self._streams.get(sender, (b"", 0))
        if stream != forward.stream:
            expected = 0
        known = expected - forward.first
        if known < 0:
            self.gaps += 1
            return
        self._queue.extend(forward.commands[known:])
        self._streams[sender] = (forward.stream, max(expected, forward.first + len(forward.commands)))

    def take(self, max_commands: int, max_bytes: int) -> list[tuple[bytes, bytes]]:
        """Commands for one entry."""
        taken: list[tuple[bytes, bytes]] = []
        size = 0
        while self._queue and len(taken) < max_commands:
            size += len(self._queue[0][1])
            if taken and size > max_bytes:
                break
            taken.append(self._queue.popleft())
        return taken
