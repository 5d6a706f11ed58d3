"""Sources: their configuration, what people decide about them, what agents report, and how each stands.

What is applied is the catalog's (`catalog_apply`); the records here may lag behind it. Nothing is written that is known.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from argyll.engine.catalog import CatalogCommands
from argyll.engine.catalog_errors import SourceNotFound, SourceStopped
from argyll.engine.catalog_reports import read_report
from argyll.engine.errors import InvalidRequest, Unavailable
from argyll.model.catalog import Catalog, SourceMark
from argyll.model.events import (
    Payload,
    SourceAdded,
    SourceApproved,
    SourceConfigured,
    SourceDeleted,
    SourceHeld,
    SourceRefreshRequested,
    SourceRemoved,
    SourceResumed,
    SourceSuspended,
    StepsOrphaned,
    decode_payload,
)
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON, encode
from argyll.model.source import DEFAULT_CONFIG, ForeignWrites, SourceConfig, SourceState, apply_source, read_config
from argyll.model.source_status import applied_view, current_hold, holds_back, is_suspended, source_view
from argyll.model.times import from_rfc3339
from argyll.model.wire import JSONObject
from argyll.store import Append, Committed, Conflict, NewEvent, Store

MAX_SOURCES = 256
"""Sources that one engine keeps records of."""
MAX_COMMAND_TRIES = 8

_DECISIONS: Mapping[str, frozenset[str]] = {
    "refresh": frozenset({"actor"}),
    "suspend": frozenset({"actor", "reason", "until"}),
    "resume": frozenset({"actor", "reason"}),
    "hold": frozenset({"actor", "reason", "revision", "skip", "pin"}),
    "approve": frozenset({"actor", "reason", "plan_digest"}),
}
"""What may be decided about a source, and what each decision says."""


class Sources:
    """The records of all sources. `health` gives the health of a step: healthy, unhealthy or unknown."""

    def __init__(
        self, store: Store, commands: CatalogCommands, now_us: Callable[[], int], health: Callable[[str], str]
    ) -> None:
        self._store, self._commands, self._now_us, self._health = store, commands, now_us, health
        self._lock = asyncio.Lock()
        self._states: dict[str, SourceState] = {}
        self.reload()

    # what revisions and single writes ask

    def policy(self, owner: str) -> ForeignWrites:
        """What an owner does with others' writes to its steps."""
        return self.config(owner).foreign_writes

    def is_configured(self, source: str) -> bool:
        """Whether somebody said more of a source than its steps."""
        return self._state(source).config is not None

    def config(self, source: str) -> SourceConfig:
        """The configuration in force; the strictest for a source that nobody configured."""
        return self._state(source).config or DEFAULT_CONFIG

    def refuse_if_stopped(self, source: str, revision: str) -> None:
        """Whether a revision may come now. Raises `SourceStopped`."""
        state, resume = self._state(source), f"resume it with `argyll source resume {source}`"
        if is_suspended(state, self._now_us()):
            made = state.suspension
            said = f" ({made.reason})" if made is not None and made.reason else ""
            raise SourceStopped(f"source {source!r} is suspended{said}; {resume}", "suspended")
        hold = current_hold(state, self._mark(source))
        if hold is not None and holds_back(hold, revision):
            raise SourceStopped(f"source {source!r} is held at {hold.at}; {resume}", "held")

    def givers(self, source: str) -> set[str]:
        """Owners that hand steps over to a source: those of its group, those that it may take from, and owners that
        nobody configured."""
        config = self.config(source)
        return {
            other
            for other in {*self._catalog.owners.values(), *self._states} - {source}
            if (state := self._state(other)).config is None
            or other in config.transfer_from
            or (config.group and state.config.group == config.group)
        }

    def is_approved(self, source: str, plan_digest: str) -> bool:
        """Whether a person agreed to a plan. Where nobody configured the source, the caller's word counts."""
        state = self._state(source)
        return state.config is None or (state.approval is not None and state.approval.plan_digest == plan_digest)

    async def applied(self, source: str, revision: str) -> None:
        """A revision was committed: a hold that it ends is over."""
        hold = self._state(source).hold
        if hold is not None and hold.until != "resume" and revision not in (hold.at, *hold.skip):
            await self._record(source, lambda state: [SourceResumed(source, f"revision {revision} came")])

    # reading

    def view(self, source: str) -> JSONObject:
        """A source's record and status. Raises `SourceNotFound`."""
        if not self.is_known(source):
            raise SourceNotFound(f"there is no source {source!r}; see `argyll source list`")
        owned = self._catalog.owned_by(source)
        health = {step_id: self._health(step_id) for step_id in owned if step_id in self._catalog.steps}
        return source_view(source, self._state(source), self._catalog, self._now_us(), health)

    def views(self) -> list[JSONObject]:
        """All sources, by id."""
        return [self.view(source) for source in sorted(self._catalog.sources)]

    def is_known(self, source: str) -> bool:
        """Whether something of the source is configured or applied."""
        return source in self._catalog.sources

    def sequence(self, source: str) -> int:
        """How many events the source's own history has."""
        return self._state(source).sequence

    def history(self, source: str, limit: int) -> list[JSONObject]:
        """Applied revisions, newest first. Raises `SourceNotFound`."""
        mark = self._mark(source)
        if mark is None:
            raise SourceNotFound(f"there is no source {source!r}; see `argyll source list`")
        return [applied_view(applied) for applied in reversed(mark.applies[-limit:])] if limit else []

    # deciding

    async def configure(self, source: str, value: JSON, actor: str = "") -> JSONObject:
        """Make this the source's whole configuration. Raises `InvalidRequest`."""
        if sanitize_id(source) != source or not source:
            raise InvalidRequest(f"{source!r} is no id of a source; use a-z 0-9 _ . - +", path="/id")
        config = _read_config(value)
        if not self.is_known(source) and len(self._catalog.sources) >= MAX_SOURCES:
            raise InvalidRequest(f"there are {MAX_SOURCES} sources (MAX_SOURCES); delete one first")
        # The catalog names the sources there are, so it hears of one before its history begins.
        await self._commands.commit(lambda catalog: ([] if source in catalog.sources else [SourceAdded(source)], None))
        fields = cast(dict[str, JSON], msgspec.to_builtins(config))
        await self._record(
            source, lambda state: [] if state.config == config else [SourceConfigured(source, fields, actor)]
        )
        return self.view(source)

    async def delete(self, source: str, actor: str = "") -> list[str]:
        """Forget a source. Its steps stay and belong to nobody: their ids. Raises `SourceNotFound`, `InvalidRequest`."""
        self.view(source)
        if self.config(source).on_delete == "prune" and self._catalog.owned_by(source):
            raise InvalidRequest(
                f"source {source!r} has on_delete: prune and still owns steps; apply an empty revision first "
                "(prune.allow_empty, approved), or set on_delete: orphan"
            )

        def decide(catalog: Catalog) -> tuple[Sequence[Payload], list[str]]:
            if source not in catalog.sources:
                return [], []
            owned = catalog.owned_by(source)
            orphaned: list[Payload] = [StepsOrphaned(source, owned)] if owned else []
            return [*orphaned, SourceRemoved(source)], [step_id for step_id in owned if step_id in catalog.steps]

        orphaned = await self._commands.commit(decide)
        await self._record(source, lambda state: [SourceDeleted(source, actor)])
        return orphaned

    async def decide(self, source: str, decision: str, value: JSON, actor: str = "") -> JSONObject:
        """Record what a person decided (a key of `_DECISIONS`). Raises `InvalidRequest`, `SourceNotFound`."""
        said = _read_decision(decision, value)
        self.view(source)
        who, reason = str(said.get("actor") or actor), str(said.get("reason") or "")
        match decision:
            case "refresh":
                event: Payload = SourceRefreshRequested(source, who)
            case "suspend":
                event = SourceSuspended(source, reason, who, _moment(said.get("until")))
            case "resume":
                event = SourceResumed(source, reason, who)
            case "approve":
                event = SourceApproved(source, _text(said, "plan_digest"), reason, who)
            case _:
                event = self._held(source, said, reason, who)
        await self._record(source, lambda state: [event])
        return self.view(source)

    async def report(self, source: str, value: JSON) -> bool:
        """Record what an agent saw; False when that was known. Raises `InvalidRequest`, `SourceNotFound`."""
        event, is_news = read_report(source, value)
        if not self.is_known(source):
            raise SourceNotFound(f"there is no source {source!r}; configure it with `argyll source apply`")
        return await self._record(source, lambda state: [event] if is_news(state) else [])

    def reload(self) -> None:
        """Fold the histories of all sources that the catalog knows."""
        self._states = {source: self._folded(source) for source in self._catalog.sources}

    def on_committed(self, committed: Committed) -> None:
        """Follow the log."""
        state = self._states.setdefault(committed.aggregate[1], SourceState(committed.aggregate[1]))
        for event in committed.events:
            apply_source(state, decode_payload(event.type, event.data), committed.timestamp_us)

    # inside

    @property
    def _catalog(self) -> Catalog:
        return self._commands.catalog

    def _mark(self, source: str) -> SourceMark | None:
        return self._catalog.sources.get(source)

    def _state(self, source: str) -> SourceState:
        return self._states.get(source) or SourceState(source)

    def _folded(self, source: str) -> SourceState:
        state = SourceState(source)
        for record in self._store.read_events(("source", source)):
            apply_source(state, decode_payload(record.type, record.data), record.timestamp_us)
        return state

    def _held(self, source: str, said: JSONObject, reason: str, actor: str) -> SourceHeld:
        mark = self._mark(source)
        applied = mark.revision if mark is not None else ""
        at = said.get("revision") or applied
        if not isinstance(at, str) or not at:
            raise InvalidRequest("there is no applied revision to hold; name one", path="/revision")
        hold = current_hold(self._state(source), mark)
        skip = said.get("skip")
        if skip is None:
            # What an earlier hold kept out is no better for going back still further.
            kept_out = hold.skip if hold is not None else []
            skip = sorted({applied, self._state(source).observed, *kept_out} - {at, ""})
        if not isinstance(skip, list) or not all(isinstance(one, str) for one in cast(list[JSON], skip)):
            raise InvalidRequest("skip must be a list of revisions", path="/skip")
        pin = said.get("pin", False)
        return SourceHeld(source, at, cast(list[str], skip), "resume" if pin else "next-commit", reason, actor)

    async def _record(self, source: str, decide: Callable[[SourceState], Sequence[Payload]]) -> bool:
        """Append to a source's history what is decided on its state; False for nothing. Raises `Unavailable`."""
        aggregate = ("source", source)
        async with self._lock:
            for _ in range(MAX_COMMAND_TRIES):
                state = self._state(source)
                events = decide(state)
                if not events:
                    return False
                encoded = [NewEvent(event.event_type, encode(event)) for event in events]
                try:
                    await self._store.append(Append(aggregate, state.sequence, self._now_us(), encoded))
                except Conflict:
                    continue
                return True
        raise Unavailable(f"the command on source {source!r} lost {MAX_COMMAND_TRIES} races", retry_after_s=1)


def _read_config(value: JSON) -> SourceConfig:
    """A configuration that makes sense. Raises `InvalidRequest`."""
    try:
        config = read_config(value)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"not a source's configuration: {error}") from error
    git, prune = config.git, config.prune
    if (git is None) == (not config.dir):
        raise InvalidRequest("give one of git and dir", path="/git")
    if git is not None and (not git.url or git.url.startswith("-")):
        raise InvalidRequest("git.url must be a path or a URL", path="/git/url")
    if git is not None and "://" in git.url and ":" in git.url.split("://", 1)[1].split("/", 1)[0].rpartition("@")[0]:
        raise InvalidRequest(
            "git.url holds a password; refer to it with git.credentials, the catalog's history is for ever",
            path="/git/url",
        )
    if git is not None and git.ref.startswith("-"):
        raise InvalidRequest("git.ref must be a branch, a tag or a commit", path="/git/ref")
    if config.poll_s < 1:
        raise InvalidRequest("poll_s must be at least 1", path="/poll_s")
    if not 0 <= prune.max_percent <= 100 or prune.max_count < 0 or prune.floor < 0:
        raise InvalidRequest("prune: max_percent is 0 to 100, max_count and floor are 0 or more", path="/prune")
    return config


def _read_decision(decision: str, value: JSON) -> JSONObject:
    """What a decision says. Raises `InvalidRequest`."""
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be an object, {} when there is nothing to say")
    said = cast(JSONObject, value)
    known = _DECISIONS[decision]
    unknown = sorted(set(said) - known)
    if unknown:
        raise InvalidRequest(f"unknown field {unknown[0]!r}; {decision} knows {', '.join(sorted(known))}")
    for name in ("actor", "reason"):
        if not isinstance(said.get(name, ""), str):
            raise InvalidRequest(f"{name} must be a text", path=f"/{name}")
    if not isinstance(said.get("pin", False), bool):
        raise InvalidRequest("pin must be true or false", path="/pin")
    return said


def _text(said: JSONObject, name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{name} must be a non-empty text", path=f"/{name}")
    return value


def _moment(value: JSON) -> str:
    if value is None:
        return ""
    try:
        from_rfc3339(value)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"until must be an RFC 3339 moment such as 2026-01-02T03:04:05Z: {error}", path="/until"
        ) from error
    return value
