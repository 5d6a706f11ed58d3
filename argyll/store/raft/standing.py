"""Whether a node may take part in elections: not before it is sure that it has forgotten nothing it once acknowledged.

A node with a new log may be one of a new cluster, one that joins late, or one that lost its disk; it cannot tell, but the
others can. Until it has caught up with a leader of theirs it neither stands for election nor votes.
"""

from collections.abc import Iterable

from argyll.store.raft.journal import Journal


class Standing:
    """What this node knows of the others' logs, as far as that matters to its own right to vote."""

    def __init__(self, journal: Journal, others: Iterable[str]) -> None:
        self._journal = journal
        self._unseen = set(others)
        self._with_history: set[str] = set()
        self._judge()

    def seen(self, peer: str, *, has_history: bool) -> None:
        """A peer said whether it holds entries or took part in an election."""
        if self._journal.may_vote:
            return
        self._unseen.discard(peer)
        if has_history:
            self._with_history.add(peer)
        self._judge()

    def caught_up(self) -> None:
        """This node holds everything that was committed before the present term."""
        self._journal.may_vote = True

    def may_vote_for(self, candidate: str) -> bool:
        """Without a full vote, only for the one node that has a history, as when one node grows into a cluster."""
        return self._journal.may_vote or (not self._unseen and self._with_history == {candidate})

    def _judge(self) -> None:
        # Everybody is here and nobody has a history, save perhaps this node: the cluster begins now, with what it has.
        if not self._unseen and not self._with_history:
            self._journal.may_vote = True
