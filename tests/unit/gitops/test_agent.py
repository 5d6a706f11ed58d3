"""One reconcile observes, compares, acts at most once, and reports; nothing else changes the catalog."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from argyll.analysis.check import LocatedStep, Report
from argyll.analysis.delivery import Delivery
from argyll.analysis.diagnostics import Diagnostic, Span
from argyll.client import Conflict, Invalid, Unreachable
from argyll.gitops import Agent, Lineage, Pace, PruneGuard, Snapshot, SourceError, Status
from argyll.gitops.agent import MAX_CONFLICTS
from argyll.gitops.drift import FIGHT_WINDOW_S, MAX_HEALS, Healing
from argyll.model.json import JSON
from argyll.model.step import UNSET, Attribute, Http, Step

OWNER = "shop"


class FakeSource:
    """A source whose files are step ids; a file called `bad` is an error."""

    name = "fake"
    poll_s = 1.0

    def __init__(self, *ids: str) -> None:
        self.ids: tuple[str, ...] = ids
        self.failure: Exception | None = None
        self.changed: asyncio.Event | None = None
        self.lineages: dict[tuple[str, str], Lineage] = {}
        self.unread: dict[str, str] = {}

    def lineage(self, earlier: str, later: str) -> Lineage:
        return self.lineages.get((earlier, later), "same" if earlier == later else "forward")

    def read(self) -> Snapshot:
        if self.failure is not None:
            raise self.failure
        return Snapshot(f"r:{','.join(self.ids)}", {f"{step}.yaml": b"" for step in self.ids}, "fake@r", self.unread)

    @asynccontextmanager
    async def hints(self, changed: asyncio.Event) -> AsyncIterator[None]:
        self.changed = changed
        yield


class FakeEngine:
    """A catalog that keeps one owner's steps as JSON, with a sequence."""

    def __init__(self, *ids: str) -> None:
        self.steps: dict[str, JSON] = dict.fromkeys(ids)
        self.sequence = 10
        self.calls: list[dict[str, JSON]] = []
        self.failures: list[Exception] = []
        self.intrusions = 0

    async def apply_catalog(self, definitions: Sequence[Any], /, **options: Any) -> dict[str, JSON]:
        self.calls.append(options | {"steps": list(definitions)})
        if self.failures:
            raise self.failures.pop(0)
        wanted = {step["id"]: step for step in definitions}
        answer = {
            "applied": not options["dry_run"],
            "created": sorted(wanted.keys() - self.steps.keys()),
            "updated": [],
            "deleted": sorted(self.steps.keys() - wanted.keys()),
            "unchanged": len(wanted.keys() & self.steps.keys()),
            "warnings": [],
        }
        if options["dry_run"]:
            answer["sequence"] = self.sequence
            if self.intrusions:
                self.intrusions -= 1
                self.sequence += 1
            return answer
        if options["expected_sequence"] != self.sequence:
            raise Conflict("POST", "/engine/catalog/apply", 409, {"detail": "catalog has changed"})
        self.steps, self.sequence = wanted, self.sequence + 1
        return answer | {"sequence": self.sequence}

    @property
    def writes(self) -> list[dict[str, JSON]]:
        return [call for call in self.calls if not call["dry_run"]]


def check(snapshot: Snapshot) -> Report:
    report = Report()
    for path in snapshot.files:
        step_id = path.removesuffix(".yaml")
        if step_id == "bad":
            report.diagnostics.append(Diagnostic("ARG101", "error", "bad", path=path))
            continue
        step = Step(step_id, step_id, "sync", {"x": Attribute("optional", default=[1])}, Http("http://localhost"))
        delivery = Delivery(moved_from=tuple(f"{step_id}-{number}" for number in range(9)))
        report.steps[step_id] = LocatedStep(step, path, Span(0, 0, 1, 1, 1, 1), delivery)
    return report


def agent_of(source: FakeSource, engine: FakeEngine, **options: Any) -> Agent:
    return Agent(source=source, api=engine, owner=OWNER, check=check, **options)


async def test_a_new_revision_is_applied_in_one_write_at_the_compared_sequence():
    engine = FakeEngine("old")
    status = await agent_of(FakeSource("a", "b"), engine, guard=PruneGuard(allow_empty=True)).reconcile()
    assert (status.state, status.changed, status.applied) == ("synced", True, "r:a,b")
    assert (status.difference.created, status.difference.deleted) == (("a", "b"), ("old",))
    (write,) = engine.writes
    assert (write["owner"], write["revision"], write["expected_sequence"]) == (OWNER, "r:a,b", 10)


async def test_steps_travel_in_the_api_spelling_with_defaults_as_json_text():
    engine = FakeEngine()
    await agent_of(FakeSource("a"), engine).reconcile()
    assert engine.steps["a"]["attributes"]["x"] == {"role": "optional", "optional": {"default": "[1]"}}
    assert UNSET not in engine.steps["a"].values()


async def test_doing_it_again_writes_nothing():
    engine, source = FakeEngine(), FakeSource("a")
    agent = agent_of(source, engine)
    await agent.reconcile()
    status = await agent.reconcile()
    assert (status.state, status.changed, len(engine.writes)) == ("synced", False, 1)


async def test_one_bad_file_keeps_everything_as_it_is():
    engine = FakeEngine("a")
    status = await agent_of(FakeSource("a", "b", "bad"), engine).reconcile()
    assert (status.state, engine.calls) == ("invalid", [])
    assert [found.code for found in status.findings] == ["ARG101"]


async def test_a_dry_run_says_what_would_change_and_writes_nothing():
    engine = FakeEngine("a")
    status = await agent_of(FakeSource("a", "b"), engine, dry_run=True).reconcile()
    assert (status.state, status.difference.created, engine.writes) == ("pending", ("b",), [])


async def test_a_change_by_somebody_else_is_compared_anew():
    engine = FakeEngine()
    engine.intrusions = 2
    status = await agent_of(FakeSource("a"), engine).reconcile()
    assert (status.state, len(engine.writes)) == ("synced", 3)


async def test_a_catalog_that_never_rests_is_given_up_on_for_now():
    engine = FakeEngine()
    engine.intrusions = 100
    status = await agent_of(FakeSource("a"), engine).reconcile()
    assert (status.state, len(engine.writes)) == ("refused", MAX_CONFLICTS)


OLD = [f"s{n}" for n in range(20)]


@pytest.mark.parametrize(
    ("keep", "guard", "state", "words"),
    [
        (20, PruneGuard(), "synced", ""),
        (17, PruneGuard(), "synced", ""),
        (15, PruneGuard(), "blocked", "5 of 20 steps"),
        (15, PruneGuard(allow_prune=True), "synced", ""),
        (15, PruneGuard(max_percent=25), "synced", ""),
        (15, PruneGuard(max_percent=100, max_count=4), "blocked", "limits: 4 steps"),
        (0, PruneGuard(allow_prune=True), "blocked", "--allow-empty"),
        (0, PruneGuard(allow_prune=True, allow_empty=True), "synced", ""),
    ],
)
async def test_a_large_removal_waits_for_a_person(keep: int, guard: PruneGuard, state: str, words: str):
    engine = FakeEngine(*OLD)
    status = await agent_of(FakeSource(*OLD[:keep]), engine, guard=guard).reconcile()
    assert status.state == state
    assert words in status.message
    assert len(engine.steps) == (20 if state == "blocked" else keep)


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (Unreachable("POST", "http://e", "refused", sent=False), "unreachable"),
        (Invalid("POST", "http://e", 400, {"detail": "no"}), "refused"),
        (Conflict("POST", "http://e", 409, {"detail": "owned by another"}), "refused"),
    ],
)
async def test_a_failed_call_is_a_status_with_its_cause(failure: Exception, state: str):
    engine = FakeEngine()
    engine.failures = [failure]
    status = await agent_of(FakeSource("a"), engine).reconcile()
    assert (status.state, status.error, status.failures) == (state, failure, 1)


async def test_a_source_that_cannot_be_read_removes_nothing():
    engine, source = FakeEngine("a"), FakeSource()
    source.failure = SourceError("gone; bring it back")
    status = await agent_of(source, engine).reconcile()
    assert (status.state, status.message, engine.calls) == ("source_error", "gone; bring it back", [])


async def watched(agent: Agent, wanted: int) -> list[Status]:
    """The first statuses that a running agent reports."""
    told: asyncio.Queue[Status] = asyncio.Queue()
    running = asyncio.create_task(agent.run(told.put_nowait))
    try:
        async with asyncio.timeout(20):
            return [await told.get() for _ in range(wanted)]
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_the_loop_retries_what_failed_and_reports_only_news():
    engine = FakeEngine()
    engine.failures = [Unreachable("POST", "http://e", "refused", sent=False) for _ in range(3)]
    agent = agent_of(FakeSource("a"), engine, pace=Pace(interval_s=0.001, backoff_s=0.001))
    assert [status.state for status in await watched(agent, 2)] == ["unreachable", "synced"]


async def test_a_hint_is_answered_at_once_however_long_the_interval():
    engine, source = FakeEngine(), FakeSource("a")
    agent = agent_of(source, engine, pace=Pace(interval_s=3600))
    told: asyncio.Queue[Status] = asyncio.Queue()
    running = asyncio.create_task(agent.run(told.put_nowait))
    async with asyncio.timeout(20):
        await told.get()
        source.ids = ("a", "b")
        assert source.changed is not None
        source.changed.set()
        status = await told.get()
    running.cancel()
    assert (status.changed, status.difference.created) == (True, ("b",))


async def test_an_unchanged_source_is_compared_with_the_engine_only_now_and_then():
    engine, now = FakeEngine(), [0.0]
    agent = agent_of(FakeSource("a"), engine, clock=lambda: now[0], pace=Pace(resync_s=60))
    await agent.reconcile()
    calls = len(engine.calls)
    now[0] = 59
    await agent.reconcile(resync=False)
    assert len(engine.calls) == calls
    now[0] = 61
    engine.steps.clear()
    status = await agent.reconcile(resync=False)
    assert (status.changed, status.difference.created) == (True, ("a",))


def test_backoff_doubles_to_its_cap_with_jitter_below():
    pace = Pace(backoff_s=1, backoff_cap_s=30)
    assert [pace.after_failures(n, lambda: 0.0) for n in (1, 2, 3, 6, 1000)] == [1, 2, 4, 30, 30]
    assert pace.after_failures(3, lambda: 1.0) == 2


@pytest.mark.parametrize(("lineage", "words"), [("rewound", "is older than"), ("rewritten", "does not follow")])
async def test_a_history_that_does_not_follow_waits_for_a_person(lineage: Lineage, words: str):
    engine, source = FakeEngine(), FakeSource("a", "b")
    agent = agent_of(source, engine)
    await agent.reconcile()
    source.ids = ("a",)
    source.lineages["r:a,b", "r:a"] = lineage
    status = await agent.reconcile()
    assert (status.state, status.applied, sorted(engine.steps)) == ("blocked", "r:a,b", ["a", "b"])
    assert words in status.message
    agent.rewrite = "follow"
    assert ((await agent.reconcile()).state, sorted(engine.steps)) == ("synced", ["a"])


async def test_a_file_that_cannot_be_read_keeps_everything_as_it_is():
    engine, source = FakeEngine("a", "b"), FakeSource("a")
    source.unread = {"b.yaml": "a symbolic link; put the file itself there"}
    status = await agent_of(source, engine).reconcile()
    assert (status.state, engine.calls) == ("invalid", [])
    assert status.message.startswith("b.yaml: a symbolic link; put the file itself there")


async def test_a_renamed_step_counts_as_no_removal():
    moved = [f"a-{number}" for number in range(9)]
    renamed = await agent_of(FakeSource("a"), FakeEngine(*moved)).reconcile()
    assert (renamed.state, len(renamed.difference.deleted)) == ("synced", 9)
    others = [f"b-{number}" for number in range(9)]
    assert (await agent_of(FakeSource("a"), FakeEngine(*others)).reconcile()).state == "blocked"


async def test_what_others_change_is_restored():
    engine, source = FakeEngine(), FakeSource("a")
    agent = agent_of(source, engine)
    await agent.reconcile()
    engine.steps.clear()
    status = await agent.reconcile()
    assert (status.state, status.changed, sorted(engine.steps)) == ("synced", True, ["a"])


@pytest.mark.parametrize(("drift", "state"), [("report", "drifted"), ("off", "synced")])
async def test_what_others_change_can_be_left_as_it_is(drift: Any, state: str):
    engine, source = FakeEngine(), FakeSource("a")
    agent = agent_of(source, engine, drift=drift)
    await agent.reconcile()
    engine.steps.clear()
    status = await agent.reconcile()
    assert (status.state, status.difference.created, len(engine.writes)) == (state, ("a",), 1)
    source.ids = ("a", "b")
    assert ((await agent.reconcile()).state, sorted(engine.steps)) == ("synced", ["a", "b"])


async def test_two_writers_do_not_fight_for_ever_and_a_new_revision_begins_anew():
    engine, source = FakeEngine(), FakeSource("a")
    agent = agent_of(source, engine, clock=lambda: 0.0)
    await agent.reconcile()
    for _ in range(MAX_HEALS + 3):
        engine.steps.clear()
        status = await agent.reconcile()
    assert (status.state, len(engine.writes)) == ("drifted", 1 + MAX_HEALS)
    assert "stop the other writer" in status.message
    source.ids = ("a", "b")
    assert ((await agent.reconcile()).state, sorted(engine.steps)) == ("synced", ["a", "b"])


def test_a_fight_is_over_steps_restored_often_within_the_window():
    now = [0.0]
    healing = Healing(lambda: now[0])
    for _ in range(MAX_HEALS):
        healing.restored(["a"])
        now[0] += FIGHT_WINDOW_S / MAX_HEALS
    healing.restored(["b"])
    assert healing.fought_over(["a", "b"]) == ["a"]
    calm = Healing(lambda: now[0])
    for _ in range(MAX_HEALS * 2):
        calm.restored(["a"])
        now[0] += FIGHT_WINDOW_S / (MAX_HEALS - 1) + 1
    assert calm.fought_over(["a"]) == []


async def test_a_change_of_the_catalog_is_looked_at_once_it_has_settled():
    engine, source = FakeEngine(), FakeSource("a")
    catalog: list[asyncio.Event] = []

    @asynccontextmanager
    async def hints(changed: asyncio.Event) -> AsyncIterator[None]:
        catalog.append(changed)
        yield

    told: asyncio.Queue[Status] = asyncio.Queue()
    pace = Pace(interval_s=1000, resync_s=1000, settle_s=0)
    running = asyncio.create_task(agent_of(source, engine, catalog_hints=hints, pace=pace).run(told.put_nowait))
    await told.get()
    engine.steps.clear()
    catalog[0].set()
    healed = await asyncio.wait_for(told.get(), 30)
    running.cancel()
    assert (healed.state, healed.changed, sorted(engine.steps)) == ("synced", True, ["a"])


async def test_what_waits_for_a_person_or_a_commit_is_looked_at_as_often_as_ever():
    engine, source = FakeEngine(*(f"b-{number}" for number in range(9))), FakeSource("a")
    agent = agent_of(source, engine)
    blocked = await agent.reconcile(resync=False)
    again = await agent.reconcile(resync=False)
    assert (blocked.state, again.state, again.message, again.failures) == ("blocked", "blocked", blocked.message, 0)
    assert len(engine.calls) == 1, "the same difference is not computed again and again"
    source.ids = ("a", "bad")
    assert [(await agent.reconcile(resync=False)).failures for _ in range(3)] == [0, 0, 0]
    source.failure = SourceError("gone")
    assert [(await agent.reconcile(resync=False)).failures for _ in range(3)] == [1, 2, 3]


async def test_the_loop_ends_also_when_a_hint_comes_with_its_end():
    source = FakeSource("a")
    told: asyncio.Queue[Status] = asyncio.Queue()
    running = asyncio.create_task(agent_of(source, FakeEngine(), pace=Pace(interval_s=1000)).run(told.put_nowait))
    await told.get()
    await asyncio.sleep(0)
    assert source.changed is not None
    source.changed.set()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 30)
