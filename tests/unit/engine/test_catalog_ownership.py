"""Owned steps: what others may do with them, and what an owner may take (gitops: ownership)."""

from typing import Any

import pytest

from argyll.engine.catalog_errors import StepOwned, WriteIgnored
from argyll.engine.catalog_ownership import NOBODY, Writer
from argyll.model.json import decode
from argyll.model.source import ForeignWrites
from argyll.model.source_status import drifted

from .conftest import Node, Open, step

A = step("a", gives=("y",))
B = step("b", needs=("y",), gives=("z",))
OTHER = A | {"name": "Other"}
MANUAL = Writer("curl/8", "fire in production")


def apply(*steps: Any, owner: str = "git", **options: Any) -> dict[str, Any]:
    return {"owner": owner, "steps": list(steps), **options}


async def events(node: Node) -> list[str]:
    return [record.type for record in await node.engine.events(("catalog",))]


def let(node: Node, policy: ForeignWrites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.engine.sources, "policy", lambda owner: policy)


@pytest.fixture
async def owned(node: Node) -> Node:
    await node.engine.apply_catalog(apply(A, B))
    return node


async def writes(node: Node, by: Writer = NOBODY) -> list[Any]:
    """A POST, a PUT and a DELETE of somebody else: what became of each."""
    outcomes: list[Any] = []
    for write in (
        lambda: node.engine.register_step(OTHER, by),
        lambda: node.engine.update_step("a", OTHER, by),
        lambda: node.engine.unregister_step("a", by),
    ):
        try:
            await write()
            outcomes.append("done")
        except (StepOwned, WriteIgnored) as error:
            outcomes.append(type(error))
    return outcomes


async def test_others_writes_are_refused_with_the_owner_named(owned: Node):
    before = await events(owned)
    assert await writes(owned) == [StepOwned] * 3
    with pytest.raises(StepOwned, match=r"owned by 'git'.*Argyll-Override") as raised:
        await owned.engine.update_step("a", OTHER)
    assert raised.value.errors[0] | {"message": ""} == {
        "path": "", "code": "step_owned", "message": "", "step_id": "a", "owner": "git",
    }  # fmt: skip
    assert await events(owned) == before


async def test_equal_content_is_fine_whoever_writes_it(owned: Node):
    before = await events(owned)
    await owned.engine.register_step(A)
    await owned.engine.update_step("a", A)
    assert await events(owned) == before


async def test_ignored_writes_change_nothing_and_tell_what_is_kept(owned: Node, monkeypatch: pytest.MonkeyPatch):
    let(owned, "ignore", monkeypatch)
    before = await events(owned)
    assert await writes(owned) == [WriteIgnored] * 3
    with pytest.raises(WriteIgnored) as raised:
        await owned.engine.register_step(OTHER)
    assert (raised.value.owner, raised.value.step) == ("git", owned.engine.catalog.steps["a"])
    assert await events(owned) == before


async def test_allowed_writes_are_recorded_and_show_as_drift(owned: Node, monkeypatch: pytest.MonkeyPatch):
    let(owned, "allow", monkeypatch)
    await owned.engine.update_step("a", OTHER, Writer("argyll-client"))
    assert (await events(owned))[-2:] == ["step_override", "step_updated"]
    catalog = owned.engine.catalog
    assert (catalog.owners["a"], catalog.overrides["a"].actor) == ("git", "argyll-client")
    assert drifted(catalog, "git") == ["a"]


async def test_an_override_always_writes_and_always_records(owned: Node):
    assert await writes(owned, MANUAL) == ["done"] * 3
    override = owned.engine.catalog.overrides["a"]
    assert (override.action, override.actor, override.reason) == ("unregistered", "curl/8", "fire in production")
    assert "a" not in owned.engine.catalog.steps


async def test_an_owner_keeps_a_step_that_others_removed_until_it_lets_go(owned: Node):
    await owned.engine.unregister_step("a", MANUAL)
    assert drifted(owned.engine.catalog, "git") == ["a"]
    with pytest.raises(StepOwned):
        await owned.engine.register_step(OTHER)
    answer = await owned.engine.apply_catalog(apply(B))
    assert (answer["deleted"], answer["applied"]) == ([], True)
    assert owned.engine.catalog.owners == {"b": "git"}
    await owned.engine.register_step(OTHER)


async def test_the_owners_next_apply_ends_the_drift(owned: Node):
    await owned.engine.update_step("a", OTHER, MANUAL)
    await owned.engine.apply_catalog(apply(A, B))
    assert owned.engine.catalog.overrides == {}
    assert drifted(owned.engine.catalog, "git") == []


async def test_an_unowned_equal_step_is_adopted_without_an_event_of_its_own(node: Node):
    await node.register(A)
    answer = await node.engine.apply_catalog(apply(A))
    assert (answer["applied"], answer["adopted"], answer["unchanged"]) == (True, ["a"], 1)
    assert await events(node) == ["step_registered", "steps_adopted", "catalog_applied"]
    with pytest.raises(StepOwned):
        await node.engine.unregister_step("a")


async def test_another_owners_step_is_not_taken_and_every_one_is_named(owned: Node):
    for same_or_not in (A, OTHER):
        with pytest.raises(StepOwned, match=r"step 'a' is owned by 'git'.*step 'b'"):
            await owned.engine.apply_catalog(apply(same_or_not, B, owner="other"))
    assert set(owned.engine.catalog.owners.values()) == {"git"}


async def test_providers_come_first_and_go_last(node: Node):
    gate = step("gate", "flow", goals=["b", "z-provider"])
    provider = step("z-provider", gives=("first",))
    reader = step("b", needs=("first", "outside"))
    await node.engine.apply_catalog(apply(gate, reader, provider))
    await node.engine.apply_catalog(apply(step("a")))
    told = [decode(record.data) for record in await node.engine.events(("catalog",))]
    ids = [event["step"]["id"] if "step" in event else event.get("step_id") for event in told]
    assert ids[:3] == ["z-provider", "b", "gate"]
    assert ids[5:8] == ["gate", "b", "z-provider"]


async def test_ownership_and_drift_are_there_after_a_restart(open_node: Open):
    node = await open_node()
    await node.engine.apply_catalog(apply(A, B, revision="r1"))
    await node.engine.update_step("a", OTHER, MANUAL)
    before = node.engine.catalog
    await node.engine.close()
    after = (await open_node()).engine.catalog
    assert (after.owners, after.overrides, after.sources) == (before.owners, before.overrides, before.sources)
    assert after.sources["git"].revision == "r1"
