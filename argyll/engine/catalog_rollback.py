"""Back to what a source's steps were: the content comes from the catalog's own history, so it needs neither the agent nor
the repository, and the source is held there until something new comes.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

from argyll.engine.catalog import CATALOG, CatalogCommands
from argyll.engine.catalog_apply import Revisions
from argyll.engine.catalog_sources import Sources
from argyll.engine.errors import EngineError, InvalidRequest
from argyll.model.catalog import Applied, Catalog, apply_catalog
from argyll.model.events import Origin, decode_payload
from argyll.model.json import JSON
from argyll.model.revision import apply_id, live_hash
from argyll.model.wire import JSONObject, step_to_json
from argyll.store import Store

FOLDED_AT_ONCE = 1_000
"""Events of the catalog read between two turns of the loop."""

_KEYS = frozenset({"to", "pin", "actor", "reason", "dry_run"})


class Rollback:
    """Rolls sources back."""

    def __init__(self, store: Store, commands: CatalogCommands, sources: Sources, revisions: Revisions) -> None:
        self._store, self._commands, self._sources, self._revisions = store, commands, sources, revisions

    async def run(self, source: str, value: JSON, actor: str = "") -> JSON:
        """Apply the content of an earlier revision and hold the source at it. `to` is a revision or the beginning of one;
        without it, it is the one before.

        The hold comes first: whatever happens in between, no agent brings back what is rolled back. Raises
        `InvalidRequest`, `SourceNotFound`, and what `Revisions.apply` does.
        """
        said = _read(value)
        view = self._sources.view(source)
        applies = self._applies(source)
        target = _target(source, applies, said.get("to"), cast(list[str], view.get("hold", {}).get("skip", [])))
        request = self._request(source, applies[-1], target, await self._past(target), said, actor)
        if said.get("dry_run"):
            return await self._revisions.apply(request | {"dry_run": True})
        hold = {"revision": target.revision, "pin": said.get("pin", False), "reason": said.get("reason", "rollback")}
        before = view.get("hold")
        await self._sources.decide(source, "hold", hold, actor)
        try:
            return await self._revisions.apply(request)
        except EngineError:
            await self._restore(source, before, actor)
            raise

    def _applies(self, source: str) -> list[Applied]:
        mark = self._commands.catalog.sources.get(source)
        if mark is None or not mark.applies:
            raise InvalidRequest(f"nothing of source {source!r} has been applied, so there is nothing to go back to")
        return mark.applies

    async def _past(self, target: Applied) -> Catalog:
        """The catalog as it was when a revision had been applied."""
        past = Catalog()
        while past.sequence <= target.sequence:
            wanted = min(FOLDED_AT_ONCE, target.sequence + 1 - past.sequence)
            for record in await self._store.events(CATALOG, past.sequence, wanted):
                apply_catalog(past, decode_payload(record.type, record.data), record.timestamp_us)
            await asyncio.sleep(0)
        return past

    def _request(
        self, source: str, last: Applied, target: Applied, past: Catalog, said: JSONObject, actor: str
    ) -> dict[str, JSON]:
        catalog = self._commands.catalog
        wanted = [step_id for step_id in past.owned_by(source) if step_id in past.steps]
        deletes = sorted(set(catalog.owned_by(source)) - set(wanted))
        hashes = {step_id: live_hash(step) for step_id, step in catalog.steps.items()}
        approval = self._sources.view(source).get("approval", {}).get("plan_digest")
        return {
            "source": source,
            "revision": target.revision,
            "apply_id": apply_id(source, target.revision, last.revision, "rollback", last.sequence),
            "previous": last.revision,
            "lineage": "rollback",
            "steps": [_entry(past, step_id) for step_id in wanted],
            "deletes": deletes,
            "preconditions": {step_id: hashes.get(step_id) for step_id in (*wanted, *deletes)},
            "prune_ack": approval,
            "actor": said.get("actor", actor),
        }

    async def _restore(self, source: str, before: JSONObject | None, actor: str) -> None:
        """The hold as it was: nothing has been rolled back."""
        await self._sources.decide(source, "resume", {"reason": "the rollback was refused"}, actor)
        if before is not None:
            hold = {"revision": before["revision"], "skip": before["skip"], "pin": before["until"] == "resume"}
            await self._sources.decide(source, "hold", hold, actor)


def _entry(past: Catalog, step_id: str) -> JSONObject:
    origin = past.origins.get(step_id, Origin())
    return {
        "step": step_to_json(past.steps[step_id]),
        "path": origin.path,
        "doc": origin.doc,
        "line": origin.line,
        "spec_hash": origin.spec_hash,
    }


def _read(value: JSON) -> JSONObject:
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be an object, {} to go back by one revision")
    said = cast(JSONObject, value)
    unknown = sorted(set(said) - _KEYS)
    if unknown:
        raise InvalidRequest(f"unknown field {unknown[0]!r}; rollback knows {', '.join(sorted(_KEYS))}")
    for name, kind in (("to", str), ("actor", str), ("reason", str), ("pin", bool), ("dry_run", bool)):
        if name in said and not isinstance(said[name], kind):
            raise InvalidRequest(f"{name} must be a {'text' if kind is str else 'true or false'}", path=f"/{name}")
    return said


def _target(source: str, applies: Sequence[Applied], to: JSON, skipped: Sequence[str]) -> Applied:
    """The newest apply of the revision to go back to. Raises `InvalidRequest`."""
    current = applies[-1].revision
    known = {applied.revision: applied for applied in applies if applied.revision}
    if to:
        matching = [revision for revision in known if revision.startswith(to)]
        if len(matching) == 1:
            return known[matching[0]]
        problem = "is not among the applied ones that are remembered" if not matching else "begins several revisions"
        raise InvalidRequest(f"revision {to!r} {problem}; see `argyll source history {source}`", path="/to")
    for applied in reversed(applies):
        if applied.revision and applied.revision != current and applied.revision not in skipped:
            return applied
    raise InvalidRequest(f"source {source!r} has no earlier revision; see `argyll source history {source}`", path="/to")
