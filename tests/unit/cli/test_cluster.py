"""`argyll cluster`: what a node says of the cluster, for people and for programs."""

from typing import Any

import pytest

STATUS: dict[str, Any] = {
    "node_id": "n1",
    "role": "leader",
    "term": 4,
    "leader_id": "n1",
    "has_quorum": True,
    "commit_index": 20,
    "applied_index": 20,
    "presence": {"n1": "joined", "n2": "joined", "n3": "left"},
    "peers": [
        {"id": "n2", "is_connected": True, "match_index": 20, "lag": 0, "last_contact_ms": 30},
        {"id": "n3", "is_connected": False, "match_index": 12, "lag": 8, "last_contact_ms": 9_000},
    ],
}


def test_status_shows_every_node_and_that_one_is_missing(engine: Any, run: Any):
    engine.on("GET /engine/raft", STATUS)
    result = run("cluster", "status")
    assert result.exit_code == 8
    lines = [line.split() for line in result.output.splitlines()]
    assert "term 4, leader n1, quorum, committed 20" in result.output
    assert ["n1", "leader", "joined", "here", "20"] in lines
    assert ["n2", "follower", "joined", "connected", "20", "0", "30", "ms", "ago"] in lines
    assert ["n3", "follower", "left", "not", "connected", "12", "8", "9000", "ms", "ago"] in lines


def test_status_of_a_whole_cluster_is_0(engine: Any, run: Any):
    engine.on("GET /engine/raft", STATUS | {"peers": STATUS["peers"][:1]})
    assert run("cluster", "status").exit_code == 0


def test_status_without_quorum_is_8(engine: Any, run: Any):
    engine.on("GET /engine/raft", STATUS | {"peers": [], "has_quorum": False, "leader_id": None})
    result = run("cluster", "status")
    assert (result.exit_code, "leader none, no quorum" in result.output) == (8, True)


@pytest.mark.parametrize(
    ("options", "body", "said"), [((), {}, "n2 leads"), (("--to", "n3"), {"to": "n3"}, "n3 leads")]
)
def test_leadership_is_handed_over(engine: Any, run: Any, options: tuple[str, ...], body: Any, said: str):
    engine.on("POST /engine/raft/transfer", {"leader_id": "n2"})
    engine.on("GET /engine/raft", STATUS | {"leader_id": "n2"})
    result = run("cluster", "transfer", *options)
    assert (result.exit_code, said in result.output + result.stderr) == (0, True)
    assert engine.body_of("POST /engine/raft/transfer") == body


def test_a_follower_says_whom_to_ask(engine: Any, run: Any):
    refusal = {"title": "Leadership stays", "status": 409, "detail": "this node is not the leader; ask n2"}
    engine.on("POST /engine/raft/transfer", refusal, 409)
    result = run("cluster", "transfer")
    assert result.exit_code == 5
    assert "ask n2" in result.stderr


def test_two_nodes_make_no_demo_of_survival(run: Any):
    result = run("demo", "--nodes", "2")
    assert (result.exit_code, "take 1, 3 or more" in result.stderr) == (64, True)
