"""Who may write a step: its owner by a catalog apply, others only as the owner's source allows.

Pure: says what is to happen and raises what is refused.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from argyll.engine.catalog_errors import StepOwned, WriteIgnored
from argyll.model.catalog import Catalog
from argyll.model.events import Payload, StepOverride
from argyll.model.source import ForeignWrites, SourceConfig

MAX_ACTOR_CHARS = 200
MAX_REASON_CHARS = 1_000


class Rules(Protocol):
    """What the records of sources say about writes to the catalog."""

    def policy(self, owner: str) -> ForeignWrites:
        """What an owner does with others' writes."""
        ...

    def is_configured(self, source: str) -> bool: ...

    def config(self, source: str) -> SourceConfig: ...

    def refuse_if_stopped(self, source: str, revision: str) -> None:
        """Raises `SourceStopped`."""
        ...

    def givers(self, source: str) -> set[str]:
        """Owners that hand steps over to a source."""
        ...

    def is_approved(self, source: str, plan_digest: str) -> bool: ...

    async def applied(self, source: str, revision: str) -> None:
        """A revision was committed."""
        ...


_HOW_TO_CHANGE = "change it where its owner keeps it, or send the header Argyll-Override with a reason"


class Writer(NamedTuple):
    """Who changes a single step, and why an owner's will is overridden, if it is."""

    actor: str = ""
    override: str = ""


NOBODY = Writer()


def foreign_write(catalog: Catalog, rules: Rules, step_id: str, action: str, by: Writer) -> list[Payload]:
    """The events that go before the change of a step that may have an owner: none, or the record of an override.

    Raises `StepOwned`; `WriteIgnored` when the change is to be left out without a failure.
    """
    owner = catalog.owners.get(step_id)
    if owner is None:
        return []
    if not by.override:
        match rules.policy(owner):
            case "reject":
                raise StepOwned({step_id: owner}, _HOW_TO_CHANGE)
            case "ignore":
                raise WriteIgnored(owner, step_id, catalog.steps.get(step_id))
            case "allow":
                pass
    return [StepOverride(step_id, owner, action, by.actor[:MAX_ACTOR_CHARS], by.override[:MAX_REASON_CHARS])]


def refuse_taking(catalog: Catalog, owner: str, step_ids: Mapping[str, object]) -> None:
    """Refuse an owner's set that holds steps of other owners. Raises `StepOwned`."""
    others = {
        step_id: other for step_id in step_ids if (other := catalog.owners.get(step_id)) is not None and other != owner
    }
    if others:
        raise StepOwned(others, f"take it out of what {owner!r} applies, or have it transferred")
