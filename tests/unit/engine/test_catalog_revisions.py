"""Revisions of sources: one commit or nothing, on exactly what they were planned on, the same however often they are sent."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argyll.engine import Engine, EngineConfig, catalog_apply, catalog_guards, catalog_revisions, catalog_staging
from argyll.engine.catalog_errors import (
    ApplyNotFound,
    ApprovalNeeded,
    ChunksMissing,
    InvalidRevision,
    NotAllowed,
    PreconditionFailed,
    StaleRevision,
    StepOwned,
    StepUnowned,
)
from argyll.engine.catalog_ownership import Writer
from argyll.engine.errors import InvalidRequest, SequenceConflict
from argyll.model.json import decode, encode
from argyll.model.revision import content_hash
from argyll.store import Store

from .conftest import Node, Open, Services, step
from .revisions import applied, events, index, revision

A = step("a", gives=("y",))
B = step("b", needs=("y",), gives=("z",))
OTHER = A | {"name": "Other"}
NUMBER = {"y": {"role": "output", "type": "number"}}
READS_NUMBER = {"y": {"role": "required", "type": "number"}}


def typed(step_id: str, role: str, of: str) -> Any:
    return step(step_id, attributes={"y": {"role": role, "type": of}})


async def test_a_revision_is_one_append_that_its_event_closes(node: Node):
    """gitops scenario 1"""
    answer = await applied(node, "c1", B, A)
    commits = [c for c in node.commits if c.aggregate == ("catalog",)]
    assert [[event.type for event in c.events] for c in commits] == [
        ["step_registered", "step_registered", "source_synced"]
    ]
    assert (answer["applied"], answer["created"], answer["sequence"]) == (True, ["a", "b"], 2)
    catalog = node.engine.catalog
    assert catalog.owners == {"a": "pay", "b": "pay"}
    assert (catalog.origins["a"].path, catalog.origins["a"].live_hash) == ("steps/a.yaml", answer["live_hashes"]["a"])
    assert catalog.sources["pay"].revision == "c1"


async def test_nothing_new_is_no_append_and_a_new_name_for_the_same_is_one_event(node: Node):
    """gitops scenarios 2, 4"""
    await applied(node, "c1", A)
    assert not (await applied(node, "c1"))["applied"]
    answer = await applied(node, "c2")
    assert (answer["applied"], answer["updated"]) == (True, [])
    assert await events(node) == ["step_registered", "source_synced", "source_synced"]


async def test_a_step_that_moves_to_another_file_is_no_change_of_the_step(node: Node):
    """gitops scenario 5"""
    await applied(node, "c1", A)
    request = await revision(node, "c2", A)
    request["steps"][0]["path"] = "elsewhere.yaml"
    answer = await node.engine.apply_catalog(request)
    assert (answer["updated"], answer["unchanged"]) == ([], 1)
    assert node.engine.catalog.origins["a"].path == "elsewhere.yaml"
    assert (await events(node))[2:] == ["source_synced"]


async def test_what_no_order_of_single_writes_could_do_is_one_revision(node: Node):
    """gitops scenarios 17, 18"""
    await applied(node, "c1", typed("a", "output", "number"), typed("b", "required", "number"))
    await applied(node, "c2", typed("a", "output", "string"), typed("b", "required", "string"))
    await applied(node, "c3", step("a", needs=("q",), gives=("p",)), step("b", needs=("p",)))
    await applied(node, "c4", step("a", needs=("p",)), step("b", needs=("q",), gives=("p",)))
    assert node.engine.catalog.providers == {"p": {"b"}}


async def test_the_same_apply_again_gets_the_answer_of_the_first(node: Node):
    request = await revision(node, "c1", A)
    first = await node.engine.apply_catalog(request)
    await applied(node, "c2", OTHER)
    before = await events(node)
    again = await node.engine.apply_catalog(request)
    assert again == first | {"duplicate": True, "unchanged": 0}
    assert await events(node) == before


async def test_the_same_apply_twice_at_once_is_one_append(node: Node):
    request = await revision(node, "c1", A)
    answers = await asyncio.gather(*(node.engine.apply_catalog(request) for _ in range(3)))
    assert sorted(answer["duplicate"] for answer in answers) == [False, True, True]
    assert await events(node) == ["step_registered", "source_synced"]


async def test_an_apply_is_known_after_a_restart(open_node: Open):
    node = await open_node()
    request = await revision(node, "c1", A)
    first = await node.engine.apply_catalog(request)
    await node.engine.close()
    again = await open_node()
    assert (await again.engine.apply_catalog(request))["sequence"] == first["sequence"]
    outcome = await again.engine.revisions.outcome(request["apply_id"])
    assert (outcome["state"], outcome["created"]) == ("committed", ["a"])


async def test_a_touched_step_that_changed_in_between_stops_it_and_another_does_not(node: Node):
    """gitops scenario 42"""
    await applied(node, "c1", A)
    request = await revision(node, "c2", OTHER)
    await node.register(step("stranger"))
    await node.engine.apply_catalog(request)
    request = await revision(node, "c3", A)
    await node.engine.update_step("a", A | {"name": "By hand"}, Writer(override="fire"))
    with pytest.raises(PreconditionFailed) as raised:
        await node.engine.apply_catalog(request)
    assert [found["step_id"] for found in raised.value.errors] == ["a"]
    assert raised.value.errors[0]["live_hash"] == (await index(node))["steps"]["a"]["live_hash"]


async def test_a_plan_on_another_revision_or_sequence_is_stale(node: Node):
    late = await revision(node, "c1", A)
    await applied(node, "c2", B)
    with pytest.raises(StaleRevision, match="at c2, the apply expects previous null"):
        await node.engine.apply_catalog(late)
    request = await revision(node, "c3", A, expected_sequence=0)
    with pytest.raises(SequenceConflict):
        await node.engine.apply_catalog(request)


async def test_deletions_are_named_and_a_revision_leaves_the_rest_alone(node: Node):
    """gitops scenarios 8, 38"""
    await applied(node, "c1", A, B)
    answer = await applied(node, "c2", deletes=["b"])
    assert answer["deleted"] == ["b"]
    assert node.engine.catalog.owners == {"a": "pay"}
    assert "z" not in node.engine.catalog.providers


async def test_what_goes_goes_from_the_consumers_end(node: Node):
    chain = [step("c", gives=("x",)), step("a", needs=("x",), gives=("y",)), step("b", needs=("y",))]
    await node.engine.configure_source("pay", {"dir": "/srv", "prune": {"allow_empty": True}})
    await applied(node, "c1", *chain)
    await applied(node, "c2", deletes=["a", "b", "c"])
    told = [decode(r.data) for r in await node.engine.events(("catalog",)) if r.type != "source_synced"]
    ids = [event["step"]["id"] if "step" in event else event.get("step_id") for event in told]
    assert ids == [None, "c", "a", "b", "b", "a", "c"]
    assert told[1]["cause"] == {"source": "pay", "revision": "c1"}


async def test_an_orphan_stays_and_belongs_to_nobody(node: Node):
    """gitops scenario 11"""
    await applied(node, "c1", A, B)
    answer = await applied(node, "c2", orphans=["b"])
    assert answer["orphaned"] == ["b"]
    assert (await events(node))[3:] == ["steps_orphaned", "source_synced"]
    assert (sorted(node.engine.catalog.steps), node.engine.catalog.owners) == (["a", "b"], {"a": "pay"})


async def test_equal_steps_of_nobody_are_adopted_and_others_only_when_asked(node: Node):
    """gitops scenarios 27, 28"""
    await node.register(A, B)
    answer = await applied(node, "c1", A)
    assert (answer["adopted"], answer["created"]) == (["a"], [])
    assert (await events(node))[2:] == ["steps_adopted", "source_synced"]
    other = B | {"name": "Other"}
    with pytest.raises(StepUnowned) as raised:
        await applied(node, "c2", other)
    assert raised.value.errors[0]["code"] == "D004"
    assert (await applied(node, "c2", other, adopts=["b"]))["updated"] == ["b"]


async def test_another_sources_step_moves_only_within_a_group(node: Node):
    """gitops scenarios 29, 30"""
    await applied(node, "c1", A, source="old")
    for source in ("old", "pay"):
        await node.engine.configure_source(source, {"dir": "/srv"})
    with pytest.raises(StepOwned, match="'old'"):
        await applied(node, "c1", A)
    with pytest.raises(StepOwned):
        await applied(node, "c1", A, transfers={"a": "old"})
    for source in ("old", "pay"):
        await node.engine.configure_source(source, {"dir": "/srv", "group": "core"})
    answer = await applied(node, "c1", A, transfers={"a": "old"})
    assert (answer["transferred"], node.engine.catalog.owners) == (["a"], {"a": "pay"})
    assert "step_unregistered" not in await events(node)


async def test_an_invalid_revision_changes_nothing_and_tells_every_fault(node: Node):
    """gitops scenarios 12, 16"""
    with pytest.raises(InvalidRevision) as raised:
        await applied(node, "c1", A, {"id": "bad", "name": "b", "type": "nope"}, step("c") | {"nmae": "c"})
    assert {found["step_id"] for found in raised.value.errors} == {"bad", "c"}
    with pytest.raises(InvalidRevision):
        await applied(node, "c1", typed("a", "output", "number"), typed("b", "required", "string"))
    assert await events(node) == []


async def test_a_dry_run_says_everything_and_does_nothing(node: Node):
    await applied(node, "c1", *(step(f"s{n}") for n in range(5)))
    gone = [f"s{n}" for n in range(4)]
    answer = await applied(node, "c2", A, deletes=gone, dry_run=True)
    assert (answer["applied"], answer["created"], answer["deleted"]) == (False, ["a"], gone)
    assert [found["code"] for found in answer["blocked"]] == ["B001"]
    assert answer["plan_digest"].startswith("sha256:")
    assert (await index(node))["sources"]["pay"]["revision"] == "c1"


class TestGuards:
    """How much may go without a person's word."""

    async def test_many_deletions_wait_for_an_approval_of_this_very_plan(self, node: Node):
        """gitops scenario 9"""
        await node.engine.configure_source("pay", {"dir": "/srv"})
        await applied(node, "c1", *(step(f"s{n:02}") for n in range(20)))
        gone = [f"s{n:02}" for n in range(8)]
        with pytest.raises(ApprovalNeeded, match="8 of 20 steps") as raised:
            await applied(node, "c2", deletes=gone)
        digest = raised.value.plan_digest
        with pytest.raises(ApprovalNeeded):
            await applied(node, "c2", deletes=gone, prune_ack=digest)
        await node.engine.decide_source("pay", "approve", {"plan_digest": digest})
        with pytest.raises(ApprovalNeeded):
            await applied(node, "c3", deletes=[*gone, "s19"], prune_ack=digest)
        assert len((await applied(node, "c2", deletes=gone, prune_ack=digest))["deleted"]) == 8

    async def test_a_caller_of_an_unconfigured_source_may_agree_itself(self, node: Node):
        await applied(node, "c1", *(step(f"s{n}") for n in range(6)))
        gone = [f"s{n}" for n in range(5)]
        digest = (await applied(node, "c2", deletes=gone, dry_run=True))["plan_digest"]
        await applied(node, "c2", deletes=gone, prune_ack=digest)
        assert sorted(node.engine.catalog.steps) == ["s5"]

    async def test_emptying_a_source_needs_the_configuration_to_say_so(self, node: Node):
        """gitops scenario 10"""
        await applied(node, "c1", A)
        digest = (await applied(node, "c2", deletes=["a"], dry_run=True))["plan_digest"]
        with pytest.raises(ApprovalNeeded, match="allow_empty"):
            await applied(node, "c2", deletes=["a"], prune_ack=digest)
        await node.engine.configure_source("pay", {"dir": "/srv", "prune": {"allow_empty": True}})
        await applied(node, "c2", deletes=["a"])
        assert node.engine.catalog.steps == {}

    async def test_a_rename_is_no_loss(self, node: Node):
        """gitops scenario 7"""
        await node.engine.configure_source("pay", {"dir": "/srv", "prune": {"floor": 0}})
        await applied(node, "c1", A)
        answer = await applied(node, "c2", A | {"id": "a2"}, deletes=["a"], moved={"a": "a2"})
        assert (answer["created"], answer["deleted"]) == (["a2"], ["a"])

    @pytest.mark.parametrize("others", [B, step("gate", "flow", goals=["a"])])
    async def test_others_lose_no_provider_and_no_goal_unasked(self, node: Node, others: Any):
        """gitops scenario 19"""
        await applied(node, "c1", A, step("c"))
        await node.register(others)
        with pytest.raises(ApprovalNeeded, match=others["id"]) as raised:
            await applied(node, "c2", deletes=["a"])
        assert raised.value.errors[0]["code"] == "B003"

    async def test_an_output_that_an_update_drops_counts_too(self, node: Node):
        await applied(node, "c1", A)
        await node.register(B)
        with pytest.raises(ApprovalNeeded, match="'y'"):
            await applied(node, "c2", step("a", gives=("other",)))
        await applied(node, "c2", step("a"), step("a2", gives=("y",)))

    async def test_pruning_may_be_off(self, node: Node):
        await node.engine.configure_source("pay", {"dir": "/srv", "prune": {"enabled": False}})
        await applied(node, "c1", A, B)
        with pytest.raises(ApprovalNeeded, match=r"prune\.enabled"):
            await applied(node, "c2", deletes=["b"])

    async def test_a_huge_revision_is_looked_at_unless_it_is_the_first(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(catalog_guards, "MAX_UNAPPROVED_CHANGES", 1)
        await applied(node, "c1", A, B)
        with pytest.raises(ApprovalNeeded, match="MAX_UNAPPROVED_CHANGES"):
            await applied(node, "c2", step("c"), step("d"))

    @pytest.mark.parametrize(
        ("allow", "faulty", "named"),
        [
            ({"id_prefixes": ["pay-"]}, A, "'pay-'"),
            ({"types": ["script"]}, A, "type 'sync'"),
            ({"produce": ["pay_*"]}, A, "output 'y'"),
            ({"endpoints": ["https://*.pay.internal/*"]}, A, "http://steps/a"),
            ({"languages": ["ale"]}, step("s", "script", language="lua", script="return {}"), "language 'lua'"),
        ],
    )
    async def test_a_source_has_only_what_it_may_have(self, node: Node, allow: Any, faulty: Any, named: str):
        await node.engine.configure_source("pay", {"dir": "/srv", "allow": allow})
        with pytest.raises(NotAllowed, match=named):
            await applied(node, "c1", faulty)
        assert node.engine.catalog.steps == {}


class TestParts:
    """Revisions too large for one body."""

    async def test_staged_parts_are_part_of_the_revision(self, node: Node):
        request = await revision(node, "c1", A, B)
        staging = node.engine.revisions.staging
        bodies = [encode([entry]) for entry in request["steps"]]
        names = [staging.put(request["apply_id"], n, body) for n, body in enumerate(bodies)]
        assert names == [content_hash(body) for body in bodies]
        assert (await node.engine.revisions.outcome(request["apply_id"]))["chunks"] == 2
        answer = await node.engine.apply_catalog(request | {"steps": [], "chunks": names})
        assert answer["created"] == ["a", "b"]
        assert staging.count(request["apply_id"]) == 0

    async def test_a_missing_part_is_named_and_may_be_sent_again(self, node: Node):
        request = await revision(node, "c1", A)
        body = encode(request["steps"])
        request |= {"steps": [], "chunks": [content_hash(body)]}
        with pytest.raises(ChunksMissing, match=content_hash(body)):
            await node.engine.apply_catalog(request)
        node.engine.revisions.staging.put(request["apply_id"], 0, body)
        assert (await node.engine.apply_catalog(request))["applied"]

    def test_the_oldest_goes_first_when_there_is_too_much(self, monkeypatch: pytest.MonkeyPatch):
        staging = catalog_staging.Staging()
        monkeypatch.setattr(catalog_staging, "MAX_STAGED_APPLIES", 2)
        for name in ("one", "two", "three"):
            staging.put(name, 0, b"[]")
        assert [staging.count(name) for name in ("one", "two", "three")] == [0, 1, 1]
        monkeypatch.setattr(catalog_staging, "MAX_STAGED_BYTES", 5)
        staging.put("three", 1, b"[ ]")
        staging.put("three", 1, b"[]")
        assert [staging.count(name) for name in ("two", "three")] == [0, 2]

    @pytest.mark.parametrize(("number", "body"), [(256, b"[]"), (0, b"{}"), (0, b'[{"id": "a"}]')])
    def test_what_is_no_part_is_refused(self, number: int, body: bytes):
        with pytest.raises(InvalidRequest):
            catalog_staging.Staging().put("a", number, body)


class TestOutcomes:
    """What became of an apply whose answer was lost."""

    async def test_a_refusal_is_remembered_until_it_succeeds(self, node: Node):
        request = await revision(node, "c1", {"id": "bad"})
        with pytest.raises(InvalidRevision):
            await node.engine.apply_catalog(request)
        outcome = await node.engine.revisions.outcome(request["apply_id"])
        assert (outcome["state"], outcome["status"], bool(outcome["errors"])) == ("rejected", 422, True)

    async def test_an_unknown_one_is_not_found(self, node: Node):
        with pytest.raises(ApplyNotFound, match="send it again"):
            await node.engine.revisions.outcome("x")

    async def test_only_so_many_refusals_are_remembered(self, node: Node, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(catalog_apply, "MAX_REJECTIONS", 1)
        for name in ("one", "two"):
            with pytest.raises(InvalidRevision):
                await applied(node, "c1", {"id": "bad"}, apply_id=name)
        assert (await node.engine.revisions.outcome("two"))["state"] == "rejected"
        with pytest.raises(ApplyNotFound):
            await node.engine.revisions.outcome("one")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": "Not An Id"}, "/source"),
        ({"revision": ""}, "/revision"),
        ({"revision": "r" * 257}, "/revision"),
        ({"apply_id": "not an id"}, "/apply_id"),
        ({"apply_id": ""}, "/apply_id"),
        ({"lineage": "sideways"}, "/lineage"),
        ({"steps": [{"step": A, "lin": 1}]}, "/steps/0"),
        ({"steps": {}}, "/steps"),
        ({"stpes": []}, "did you mean `steps`"),
        ({"preconditions": {}}, "/preconditions/a"),
        ({"deletes": ["a"]}, "/deletes/a"),
        ({"deletes": ["x"], "orphans": ["x"], "preconditions": {"a": None, "x": None}}, "/orphans/x"),
        ({"adopts": ["x"]}, "/adopts/x"),
        ({"transfers": {"x": "other"}}, "/transfers/x"),
        ({"moved": {"x": "a"}}, "/moved/x"),
        ({"deletes": ["x"], "moved": {"x": "q"}, "preconditions": {"a": None, "x": None}}, "/moved/q"),
        ({"plan_digest": "sha256:other"}, "/plan_digest"),
        ({"steps": [{"step": A}, {"step": A}]}, "/steps/1"),
    ],
)
async def test_a_request_that_makes_no_sense_names_the_place(node: Node, change: Any, named: str):
    with pytest.raises(InvalidRequest) as raised:
        await node.engine.apply_catalog(await revision(node, "c1", A) | change)
    assert named in f"{raised.value.detail} {raised.value.errors}"
    assert await events(node) == []


async def test_a_revision_has_a_limit(node: Node, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog_revisions, "MAX_APPLY_STEPS", 1)
    with pytest.raises(InvalidRequest, match="MAX_APPLY_STEPS"):
        await applied(node, "c1", A, B)


async def test_the_index_shows_what_a_comparison_needs(node: Node):
    await node.register(step("free"))
    answer = await applied(node, "c1", A)
    await node.engine.update_step("a", OTHER, Writer("curl", "fire"))
    shown = await index(node)
    assert list(shown["steps"]["free"]) == ["live_hash"]
    entry = shown["steps"]["a"]
    assert (entry["owner"], entry["path"], entry["line"]) == ("pay", "steps/a.yaml", 1)
    assert entry["applied_hash"] == answer["live_hashes"]["a"] != entry["live_hash"]
    assert entry["override"] == {"action": "updated", "actor": "curl", "reason": "fire"}
    assert shown["sources"]["pay"] | {"apply_id": "", "plan_digest": ""} == {
        "revision": "c1", "sequence": 2, "apply_id": "", "plan_digest": "",
    }  # fmt: skip
    await node.engine.unregister_step("a", Writer("curl", "fire"))
    assert (await index(node))["steps"]["a"]["live_hash"] is None


CONTENT = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["one", "two"]), max_size=4)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(CONTENT, min_size=1, max_size=5))
async def test_whatever_the_revisions_the_catalog_is_the_last_one(wanted: list[dict[str, str]], tmp_path: Any):
    """The catalog is what the last revision says, one closing event each, and a replay of the log agrees."""
    engine = Engine(EngineConfig(data_dir=tmp_path, drain_s=0.0), await Store.in_memory(), Services())
    node = Node(engine, Services())
    await node.engine.configure_source("pay", {"dir": "/srv", "prune": {"allow_empty": True, "floor": 9}})
    for number, content in enumerate(wanted):
        steps = [step(name) | {"name": text} for name, text in sorted(content.items())]
        gone = sorted(set(node.engine.catalog.owners) - set(content))
        request = await revision(node, f"c{number}", *steps, deletes=gone)
        await node.engine.apply_catalog(request)
        await node.engine.apply_catalog(request)
        assert {i: s.name for i, s in node.engine.catalog.steps.items()} == content
        assert set(node.engine.catalog.owners) == set(content)
    assert (await events(node)).count("source_synced") == len(wanted)
    await engine.close()
