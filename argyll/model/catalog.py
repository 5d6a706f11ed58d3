"""The catalog (every registered step) and the cluster (each node's view of step health), with their appliers.

Edges between attributes and steps are kept beside the steps and always follow them (decisions 12).
"""

from msgspec import Struct, field

from argyll.model.events import (
    CatalogApplied,
    Payload,
    StepHealthChanged,
    StepRegistered,
    StepUnregistered,
    StepUpdated,
)
from argyll.model.plan import Edges
from argyll.model.step import Step
from argyll.model.wire import step_from_json


class Catalog(Struct):
    """Registered steps by id, and who writes and reads each attribute. `sequence` counts the events applied."""

    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    providers: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    consumers: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    owners: dict[str, str] = field(default_factory=dict[str, str])
    """Step id to the owner whose catalog apply wrote it last; steps registered one by one have none."""
    last_updated: int = 0
    sequence: int = 0

    def put(self, step: Step) -> None:
        """Add or replace a step."""
        self.remove(step.id)
        self.steps[step.id] = step
        for name in step.inputs:
            self.consumers.setdefault(name, set()).add(step.id)
        for name in step.outputs:
            self.providers.setdefault(name, set()).add(step.id)

    def remove(self, step_id: str) -> None:
        """Remove a step, if it is there."""
        step = self.steps.pop(step_id, None)
        if step is None:
            return
        for names, edges in ((step.inputs, self.consumers), (step.outputs, self.providers)):
            for name in names:
                edges[name].discard(step_id)
                if not edges[name]:
                    del edges[name]

    def edges(self) -> dict[str, Edges]:
        """Every attribute name of every step with who writes and reads it; const and meta names have neither."""
        names = {name for step in self.steps.values() for name in step.attributes}
        return {
            name: Edges(tuple(sorted(self.providers.get(name, ()))), tuple(sorted(self.consumers.get(name, ()))))
            for name in sorted(names)
        }

    def copy(self) -> "Catalog":
        """An independent catalog with the same (immutable) steps."""
        return Catalog(
            steps=dict(self.steps),
            providers={name: set(ids) for name, ids in self.providers.items()},
            consumers={name: set(ids) for name, ids in self.consumers.items()},
            owners=dict(self.owners),
            last_updated=self.last_updated,
            sequence=self.sequence,
        )


def apply_catalog(catalog: Catalog, payload: Payload | None, at_us: int) -> None:
    """Fold one event into the catalog. Total: what it does not know only counts."""
    catalog.sequence += 1
    match payload:
        case StepRegistered(step=step) | StepUpdated(step=step):
            catalog.put(step_from_json(step))
        case StepUnregistered(step_id=step_id):
            catalog.remove(step_id)
            catalog.owners.pop(step_id, None)
        case CatalogApplied(owner=owner, created=created, updated=updated):
            catalog.owners.update(dict.fromkeys(created + updated, owner))
        case _:
            return
    catalog.last_updated = at_us


class Health(Struct, omit_defaults=True):
    """What one node knows of one step: `healthy`, `unhealthy` or `unknown`."""

    status: str
    error: str = ""


class Node(Struct):
    """One node's view: when it last reported, and the health of each step."""

    last_seen: int = 0
    health: dict[str, Health] = field(default_factory=dict[str, Health])


class Cluster(Struct):
    """Every node's view of step health, by node id."""

    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    last_updated: int = 0
    sequence: int = 0


def apply_cluster(cluster: Cluster, payload: Payload | None, at_us: int) -> None:
    """Fold one event into the cluster. Total: what it does not know only counts."""
    cluster.sequence += 1
    if not isinstance(payload, StepHealthChanged):
        return
    node = cluster.nodes.setdefault(payload.node_id, Node())
    node.health[payload.step_id] = Health(payload.status, payload.error)
    node.last_seen = cluster.last_updated = at_us
