"""Sources: what is configured, decided and reported about them, how they stand, and the way back."""

from typing import Any

import pytest

from argyll.engine import catalog_sources
from argyll.engine.catalog_errors import (
    ApprovalNeeded,
    InvalidRevision,
    NotAllowed,
    SourceNotFound,
    SourceStopped,
    StepOwned,
    WriteIgnored,
)
from argyll.engine.catalog_ownership import Writer
from argyll.engine.errors import InvalidRequest

from .conftest import Node, Open, step
from .revisions import applied, events, revision, source_events

A = step("a", gives=("y",))
OTHER = A | {"name": "Other"}
HERE: dict[str, Any] = {"dir": "/srv/steps"}


def axes(view: Any) -> tuple[str, str, str]:
    return view["sync"], view["health"], view["phase"]


@pytest.fixture
async def pay(node: Node) -> Node:
    """A node with a configured source whose first revision is applied."""
    await node.engine.configure_source("pay", HERE, "admin")
    await applied(node, "c1", A)
    return node


def status(node: Node) -> Any:
    return node.engine.sources.view("pay")


async def decide(node: Node, decision: str, **said: Any) -> Any:
    return await node.engine.decide_source("pay", decision, said, "ann")


async def report(node: Node, kind: str, **seen: Any) -> bool:
    return await node.engine.report_source("pay", {"type": kind} | seen)


async def test_a_configuration_is_written_once_and_shown_whole(node: Node):
    view = await node.engine.configure_source("pay", HERE | {"poll_s": 60}, "admin")
    await node.engine.configure_source("pay", HERE | {"poll_s": 60})
    assert (view["configured"], view["config"]["poll_s"], view["config"]["dir"]) == (True, 60, "/srv/steps")
    assert await source_events(node) == ["source_configured"]
    assert await events(node) == ["source_added"]
    assert [one["id"] for one in node.engine.sources.views()] == ["pay"]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "one of git and dir"),
        (HERE | {"git": {"url": "x"}}, "one of git and dir"),
        ({"git": {"url": "--upload-pack=x"}}, "git.url"),
        ({"git": {"url": "https://bob:secret@git/x"}}, "password"),
        ({"git": {"url": "x", "ref": "--force"}}, "git.ref"),
        (HERE | {"drfit": "heal"}, "drfit"),
        (HERE | {"prune": {"max_percent": 101}}, "max_percent"),
        (HERE | {"prune": {"max": 1}}, "max"),
        (HERE | {"foreign_writes": "maybe"}, "foreign_writes"),
        (HERE | {"poll_s": 0}, "poll_s"),
    ],
)
async def test_a_configuration_that_makes_no_sense_is_refused(node: Node, config: Any, named: str):
    with pytest.raises(InvalidRequest, match=named):
        await node.engine.configure_source("pay", config)
    assert not node.engine.sources.is_known("pay")


async def test_there_is_a_limit_of_sources(node: Node, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog_sources, "MAX_SOURCES", 1)
    await node.engine.configure_source("one", HERE)
    await node.engine.configure_source("one", HERE | {"env": "prod"})
    with pytest.raises(InvalidRequest, match="MAX_SOURCES"):
        await node.engine.configure_source("two", HERE)


async def test_the_source_says_what_becomes_of_others_writes(pay: Node):
    """gitops scenarios 23, 24, 26"""
    with pytest.raises(StepOwned):
        await pay.engine.update_step("a", OTHER)
    await pay.engine.configure_source("pay", HERE | {"foreign_writes": "ignore"})
    with pytest.raises(WriteIgnored):
        await pay.engine.register_step(OTHER)
    await pay.engine.configure_source("pay", HERE | {"foreign_writes": "allow"})
    await pay.engine.update_step("a", OTHER, Writer("curl"))
    assert (status(pay)["sync"], status(pay)["drifted"]) == ("out_of_sync", ["a"])
    await applied(pay, "c1", A)
    assert status(pay)["drifted"] == []


async def test_a_deleted_source_leaves_its_steps_to_nobody(pay: Node):
    assert await pay.engine.delete_source("pay") == ["a"]
    assert (list(pay.engine.catalog.steps), pay.engine.catalog.owners) == (["a"], {})
    with pytest.raises(SourceNotFound):
        status(pay)
    await pay.engine.update_step("a", OTHER)
    await pay.engine.configure_source("pay", HERE)
    assert (await source_events(pay))[-2:] == ["source_deleted", "source_configured"]


async def test_one_that_must_not_leave_steps_is_emptied_first(pay: Node):
    await pay.engine.configure_source("pay", HERE | {"on_delete": "prune", "prune": {"allow_empty": True}})
    with pytest.raises(InvalidRequest, match="on_delete"):
        await pay.engine.delete_source("pay")
    await applied(pay, "c2", deletes=["a"])
    assert await pay.engine.delete_source("pay") == []


class TestStatus:
    """Three axes that do not depend on each other."""

    async def test_synced_when_the_observed_revision_is_the_applied_one(self, pay: Node):
        assert status(pay)["sync"] == "unknown"
        await report(pay, "observed", revision="c1", description="main@c1")
        assert (status(pay)["sync"], status(pay)["phase"]) == ("synced", "idle")
        await report(pay, "observed", revision="c2")
        assert (status(pay)["sync"], status(pay)["phase"]) == ("out_of_sync", "pending")

    @pytest.mark.parametrize(
        ("trouble", "phase"),
        [
            ({"type": "invalid", "count": 30, "diagnostics": [{"code": "ARG102"}] * 30}, "invalid"),
            ({"type": "verify_failed", "message": "c2 is not signed"}, "rejected"),
            ({"type": "blocked", "code": "B001", "message": "too many", "plan_digest": "sha256:1"}, "blocked"),
        ],
    )
    async def test_trouble_is_written_once_and_ends_with_the_next_revision(self, pay: Node, trouble: Any, phase: str):
        """gitops scenario 12"""
        await report(pay, "observed", revision="c2")
        assert await pay.engine.report_source("pay", trouble | {"revision": "c2"})
        assert not await pay.engine.report_source("pay", trouble | {"revision": "c2"})
        assert axes(status(pay)) == ("out_of_sync", "degraded", phase)
        assert len(status(pay)["problem"].get("diagnostics", [])) <= 20
        await report(pay, "observed", revision="c3")
        assert "problem" not in status(pay)

    async def test_trouble_with_a_revision_ends_when_that_is_applied(self, pay: Node):
        await report(pay, "observed", revision="c2")
        await report(pay, "blocked", revision="c2", code="B003", message="m")
        await applied(pay, "c2")
        assert status(pay)["sync"] == "synced"
        assert "problem" not in status(pay)

    async def test_a_source_that_cannot_be_read_is_unknown_and_degraded(self, pay: Node):
        await report(pay, "observed", revision="c1")
        assert await report(pay, "degraded", code="G002", message="no such repository")
        assert not await report(pay, "degraded", code="G002", message="still none")
        assert axes(status(pay)) == ("unknown", "degraded", "retry")
        assert await report(pay, "recovered")
        assert not await report(pay, "recovered")
        assert status(pay)["sync"] == "synced"

    async def test_what_fights_is_shown(self, pay: Node):
        assert await report(pay, "drifted", step_ids=["a"], fighting=["a"])
        assert not await report(pay, "drifted", step_ids=["a"], fighting=["a"])
        assert (status(pay)["fighting"], status(pay)["health"]) == (["a"], "degraded")
        assert await report(pay, "drift_cleared")

    async def test_a_refresh_is_a_number_that_agents_compare(self, pay: Node):
        before = status(pay)["refresh"]
        assert (await decide(pay, "refresh"))["refresh"] == before + 1

    @pytest.mark.parametrize("body", [{}, {"type": "seen"}, {"type": "observed"}, {"type": "observed", "revision": 1}])
    async def test_what_is_no_report_is_refused(self, pay: Node, body: Any):
        with pytest.raises(InvalidRequest, match="not a report"):
            await pay.engine.report_source("pay", body)


class TestStopping:
    """Nothing comes while somebody says so."""

    async def test_a_suspended_source_takes_nothing_until_it_is_resumed(self, pay: Node):
        view = await decide(pay, "suspend", reason="freeze")
        assert (view["health"], view["phase"]) == ("suspended", "suspended")
        with pytest.raises(SourceStopped, match=r"freeze.*resume"):
            await applied(pay, "c2", OTHER)
        await decide(pay, "resume")
        await applied(pay, "c2", OTHER)

    async def test_a_suspension_ends_by_itself_at_its_moment(self, pay: Node):
        await decide(pay, "suspend", until="2020-01-01T00:00:00Z")
        await applied(pay, "c2", OTHER)
        with pytest.raises(InvalidRequest, match="RFC 3339"):
            await decide(pay, "suspend", until="tomorrow")

    async def test_a_hold_keeps_out_what_it_skips_and_ends_with_a_new_commit(self, pay: Node):
        await report(pay, "observed", revision="c2")
        view = await decide(pay, "hold")
        assert (view["hold"]["revision"], view["hold"]["skip"]) == ("c1", ["c2"])
        assert axes(view)[0::2] == ("synced", "held")
        with pytest.raises(SourceStopped, match="held at c1"):
            await applied(pay, "c2", OTHER)
        await applied(pay, "c3", OTHER)
        assert "hold" not in status(pay)
        assert (await source_events(pay))[-1] == "source_resumed"
        await applied(pay, "c2", A)

    async def test_a_pinned_hold_lasts_until_resume(self, pay: Node):
        await decide(pay, "hold", pin=True)
        with pytest.raises(SourceStopped):
            await applied(pay, "c9", OTHER)

    async def test_decisions_survive_a_restart(self, open_node: Open):
        node = await open_node()
        await node.engine.configure_source("pay", HERE)
        await applied(node, "c1", A)
        await decide(node, "suspend", reason="freeze")
        await decide(node, "approve", plan_digest="sha256:1")
        before = status(node)
        await node.engine.close()
        after = status(await open_node())
        assert {**after, "health": ""} == {**before, "health": ""}
        assert (after["approval"]["plan_digest"], after["approval"]["actor"]) == ("sha256:1", "ann")

    @pytest.mark.parametrize(
        ("decision", "said"),
        [
            ("approve", {}),
            ("suspend", {"untill": "x"}),
            ("suspend", {"reason": 1}),
            ("hold", {"skip": "c1"}),
            ("hold", {"pin": "yes"}),
            ("refresh", {"reason": "x"}),
        ],
    )
    async def test_a_decision_that_makes_no_sense_is_refused(self, pay: Node, decision: str, said: Any):
        with pytest.raises(InvalidRequest):
            await pay.engine.decide_source("pay", decision, said)

    async def test_nothing_is_decided_about_an_unknown_source(self, node: Node):
        for call in (
            node.engine.decide_source("pay", "suspend", {}),
            node.engine.report_source("pay", {"type": "recovered"}),
            node.engine.delete_source("pay"),
            node.engine.roll_back_source("pay", {}),
        ):
            with pytest.raises(SourceNotFound, match="pay"):
                await call


class TestRollback:
    """gitops scenario 31"""

    async def test_the_revision_before_comes_back_and_stays(self, pay: Node):
        await report(pay, "observed", revision="c2")
        await applied(pay, "c2", OTHER, step("b"))
        answer = await pay.engine.roll_back_source("pay", {"reason": "broken"}, "ann")
        assert (answer["updated"], answer["deleted"], answer["revision"]) == (["a"], ["b"], "c1")
        assert pay.engine.catalog.steps["a"].name == "a"
        assert pay.engine.catalog.origins["a"].path == "steps/a.yaml"
        assert axes(status(pay))[0::2] == ("synced", "held")
        assert status(pay)["applied"]["lineage"] == "rollback"
        with pytest.raises(SourceStopped):
            await applied(pay, "c2", OTHER)
        await applied(pay, "c3", OTHER)
        assert [one["revision"] for one in pay.engine.sources.history("pay", 9)] == ["c3", "c1", "c2", "c1"]

    async def test_any_remembered_revision_can_be_named_by_its_beginning(self, pay: Node):
        for name in ("2aa", "2ab", "3"):
            await applied(pay, name, A | {"name": name})
        for to, named in (("2", "several"), ("9", "remembered")):
            with pytest.raises(InvalidRequest, match=named):
                await pay.engine.roll_back_source("pay", {"to": to})
        await pay.engine.roll_back_source("pay", {"to": "2aa"})
        assert pay.engine.catalog.steps["a"].name == "2aa"

    async def test_back_twice_goes_further_back(self, pay: Node):
        await applied(pay, "c2", OTHER)
        await applied(pay, "c3", A | {"name": "Third"})
        assert (await pay.engine.roll_back_source("pay", {}))["revision"] == "c2"
        assert (await pay.engine.roll_back_source("pay", {}))["revision"] == "c1"
        with pytest.raises(InvalidRequest, match="no earlier revision"):
            await pay.engine.roll_back_source("pay", {})

    async def test_a_refused_rollback_leaves_everything_as_it_was(self, pay: Node):
        await applied(pay, "c2", step("a", attributes={"y": {"role": "output", "type": "number"}}))
        await applied(pay, "c3", step("a"))
        await pay.register(step("b", attributes={"y": {"role": "required", "type": "string"}}))
        await decide(pay, "hold", revision="c3", skip=["c9"])
        before = await events(pay)
        with pytest.raises(InvalidRevision):
            await pay.engine.roll_back_source("pay", {"to": "c2"})
        assert (status(pay)["hold"]["revision"], status(pay)["hold"]["skip"]) == ("c3", ["c9"])
        assert await events(pay) == before

    async def test_a_dry_run_changes_and_holds_nothing(self, pay: Node):
        await applied(pay, "c2", OTHER)
        answer = await pay.engine.roll_back_source("pay", {"dry_run": True})
        assert (answer["applied"], answer["updated"]) == (False, ["a"])
        assert "hold" not in status(pay)

    async def test_an_owner_of_whole_sets_can_go_back_too(self, node: Node):
        for name, of in (("r1", A), ("r2", OTHER)):
            await node.engine.apply_catalog({"owner": "pay", "steps": [of], "revision": name})
        await node.engine.roll_back_source("pay", {})
        assert node.engine.catalog.steps["a"].name == "a"


async def test_a_lost_answer_of_a_hold_ends_with_the_next_commit_all_the_same(pay: Node):
    """The event that ends a hold follows the commit: a crash between the two changes nothing."""
    await decide(pay, "hold", revision="c1", skip=["c2"])
    request = await revision(pay, "c3", OTHER)

    async def crash(source: str, name: str) -> None:
        raise RuntimeError("killed")

    pay.engine.sources.applied = crash
    with pytest.raises(RuntimeError):
        await pay.engine.apply_catalog(request)
    del pay.engine.sources.applied
    assert "hold" not in status(pay)
    await applied(pay, "c2", A)


class TestWholeSets:
    """The simple form of an apply is held to what people decided, and to a configuration where there is one."""

    @staticmethod
    def all_of(*steps: Any, revision: str = "r2", **options: Any) -> dict[str, Any]:
        return {"owner": "pay", "steps": list(steps), "revision": revision, **options}

    async def test_nothing_comes_of_a_suspended_or_held_owner(self, node: Node):
        await node.engine.apply_catalog(self.all_of(A, revision="r1"))
        await node.engine.apply_catalog(self.all_of(OTHER))
        await decide(node, "suspend")
        with pytest.raises(SourceStopped):
            await node.engine.apply_catalog(self.all_of(A, revision="r3"))
        await decide(node, "resume")
        await node.engine.roll_back_source("pay", {})
        with pytest.raises(SourceStopped):
            await node.engine.apply_catalog(self.all_of(OTHER))
        await node.engine.apply_catalog(self.all_of(step("b"), revision="r3"))
        assert "hold" not in status(node)

    async def test_an_unconfigured_owner_may_delete_what_it_likes(self, node: Node):
        await node.engine.apply_catalog(self.all_of(*(step(f"s{n}") for n in range(9))))
        assert len((await node.engine.apply_catalog(self.all_of()))["deleted"]) == 9

    async def test_a_configured_one_needs_an_approval_and_what_it_may_have(self, node: Node):
        await node.engine.configure_source("pay", HERE | {"allow": {"id_prefixes": ["s"]}})
        await node.engine.apply_catalog(self.all_of(*(step(f"s{n}") for n in range(9))))
        with pytest.raises(NotAllowed):
            await node.engine.apply_catalog(self.all_of(A))
        with pytest.raises(ApprovalNeeded) as raised:
            await node.engine.apply_catalog(self.all_of(step("s0")))
        assert len((await node.engine.apply_catalog(self.all_of(step("s0"), dry_run=True)))["deleted"]) == 8
        await decide(node, "approve", plan_digest=raised.value.plan_digest)
        assert len((await node.engine.apply_catalog(self.all_of(step("s0"))))["deleted"]) == 8
        with pytest.raises(ApprovalNeeded, match="allow_empty"):
            await node.engine.apply_catalog(self.all_of())
