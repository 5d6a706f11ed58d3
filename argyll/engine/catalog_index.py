"""The catalog in short, for those who compare: each step's hash and owner, each source's revision.

Encoded once per change of the catalog.
"""

import asyncio

import msgspec

from argyll.engine.catalog import CatalogCommands
from argyll.model.catalog import Catalog
from argyll.model.json import JSON, encode
from argyll.model.revision import live_hash
from argyll.model.wire import JSONObject

HASHED_AT_ONCE = 500
"""Steps hashed between two turns of the loop."""


class CatalogIndex:
    """The index of the committed catalog."""

    def __init__(self, commands: CatalogCommands) -> None:
        self._commands = commands
        self._sequence = -1
        self._text = b""

    async def read(self) -> tuple[bytes, int]:
        """The index as JSON text, and the catalog's sequence that it shows."""
        for position, step in enumerate(list(self._commands.catalog.steps.values())):
            live_hash(step)
            if position % HASHED_AT_ONCE == HASHED_AT_ONCE - 1:
                await asyncio.sleep(0)
        catalog = self._commands.catalog
        if self._sequence != catalog.sequence:
            self._text, self._sequence = encode(_index(catalog)), catalog.sequence
        return self._text, self._sequence


def _index(catalog: Catalog) -> JSONObject:
    ids = sorted(catalog.steps.keys() | catalog.owners.keys())
    return {
        "sequence": catalog.sequence,
        "steps": {step_id: _entry(catalog, step_id) for step_id in ids},
        "sources": {
            source: {
                "revision": mark.revision or None,
                "sequence": mark.applies[-1].sequence if mark.applies else -1,
                "apply_id": mark.applies[-1].apply_id if mark.applies else "",
                "plan_digest": mark.applies[-1].plan_digest if mark.applies else "",
            }
            for source, mark in sorted(catalog.sources.items())
        },
    }


def _entry(catalog: Catalog, step_id: str) -> JSONObject:
    step, owner = catalog.steps.get(step_id), catalog.owners.get(step_id)
    entry: JSONObject = {"live_hash": live_hash(step) if step is not None else None}
    if owner is None:
        return entry
    entry["owner"] = owner
    origin = catalog.origins.get(step_id)
    if origin is not None:
        fields: dict[str, JSON] = msgspec.to_builtins(origin)
        entry["applied_hash"] = fields.pop("live_hash", "")
        entry |= fields
    override = catalog.overrides.get(step_id)
    if override is not None:
        entry["override"] = {"action": override.action, "actor": override.actor, "reason": override.reason}
    return entry
