"""The catalog and the cluster follow their events, and edges follow the steps."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from argyll.model.catalog import MAX_REMEMBERED_APPLIES, Catalog, Cluster, apply_catalog, apply_cluster
from argyll.model.events import (
    CatalogApplied,
    Origin,
    Payload,
    SourceSynced,
    StepHealthChanged,
    StepRegistered,
    StepUnregistered,
    StepUpdated,
)
from argyll.model.step import Attribute, Step
from argyll.model.wire import step_to_json

NAMES = st.sampled_from(["x", "y", "z"])
ROLES = st.sampled_from(["required", "optional", "const", "meta", "output"])
SPECS = st.dictionaries(NAMES, st.builds(Attribute, ROLES), max_size=3)
STEPS = st.builds(Step, st.sampled_from(["a", "b", "c"]), st.just("A"), st.just("sync"), SPECS)
CHANGES = st.lists(STEPS | st.sampled_from(["a", "b", "c"]), max_size=12)


def rebuilt(steps: dict[str, Step]) -> Catalog:
    result = Catalog()
    for step in steps.values():
        result.put(step)
    return result


@given(CHANGES)
def test_edges_follow_the_steps_whatever_happened(changes: list[Step | str]):
    """execution.md 13.23/223, 13.26/261"""
    catalog = Catalog()
    for change in changes:
        if isinstance(change, Step):
            catalog.put(change)
        else:
            catalog.remove(change)
    fresh = rebuilt(catalog.steps)
    assert (catalog.providers, catalog.consumers) == (fresh.providers, fresh.consumers)
    assert catalog.edges() == fresh.edges()


def step(step_id: str, **attributes: Attribute) -> Step:
    return Step(id=step_id, name="A", type="sync", attributes=attributes)


def test_events_add_up():
    catalog = Catalog()
    events: list[Payload | None] = [
        StepRegistered(step_to_json(step("a", x=Attribute("output")))),
        StepRegistered(step_to_json(step("b", x=Attribute("required"), c=Attribute("const", value=1)))),
        StepUpdated(step_to_json(step("a", y=Attribute("output")))),
        CatalogApplied("shop", created=["b"], updated=["a"], deleted=[]),
        StepUnregistered("b"),
        None,
    ]
    for at, event in enumerate(events, start=1):
        apply_catalog(catalog, event, at)
    assert list(catalog.steps) == ["a"]
    assert (catalog.providers, catalog.consumers) == ({"y": {"a"}}, {})
    assert catalog.owners == {"a": "shop"}
    assert (catalog.sequence, catalog.last_updated) == (6, 5)


def test_a_copy_does_not_follow():
    catalog = rebuilt({"a": step("a", x=Attribute("output"))})
    copied = catalog.copy()
    catalog.put(step("b", x=Attribute("output")))
    catalog.remove("a")
    assert list(copied.steps) == ["a"]
    assert copied.providers == {"x": {"a"}}


def test_const_and_meta_names_have_edges_to_nothing():
    edges = rebuilt({"a": step("a", c=Attribute("const", value=1), x=Attribute("output"))}).edges()
    assert {name: (edge.providers, edge.consumers) for name, edge in edges.items()} == {
        "c": ((), ()),
        "x": (("a",), ()),
    }


def test_health_is_kept_by_node_and_step():
    cluster = Cluster()
    events: list[Any] = [
        StepHealthChanged("n1", "a", "healthy"),
        StepHealthChanged("n2", "a", "unhealthy", "down"),
        StepHealthChanged("n1", "a", "unknown"),
        None,
    ]
    for at, event in enumerate(events, start=1):
        apply_cluster(cluster, event, at)
    assert cluster.nodes["n1"].health["a"].status == "unknown"
    assert (cluster.nodes["n2"].health["a"].error, cluster.nodes["n2"].last_seen) == ("down", 2)
    assert (cluster.sequence, cluster.last_updated) == (4, 3)


def test_a_snapshot_of_an_earlier_release_opens():
    old = {"steps": {}, "providers": {}, "consumers": {}, "owners": {"a": "git"}, "last_updated": 5, "sequence": 7}
    catalog = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Catalog)
    assert (catalog.owners, catalog.sequence, catalog.sources) == ({"a": "git"}, 7, {})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(catalog), type=Catalog) == catalog


def test_only_so_many_applied_revisions_are_remembered():
    catalog = Catalog()
    for number in range(MAX_REMEMBERED_APPLIES + 3):
        apply_catalog(catalog, SourceSynced("pay", f"c{number}", f"a{number}"), number)
    applies = catalog.sources["pay"].applies
    assert (len(applies), applies[0].revision, applies[-1].sequence) == (
        MAX_REMEMBERED_APPLIES, "c3", MAX_REMEMBERED_APPLIES + 2,
    )  # fmt: skip


def test_a_copy_of_a_catalog_goes_its_own_way():
    catalog = Catalog()
    apply_catalog(catalog, SourceSynced("pay", "c1", "a1", origins={"a": Origin("a.yaml")}), 1)
    copy = catalog.copy()
    assert copy == catalog
    apply_catalog(copy, SourceSynced("pay", "c2", "a2", deleted=["a"]), 2)
    assert (catalog.sources["pay"].revision, catalog.owners) == ("c1", {"a": "pay"})
