"""What one node leaves, another does: the machine under two node ids over one log. That nodes notice each other is the
replicated log's to show."""

from argyll.flow import Advance, Reclaim
from tests.unit.flow.harness import SILENT, Flow, World, fails, gives, output, required, sync, unavailable


def world_with_a_sick_node(*answers: object) -> World:
    """A step that `n1` may not claim while it is sick, and `n2` may."""
    world = World(sync("s", {"y": output()}, work={"init_backoff": 1_000}), answers={"s": list(answers)})  # type: ignore[list-item]
    world.may_claim = lambda step: "wait" if world.node_id == "n1" else "yes"
    return world


def looks(node_id: str, flow: Flow) -> None:
    """A node looks at a flow that is committed: it knows nothing but the log."""
    flow.world.node_id = node_id
    flow.reload()
    flow.do(Advance())
    flow.world.run()


def test_a_healthy_node_runs_what_a_sick_one_may_not_claim() -> None:
    """execution.md 13.9/92, 13.19/169"""
    world = world_with_a_sick_node(gives(y=1))
    flow = world.start("s")
    looks("n1", flow)
    assert world.calls == []

    looks("n2", flow)

    assert ([item.node_id for item in flow.items("s")], flow.status) == (["n2"], "completed")


def test_a_due_retry_is_made_by_the_node_that_may() -> None:
    """execution.md 13.17/161-162, 13.26/253"""
    world = world_with_a_sick_node(unavailable(), gives(y=1))
    flow = world.start("s")
    looks("n2", flow)
    world.now_us += 1_000_000
    looks("n1", flow)
    assert len(world.calls) == 1

    looks("n2", flow)
    looks("n2", flow)

    assert ([call.attempt for call in world.calls], flow.status) == ([1, 2], "completed")


def test_undoing_goes_on_where_its_node_died() -> None:
    """execution.md 13.16/159"""
    each = sync("s", {"x": required(for_each=True)}, compensate="http://undo/", work={"parallelism": 2})
    world = World(each, answers={"s": [gives(), fails()]}, undo={"s": SILENT})
    flow = world.start("s", {"x": [[1, 2]]})
    assert (len(world.undone), flow.ended) == (1, False)

    world.node_id, world.undo["s"] = "n2", gives()
    flow.reload()
    flow.do(Reclaim(lambda owner, token: owner == "n1"))
    world.run()

    assert (len(world.undone), flow.items("s")[0].node_id, flow.ended) == (2, "n2", True)
