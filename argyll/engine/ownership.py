"""Who looks after a flow: one of the nodes that are there, the same in every node's eyes at the same place of the log.

Only the node that owns a flow claims its pending work, wakes it when time passes and tells its parent; commands may run
anywhere. Rendezvous hashing: a node that comes or goes moves no flows but those it gets or had. A flow and the child
flows under it are owned together.
"""

from collections.abc import Iterable
from hashlib import blake2b

from argyll.model.ids import CHILD_SEPARATOR

_KNOWN_LIMIT = 65_536
"""Owners remembered before they are computed anew."""


class Ownership:
    """`owners` are the nodes that look after flows, `present` those that may still be calling."""

    def __init__(self, node_id: str, *, alone: bool) -> None:
        self.node_id = node_id
        self.is_alone = alone
        """This is the only node there is: it owns everything, without asking anybody."""
        self.owners: tuple[str, ...] = (node_id,) if alone else ()
        self.present = frozenset(self.owners)
        self._known: dict[str, str] = {}

    def change(self, owners: Iterable[str], present: Iterable[str]) -> None:
        """From here on these nodes are there."""
        self.owners, self.present = tuple(sorted(owners)), frozenset(present)
        self._known.clear()

    def owns(self, flow_id: str) -> bool:
        """Whether this node looks after the flow."""
        return self.is_alone or self.owner(flow_id) == self.node_id

    def owner(self, flow_id: str) -> str | None:
        """The node that looks after the flow; None while nobody is there."""
        root = flow_id.partition(CHILD_SEPARATOR)[0]
        owner = self._known.get(root)
        if owner is None:
            if not self.owners:
                return None
            owner = first_choice(self.owners, root)
            if len(self._known) >= _KNOWN_LIMIT:
                self._known.clear()
            self._known[root] = owner
        return owner

    def owned_under(self, owners: tuple[str, ...], flow_id: str) -> bool:
        """Whether this node looked after the flow while `owners` were the nodes that do."""
        root = flow_id.partition(CHILD_SEPARATOR)[0]
        return bool(owners) and first_choice(owners, root) == self.node_id

    def is_gone(self, node_id: str) -> bool:
        """Whether what a node had under way was left behind."""
        return node_id not in self.present


def first_choice(nodes: Iterable[str], key: str) -> str:
    """The node with the highest weight for a key; the order of `nodes` does not matter."""
    return max(nodes, key=lambda node: (_weight(node, key), node))


def _weight(node: str, key: str) -> bytes:
    return blake2b(key.encode(), digest_size=8, key=blake2b(node.encode(), digest_size=16).digest()).digest()
