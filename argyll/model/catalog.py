"""The catalog (every registered step, whose it is, what was applied) and the cluster (each node's view of step health).

Edges between attributes and steps are kept beside the steps and always follow them (decisions 12).
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from argyll.model.events import (
    CatalogApplied,
    NodeJoined,
    NodeLeaving,
    NodeLeft,
    Origin,
    Payload,
    SourceAdded,
    SourceRemoved,
    SourceSynced,
    StepHealthChanged,
    StepOverride,
    StepRegistered,
    StepsAdopted,
    StepsOrphaned,
    StepUnregistered,
    StepUpdated,
)
from argyll.model.plan import Edges
from argyll.model.step import Step
from argyll.model.wire import step_from_json

MAX_REMEMBERED_APPLIES = 64
"""Applied revisions that the catalog remembers of each source; older ones are in the history."""


class Override(Struct):
    """How somebody else changed an owned step last: `action` is registered, updated or unregistered."""

    action: str
    actor: str = ""
    reason: str = ""
    at_us: int = 0


class Applied(Struct):
    """One applied revision: `sequence` is that of the event that closed it, the rest counts."""

    revision: str
    sequence: int
    at_us: int
    apply_id: str = ""
    previous: str = ""
    lineage: str = ""
    plan_digest: str = ""
    created: int = 0
    updated: int = 0
    deleted: int = 0
    adopted: int = 0
    transferred: int = 0
    orphaned: int = 0
    actor: str = ""


class SourceMark(Struct):
    """What the catalog knows of one source: its applied revisions, newest last."""

    applies: list[Applied] = field(default_factory=list[Applied])

    @property
    def last(self) -> Applied | None:
        """The newest applied revision."""
        return self.applies[-1] if self.applies else None

    @property
    def revision(self) -> str:
        """The revision that the catalog has of the source; empty before the first."""
        return self.applies[-1].revision if self.applies else ""

    def add(self, applied: Applied) -> None:
        """Remember a revision, and forget the oldest beyond the limit."""
        self.applies.append(applied)
        del self.applies[:-MAX_REMEMBERED_APPLIES]


class Catalog(Struct):
    """Registered steps by id, and who writes and reads each attribute. `sequence` counts the events applied."""

    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    providers: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    consumers: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    owners: dict[str, str] = field(default_factory=dict[str, str])
    """Step id to the owner whose catalog apply wrote it last; steps registered one by one have none. An owned step
    that somebody else removed stays here until its owner lets go of it."""
    last_updated: int = 0
    sequence: int = 0
    origins: dict[str, Origin] = field(default_factory=dict[str, Origin])
    """Where owned steps are defined, as far as the owner said; a part of `owners`."""
    overrides: dict[str, Override] = field(default_factory=dict[str, Override])
    """Owned steps that somebody else changed since their owner wrote them; a part of `owners`."""
    sources: dict[str, SourceMark] = field(default_factory=dict[str, SourceMark])
    """What was applied, by owner."""

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
            origins=dict(self.origins),
            overrides=dict(self.overrides),
            sources={name: SourceMark(list(mark.applies)) for name, mark in self.sources.items()},
        )

    def owned_by(self, owner: str) -> list[str]:
        """Ids that an owner has, ascending; those that somebody else removed are among them."""
        return sorted(step_id for step_id, name in self.owners.items() if name == owner)

    def own(self, step_ids: Iterable[str], owner: str) -> None:
        """The owner has these steps as it wrote them."""
        for step_id in step_ids:
            self.owners[step_id] = owner
            self.overrides.pop(step_id, None)

    def disown(self, step_ids: Iterable[str]) -> None:
        """Nobody owns these steps."""
        for step_id in step_ids:
            self.owners.pop(step_id, None)
            self.origins.pop(step_id, None)
            self.overrides.pop(step_id, None)

    def mark(self, source: str) -> SourceMark:
        """What is known of a source; made when there is nothing yet."""
        return self.sources.setdefault(source, SourceMark())


def apply_catalog(catalog: Catalog, payload: Payload | None, at_us: int) -> None:
    """Fold one event into the catalog. Total: what it does not know only counts."""
    catalog.sequence += 1
    match payload:
        case StepRegistered(step=step) | StepUpdated(step=step):
            catalog.put(step_from_json(step))
        case StepUnregistered(step_id=step_id):
            catalog.remove(step_id)
            if step_id not in catalog.overrides:
                catalog.disown([step_id])
        case StepOverride(step_id=step_id):
            catalog.overrides[step_id] = Override(payload.action, payload.actor, payload.reason, at_us)
        case StepsAdopted(owner=owner, step_ids=step_ids):
            catalog.own(step_ids, owner)
        case StepsOrphaned(step_ids=step_ids):
            catalog.disown(step_ids)
        case CatalogApplied():
            _applied(catalog, payload, at_us)
        case SourceSynced():
            _synced(catalog, payload, at_us)
        case SourceAdded(source=source):
            catalog.mark(source)
        case SourceRemoved(source=source):
            catalog.sources.pop(source, None)
        case _:
            return
    catalog.last_updated = at_us


def _applied(catalog: Catalog, event: CatalogApplied, at_us: int) -> None:
    written = event.created + event.updated
    catalog.disown(event.deleted)
    catalog.own(written, event.owner)
    for step_id in written:
        # What was known of an earlier definition does not hold for this one.
        catalog.origins.pop(step_id, None)
    catalog.mark(event.owner).add(
        Applied(
            event.revision,
            catalog.sequence - 1,
            at_us,
            created=len(event.created),
            updated=len(event.updated),
            deleted=len(event.deleted),
            adopted=len(event.adopted),
        )
    )


def _synced(catalog: Catalog, event: SourceSynced, at_us: int) -> None:
    catalog.disown(event.deleted)
    catalog.own(event.origins, event.source)
    catalog.origins.update(event.origins)
    catalog.mark(event.source).add(
        Applied(
            event.revision,
            catalog.sequence - 1,
            at_us,
            apply_id=event.apply_id,
            previous=event.previous,
            lineage=event.lineage,
            plan_digest=event.plan_digest,
            created=len(event.created),
            updated=len(event.updated),
            deleted=len(event.deleted),
            adopted=len(event.adopted),
            transferred=len(event.transferred),
            orphaned=len(event.orphaned),
            actor=event.actor,
        )
    )


class Health(Struct, omit_defaults=True):
    """What one node knows of one step: `healthy`, `unhealthy` or `unknown`."""

    status: str
    error: str = ""


Presence = Literal["", "joined", "leaving", "left"]


class Node(Struct):
    """One node's view: when it last reported, and the health of each step. `presence` is empty for the only node of an
    engine, which has nobody to tell."""

    last_seen: int = 0
    health: dict[str, Health] = field(default_factory=dict[str, Health])
    presence: Presence = ""


class Cluster(Struct):
    """Every node's view of step health, by node id."""

    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    last_updated: int = 0
    sequence: int = 0


def apply_cluster(cluster: Cluster, payload: Payload | None, at_us: int) -> None:
    """Fold one event into the cluster. Total: what it does not know only counts."""
    cluster.sequence += 1
    match payload:
        case StepHealthChanged():
            node = cluster.nodes.setdefault(payload.node_id, Node())
            node.health[payload.step_id] = Health(payload.status, payload.error)
            node.last_seen = at_us
        case NodeJoined(node_id=node_id):
            node = cluster.nodes.setdefault(node_id, Node())
            node.presence, node.last_seen = "joined", at_us
        case NodeLeaving(node_id=node_id):
            cluster.nodes.setdefault(node_id, Node()).presence = "leaving"
        case NodeLeft(node_id=node_id):
            cluster.nodes.setdefault(node_id, Node()).presence = "left"
        case _:
            return
    cluster.last_updated = at_us
