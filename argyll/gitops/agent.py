"""The reconcile loop: observe the source, compare with the catalog, act once, report.

Level-triggered and safe to repeat: nothing but the source and the engine's answer decides. A revision with an error
changes nothing at all. One that would remove a large part of what this owner has, or that does not follow the applied
one, is held for a person.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from argyll.client import ClientError, Conflict, Unavailable, Unreachable
from argyll.gitops.drift import FIGHT_WINDOW_S, MAX_HEALS, Drift, Healing
from argyll.gitops.source import SourceError, within
from argyll.model.wire import step_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from argyll.analysis.check import Report
    from argyll.analysis.diagnostics import Diagnostic
    from argyll.gitops.source import Snapshot, Source
    from argyll.model.json import JSON
    from argyll.model.wire import JSONObject

MAX_CONFLICTS = 5
"""How often one reconcile compares anew because somebody else changed the catalog in between."""


class Api(Protocol):
    """The one engine call the agent makes; `argyll.client.AsyncClient` has it."""

    async def apply_catalog(
        self,
        definitions: Sequence[JSONObject],
        /,
        *,
        owner: str,
        revision: str | None = None,
        expected_sequence: int | None = None,
        dry_run: bool = False,
    ) -> dict[str, JSON]: ...


@dataclass(frozen=True)
class PruneGuard:
    """When removals need a person: more than `floor` steps and above either limit, or all steps."""

    floor: int = 3
    max_count: int = 50
    max_percent: int = 20
    allow_prune: bool = False
    allow_empty: bool = False

    def objection(self, difference: Difference, renamed: Collection[str] = ()) -> str:
        """Why the removals are held back; empty when they may go on. Steps in `renamed` live on under another id."""
        deleted, owned = len(set(difference.deleted).difference(renamed)), difference.owned
        if deleted and deleted == owned and not difference.created and not self.allow_empty:
            return f"would remove all {owned} steps of this owner; if that is meant, repeat with --allow-empty"
        if self.allow_prune or deleted <= self.floor:
            return ""
        if deleted > self.max_count or deleted * 100 > self.max_percent * owned:
            return (
                f"would remove {deleted} of {owned} steps (limits: {self.max_count} steps, {self.max_percent} %); "
                "if that is meant, repeat with --allow-prune"
            )
        return ""


@dataclass(frozen=True)
class Difference:
    """What an apply changes (or changed), by step id, and the catalog sequence it was computed at."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unchanged: int = 0
    sequence: int = 0
    warnings: tuple[JSONObject, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the catalog already is as the source wants it."""
        return not (self.created or self.updated or self.deleted)

    @property
    def touched(self) -> tuple[str, ...]:
        """Every step that differs."""
        return tuple(sorted((*self.created, *self.updated, *self.deleted)))

    @property
    def owned(self) -> int:
        """How many steps the owner has before the apply."""
        return len(self.updated) + len(self.deleted) + self.unchanged


State = Literal[
    "starting", "synced", "pending", "drifted", "invalid", "blocked", "source_error", "unreachable", "refused"
]
Rewrite = Literal["hold", "follow"]
"""What to do with a revision that does not follow the applied one: a branch that was reset or rewritten."""


@dataclass(frozen=True)
class Status:
    """The agent's only output beside the apply.

    `pending`: a dry run found changes. `drifted`: somebody else changed steps, and they are not restored. `invalid`: the
    files have errors. `blocked`: removals or a rewritten history need a person. `refused`: the engine did not take the
    steps. `changed` tells whether this reconcile wrote to the catalog.
    """

    owner: str
    source: str
    state: State = "starting"
    observed: str = ""
    applied: str = ""
    description: str = ""
    changed: bool = False
    difference: Difference = Difference()
    message: str = ""
    findings: tuple[Diagnostic, ...] = field(default=(), compare=False)
    """What the check found in the observed revision, of every severity."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes], compare=False)
    """The files that the findings are about."""
    error: Exception | None = field(default=None, compare=False)
    """What `source_error`, `unreachable` and `refused` come from, if an exception."""
    failures: int = 0
    """Reconciles in a row that failed and may do better by themselves."""

    def to_json(self) -> JSONObject:
        """The status as people's tools read it; findings are rendered elsewhere and only counted here."""
        difference = self.difference
        return {
            "owner": self.owner,
            "source": self.source,
            "state": self.state,
            "observed": self.observed,
            "applied": self.applied,
            "changed": self.changed,
            "created": list(difference.created),
            "updated": list(difference.updated),
            "deleted": list(difference.deleted),
            "unchanged": difference.unchanged,
            "sequence": difference.sequence,
            "findings": len(self.findings),
            "message": self.message,
        }


@dataclass(frozen=True)
class Pace:
    """When the loop looks again, in seconds: at the source, at the engine too, after a failure."""

    interval_s: float = 5.0
    resync_s: float = 60.0
    settle_s: float = 5.0
    """After a comparison, changes of the catalog by others are let gather so long before the next one."""
    backoff_s: float = 1.0
    backoff_cap_s: float = 30.0

    def after_failures(self, failures: int, entropy: Callable[[], float]) -> float:
        """Exponential with up to half of it jitter. `entropy` gives numbers in [0, 1)."""
        delay = min(self.backoff_cap_s, self.backoff_s * 2.0 ** min(failures - 1, 32))
        return delay * (1 - entropy() / 2)


@dataclass
class Agent:
    """Keeps one owner's steps in the engine as one source has them. `check` finds what is wrong with files."""

    source: Source
    api: Api
    owner: str
    check: Callable[[Snapshot], Report]
    guard: PruneGuard = field(default_factory=PruneGuard)
    rewrite: Rewrite = "hold"
    drift: Drift = "heal"
    catalog_hints: Callable[[asyncio.Event], AbstractAsyncContextManager[None]] | None = None
    """While entered, sets the event when the catalog may have changed; without it drift is seen at `pace.resync_s`."""
    dry_run: bool = False
    pace: Pace = field(default_factory=Pace)
    entropy: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    status: Status = field(init=False)
    _checked: tuple[str, Report] | None = field(default=None, init=False)
    _compared: str = field(default="", init=False)
    _compared_at: float = field(default=0.0, init=False)
    _healing: Healing = field(init=False)

    def __post_init__(self) -> None:
        self.status = Status(self.owner, self.source.name)
        self._healing = Healing(self.clock)

    async def reconcile(self, *, resync: bool = True) -> Status:
        """Observe, compare, act, report: one pass. Failures that are not bugs end up in the status.

        With `resync` off, a source that still is as last applied is not compared with the engine again until
        `pace.resync_s` have passed.
        """
        before = self.status
        seen = replace(before, message="", error=None, changed=False)
        try:
            snapshot = await asyncio.to_thread(self.source.read)
            seen = replace(seen, observed=snapshot.revision, description=snapshot.description, files=snapshot.files)
            report = await asyncio.to_thread(self._report, snapshot)
            seen = replace(seen, findings=tuple(report.diagnostics))
            objection = await asyncio.to_thread(self._objection, snapshot, report, before.applied)
            if objection is not None:
                state, message = objection
                status = replace(seen, state=state, message=message)
            elif resync or not self._fresh(seen):
                status = await self._converge(seen, report)
            else:
                status = replace(seen, message=before.message)
        except SourceError as error:
            status = replace(seen, state="source_error", message=str(error), error=error)
        except (Unreachable, Unavailable) as error:
            status = replace(seen, state="unreachable", message=str(error), error=error)
        except ClientError as error:
            status = replace(seen, state="refused", message=str(error), error=error)
        # What only another revision or a person can mend is no reason to look less often.
        failed = status.state in ("source_error", "unreachable", "refused")
        self.status = replace(status, failures=before.failures + 1 if failed else 0)
        return self.status

    def _objection(self, snapshot: Snapshot, report: Report, applied: str) -> tuple[State, str] | None:
        """Why a revision is not even compared with the catalog."""
        unread = within(snapshot.unread, report.project.paths)
        for path, reason in sorted(unread.items()):
            more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
            return "invalid", f"{path}: {reason}{more}; nothing was applied"
        if report.has_errors:
            return "invalid", "the files have errors; nothing was applied"
        if not applied or self.rewrite == "follow":
            return None
        match self.source.lineage(applied, snapshot.revision):
            case "rewound":
                what = "is older than"
            case "rewritten":
                what = "does not follow"
            case _:
                return None
        return "blocked", (
            f"{snapshot.description} {what} the applied revision {applied[:12]}: the branch was reset or rewritten, or a "
            "mirror lags behind; if that is meant, repeat with --rewrite follow"
        )

    def _fresh(self, seen: Status) -> bool:
        """Whether the last comparison with the engine was about this very revision, and not too long ago."""
        told = seen.state in ("synced", "drifted", "blocked") and self._compared == seen.observed
        return told and self.clock() - self._compared_at < self.pace.resync_s

    def _report(self, snapshot: Snapshot) -> Report:
        """The findings for a snapshot, remembered while it stays the same."""
        if self._checked is None or self._checked[0] != snapshot.revision:
            self._checked = (snapshot.revision, self.check(snapshot))
        return self._checked[1]

    async def _converge(self, seen: Status, report: Report) -> Status:
        steps = [step_to_json(found.step) for found in report.steps.values()]
        renamed = {step_id for found in report.steps.values() for step_id in found.delivery.moved_from}
        is_drift = seen.applied == seen.observed
        if not is_drift:
            self._healing.begin_anew()
        for _ in range(MAX_CONFLICTS):
            difference = _difference(await self._apply(steps, seen.observed, None, dry_run=True))
            self._compared, self._compared_at = seen.observed, self.clock()
            if difference.empty:
                return replace(seen, state="synced", applied=seen.observed, difference=difference)
            held = self._held(seen, difference, renamed, is_drift)
            if held is not None:
                return held
            try:
                answer = await self._apply(steps, seen.observed, difference.sequence, dry_run=False)
            except Conflict:
                continue
            if is_drift:
                self._healing.restored(difference.touched)
            return replace(seen, state="synced", applied=seen.observed, difference=_difference(answer), changed=True)
        return replace(
            seen, state="refused", message=f"the catalog changed {MAX_CONFLICTS} times while it was compared"
        )

    def _held(self, seen: Status, difference: Difference, renamed: Collection[str], is_drift: bool) -> Status | None:
        """The status when a difference is not to be applied; None when it is."""
        found = replace(seen, difference=difference)
        if is_drift and self.drift != "heal":
            names = ", ".join(difference.touched)
            message = f"somebody else changed {names}" if self.drift == "report" else ""
            return replace(found, state="drifted" if self.drift == "report" else "synced", message=message)
        fought = self._healing.fought_over(difference.touched) if is_drift else []
        if fought:
            names = ", ".join(fought)
            return replace(
                found,
                state="drifted",
                message=f"restored {names} {MAX_HEALS} times in {FIGHT_WINDOW_S / 60:g} minutes, and somebody else changed "
                "it again each time; stop the other writer, nothing is restored before the next revision",
            )
        objection = self.guard.objection(difference, renamed)
        if objection:
            return replace(found, state="blocked", message=objection)
        return replace(found, state="pending") if self.dry_run else None

    async def _apply(
        self, steps: Sequence[JSONObject], revision: str, expected: int | None, *, dry_run: bool
    ) -> dict[str, JSON]:
        return await self.api.apply_catalog(
            steps, owner=self.owner, revision=revision, expected_sequence=expected, dry_run=dry_run
        )

    async def run(self, report: Callable[[Status], None]) -> None:
        """Reconcile for ever; `report` gets every status that says something new. Ends when cancelled."""
        changed, moved = asyncio.Event(), asyncio.Event()
        told: Status | None = None
        catalog = self.catalog_hints(_Both(moved, changed)) if self.catalog_hints else nullcontext()
        async with self.source.hints(changed), catalog:
            while True:
                changed.clear()
                look = moved.is_set() and self._settled_in_s() <= 0
                if look:
                    moved.clear()
                status = await self.reconcile(resync=told is None or look)
                if told is None or status.changed or _news(status) != _news(told):
                    report(status)
                    told = status
                await self._pause(changed, self._settled_in_s() if moved.is_set() else None)

    def _settled_in_s(self) -> float:
        return self._compared_at + self.pace.settle_s - self.clock()

    async def _pause(self, changed: asyncio.Event, look_in_s: float | None) -> None:
        """Until there is a hint, or it is time to look again."""
        failures = self.status.failures
        wait_s = self.pace.after_failures(failures, self.entropy) if failures else self.pace.interval_s
        if look_in_s is not None:
            wait_s = min(wait_s, max(look_in_s, 0.0))
        # Not wait_for: in Python 3.11 it forgets a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await changed.wait()


class _Both(asyncio.Event):
    """An event that sets another one, too."""

    def __init__(self, first: asyncio.Event, second: asyncio.Event) -> None:
        super().__init__()
        self._events = first, second

    def set(self) -> None:
        for event in self._events:
            event.set()


def _difference(answer: dict[str, JSON]) -> Difference:
    return Difference(
        created=tuple(answer["created"]),
        updated=tuple(answer["updated"]),
        deleted=tuple(answer["deleted"]),
        unchanged=answer["unchanged"],
        sequence=answer["sequence"],
        warnings=tuple(answer.get("warnings") or ()),
    )


def _news(status: Status) -> tuple[JSON, ...]:
    return status.state, status.observed, status.applied, status.message, status.difference
