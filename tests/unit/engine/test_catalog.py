"""Changes of the catalog: one at a time or a whole set, committed in one append or refused with every finding."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import Engine, EngineConfig, catalog_sets
from argyll.engine.errors import (
    IdMismatch,
    InvalidCatalog,
    InvalidRequest,
    InvalidStep,
    SequenceConflict,
    StepConflict,
    StepNotFound,
)
from argyll.model.wire import step_to_json
from argyll.store import Store

from .conftest import Node, Open, Services, step

A = step("a", needs=("x",), gives=("y",))
B = step("b", needs=("y",), gives=("z",))


async def events(node: Node) -> list[str]:
    return [record.type for record in await node.engine.events(("catalog",))]


def apply(*steps: Any, owner: str = "git", **options: Any) -> dict[str, Any]:
    return {"owner": owner, "steps": list(steps), **options}


# One step


async def test_a_registered_step_is_there_with_its_work_defaults(node: Node):
    """execution.md 13.10/101, 13.23/217"""
    returned = await node.engine.register_step(A | {"id": "My Step!"})
    assert returned.id == "my-step"
    assert "work_config" not in step_to_json(returned)
    assert node.engine.catalog.steps["my-step"].work.backoff_type == "exponential"


async def test_registering_the_same_again_changes_nothing_and_another_is_refused(node: Node):
    """execution.md 13.10/103, 13.10/112"""
    await node.register(A)
    await node.register(A | {"work_config": {"backoff_type": "exponential"}})
    assert await events(node) == ["step_registered"]
    with pytest.raises(StepConflict, match="PUT"):
        await node.register(A | {"name": "Other"})


async def test_an_update_replaces_and_an_equal_one_is_no_event(node: Node):
    """execution.md 13.10/104-105, 13.10/113"""
    await node.register(A)
    await node.engine.update_step("A", A | {"name": "New"})
    await node.engine.update_step("a", A | {"name": "New"})
    assert node.engine.catalog.steps["a"].name == "New"
    assert await events(node) == ["step_registered", "step_updated"]
    with pytest.raises(IdMismatch):
        await node.engine.update_step("b", A)
    with pytest.raises(StepNotFound):
        await node.engine.update_step("b", B)


async def test_an_unregistered_step_is_gone(node: Node):
    """execution.md 13.10/111"""
    await node.register(A)
    await node.engine.unregister_step("a")
    assert node.engine.catalog.steps == {}
    with pytest.raises(StepNotFound):
        await node.engine.unregister_step("a")


async def test_a_faulty_step_is_refused_with_every_finding(node: Node):
    faulty = {"id": "a", "name": "", "type": "script", "attributes": {"x": {"role": "inptu"}, "y": {"role": "outptu"}}}
    with pytest.raises(InvalidStep) as raised:
        await node.register(faulty)
    assert {"/attributes/x/role", "/attributes/y/role"} <= {found["path"] for found in raised.value.errors}
    assert all(found["code"].startswith("ARG") and found["message"] for found in raised.value.errors)
    assert await events(node) == []


async def test_types_conflict_only_when_both_sides_say_a_type(node: Node):
    await node.register(step("a", attributes={"y": {"role": "output", "type": "number"}}))
    await node.register(step("untyped", needs=("y",)))
    with pytest.raises(InvalidStep, match="y"):
        await node.register(step("b", attributes={"y": {"role": "required", "type": "string"}}))


async def test_flow_steps_may_not_run_in_circles(node: Node):
    """execution.md 13.10/107-108"""
    await node.register(step("a", "flow", goals=["b"]))
    with pytest.raises(InvalidStep, match="a"):
        await node.register(step("b", "flow", goals=["a"]))
    await node.register(step("b"))
    with pytest.raises(InvalidStep):
        await node.engine.update_step("b", step("b", "flow", goals=["a"]))


async def test_changes_at_the_same_time_see_each_other(node: Node):
    outcomes = await asyncio.gather(
        *(node.engine.register_step(A | {"name": name}) for name in ("one", "two", "one")), return_exceptions=True
    )
    assert sum(isinstance(outcome, StepConflict) for outcome in outcomes) == 1
    assert await events(node) == ["step_registered"]


# A whole set


async def test_a_set_is_applied_in_one_append_and_again_without_any(node: Node):
    """execution.md 13.10/109"""
    answer = await node.engine.apply_catalog(apply(B, A, revision="abc"))
    assert answer == {
        "applied": True, "sequence": 3, "created": ["a", "b"], "updated": [], "deleted": [], "adopted": [], "unchanged": 0,
        "warnings": [],
    }  # fmt: skip
    commits = [c for c in node.commits if c.aggregate == ("catalog",)]
    assert [[event.type for event in c.events] for c in commits] == [
        ["step_registered", "step_registered", "catalog_applied"]
    ]
    again = await node.engine.apply_catalog(apply(A, B))
    assert (again["applied"], again["unchanged"], again["sequence"]) == (False, 2, 3)


async def test_only_the_owners_steps_are_deleted(node: Node):
    await node.register(step("manual"))
    await node.engine.apply_catalog(apply(A, B))
    await node.engine.apply_catalog(apply(step("c"), owner="other"))
    answer = await node.engine.apply_catalog(apply(A | {"name": "New"}))
    assert (answer["updated"], answer["deleted"]) == (["a"], ["b"])
    assert sorted(node.engine.catalog.steps) == ["a", "c", "manual"]
    assert node.engine.catalog.owners == {"a": "git", "c": "other"}


async def test_steps_of_a_set_may_refer_to_each_other_in_any_order(node: Node):
    answer = await node.engine.apply_catalog(apply(step("gate", "flow", goals=["a"]), A))
    assert answer["created"] == ["a", "gate"]
    assert not [w for w in answer["warnings"] if w["severity"] == "error"]


async def test_goals_that_do_not_exist_are_warnings(node: Node):
    answer = await node.engine.apply_catalog(apply(step("gate", "flow", goals=["later"])))
    assert answer["applied"]
    assert [(w["step_id"], "later" in w["message"]) for w in answer["warnings"]] == [("gate", True)]


async def test_a_dry_run_tells_and_does_nothing(node: Node):
    await node.engine.apply_catalog(apply(A))
    answer = await node.engine.apply_catalog(apply(B, dry_run=True))
    assert (answer["applied"], answer["created"], answer["deleted"], answer["sequence"]) == (False, ["b"], ["a"], 2)
    assert list(node.engine.catalog.steps) == ["a"]
    with pytest.raises(InvalidCatalog):
        await node.engine.apply_catalog(apply({"id": "bad", "type": "nope"}, dry_run=True))


async def test_a_set_for_another_sequence_is_refused(node: Node):
    await node.engine.apply_catalog(apply(A, expected_sequence=0))
    with pytest.raises(SequenceConflict, match="sequence 2, expected 1"):
        await node.engine.apply_catalog(apply(B, expected_sequence=1))
    await node.engine.apply_catalog(apply(B, expected_sequence=2))


async def test_a_faulty_set_changes_nothing_and_names_every_fault(node: Node):
    """execution.md 13.10/109"""
    with pytest.raises(InvalidCatalog) as raised:
        await node.engine.apply_catalog(apply(A, {"id": "bad", "name": "b", "type": "nope"}, step("c") | {"nmae": "c"}))
    assert {found["step_id"] for found in raised.value.errors} == {"bad", "c"}
    assert node.engine.catalog.steps == {}


async def test_a_set_that_conflicts_inside_itself_or_with_the_rest_is_refused(node: Node):
    """execution.md 13.10/109"""
    number, text = ({"y": {"role": "output", "type": "number"}}, {"y": {"role": "required", "type": "string"}})
    with pytest.raises(InvalidCatalog):
        await node.engine.apply_catalog(apply(step("a", attributes=number), step("b", attributes=text)))
    await node.engine.apply_catalog(apply(step("a", attributes=number)))
    with pytest.raises(InvalidCatalog):
        await node.engine.apply_catalog(apply(step("b", attributes=text), owner="other"))
    # What goes in the same apply does not conflict any more.
    await node.engine.apply_catalog(apply(step("b", attributes=text)))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "owner and steps"),
        ({}, "/owner"),
        ({"owner": "", "steps": []}, "/owner"),
        ({"owner": "git", "steps": {}}, "/steps"),
        ({"owner": "git", "steps": [], "revision": 1}, "/revision"),
        ({"owner": "git", "steps": [], "expected_sequence": "1"}, "/expected_sequence"),
        ({"owner": "git", "steps": [], "expected_sequence": True}, "/expected_sequence"),
        ({"owner": "git", "steps": [], "dry_run": "yes"}, "/dry_run"),
        ({"owner": "git", "steps": [], "dryrun": True}, "dry_run"),
        ({"owner": "git", "steps": [A, A]}, "/steps/1"),
    ],
)
async def test_a_request_that_makes_no_sense_names_the_place(node: Node, body: Any, named: str):
    with pytest.raises(InvalidRequest) as raised:
        await node.engine.apply_catalog(body)
    assert named in f"{raised.value.detail} {raised.value.errors}"


async def test_a_set_has_a_limit(node: Node, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog_sets, "MAX_APPLY_STEPS", 1)
    with pytest.raises(InvalidRequest, match="more than 1 steps"):
        await node.engine.apply_catalog(apply(A, B))


async def test_running_flows_keep_the_definitions_they_started_with(node: Node):
    """execution.md 13.12/119"""
    await node.register(step("a", gives=("y",)), B)
    await node.start("f", "b")
    await node.services.called("a")
    await node.engine.apply_catalog(apply(B | {"http": {"endpoint": "http://elsewhere/"}}))
    await node.engine.unregister_step("a")
    node.services.answer("a", {"y": 1})
    (call,) = await node.services.called("b")
    assert call.url == "http://steps/b"


async def test_the_catalog_is_there_after_a_restart(open_node: Open):
    node = await open_node()
    await node.engine.apply_catalog(apply(A, B))
    before = await node.engine.view(("catalog",))
    await node.engine.close()
    again = await open_node()
    assert await again.engine.view(("catalog",)) == before
    assert again.engine.catalog.owners == {"a": "git", "b": "git"}
    assert (await again.engine.apply_catalog(apply(A)))["deleted"] == ["b"]


async def test_work_defaults_come_from_the_configuration(tmp_path: Path):
    config = EngineConfig.load({"max_retries": "3", "data_dir": str(tmp_path)}, {})
    node = Node(Engine(config, await Store.in_memory(), Services()), Services())
    await node.register(A)
    assert node.engine.catalog.steps["a"].work.retry_limit == 3
    await node.engine.close()
