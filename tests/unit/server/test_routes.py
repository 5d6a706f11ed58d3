"""Each route: what it asks of the engine, what it answers."""

from typing import Any

import pytest
from msgspec import structs

from argyll.engine.errors import LeadershipStays, MissingInputs, OutcomeUncertain, Overloaded, StepConflict, Unavailable
from argyll.store import PeerStatus

STEP: dict[str, Any] = {
    "id": "s",
    "name": "S",
    "type": "script",
    "script": {"language": "ale", "script": "{:r 1}"},
    "attributes": {"q": {"role": "optional", "default": 3}, "r": {"role": "output"}},
}


@pytest.mark.parametrize("path", ["/engine", "/engine/"])
async def test_the_overview_has_catalog_and_health(api: Any, path: str):
    """execution.md 13.24/231"""
    await api.engine.register_step(STEP)
    status, body, headers = await api.call("GET", path)
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert set(body) == {"steps", "attributes", "health"}
    assert body["health"] == {"n1": {"health": {"s": {"status": "unknown"}}}}


async def test_liveness_names_the_state_of_the_log(api: Any):
    """execution.md 13.24/231"""
    async with await api.socket():
        status, body, headers = await api.call("GET", "/health")
    assert (status, headers["X-Argyll-Raft-State"]) == (200, "leader")
    assert (body["service"], body["status"]) == ("argyll-engine", "healthy")
    assert body["details"]["websocket"] == {"clients": 1}
    assert body["details"]["backend"]["leader_id"] == "n1"


async def test_readiness_is_503_with_a_time_to_come_back(api: Any):
    assert (await api.call("GET", "/ready"))[0] == 200
    api.engine.ready = False
    status, body, headers = await api.call("GET", "/ready")
    assert (status, headers["Retry-After"], body["status"]) == (503, "1", 503)


async def test_a_registered_step_is_echoed_nested_with_its_normal_id(api: Any):
    status, body, _ = await api.call("POST", "/engine/step", STEP)
    assert (status, body["message"]) == (201, "Step registered")
    assert body["step"]["attributes"]["q"] == {"role": "optional", "optional": {"default": "3"}}
    assert "work_config" not in body["step"]
    assert (await api.call("GET", "/engine/step/s"))[1] == body["step"]
    listed = (await api.call("GET", "/engine/step"))[1]
    assert listed == {"steps": [body["step"]], "count": 1}
    assert (await api.call("GET", "/engine/health/s"))[1] == {"status": "unknown"}


async def test_steps_are_updated_and_unregistered(api: Any):
    await api.call("POST", "/engine/step", STEP)
    assert (await api.call("PUT", "/engine/step/S", STEP))[0] == 200
    assert api.engine.calls[-1][:2] == ("update", "S")
    assert (await api.call("DELETE", "/engine/step/s"))[:2] == (200, {"message": "Step unregistered"})
    for method, path in (("DELETE", "/engine/step/s"), ("GET", "/engine/step/s"), ("GET", "/engine/health/s")):
        status, body, _ = await api.call(method, path)
        assert (status, body["status"]) == (404, 404)


@pytest.mark.parametrize("body", [b"x", b"", b"[]", b"null", b'{"id":"s"} y'])
@pytest.mark.parametrize(("method", "path"), [("POST", "/engine/step"), ("POST", "/engine/catalog/apply")])
async def test_a_body_that_is_no_json_object_never_reaches_the_engine(api: Any, method: str, path: str, body: bytes):
    assert (await api.call(method, path, body))[0] == 400
    assert api.engine.calls == []


async def test_a_catalog_is_applied_as_sent(api: Any):
    desired = {"owner": "git", "steps": [STEP]}
    status, body, _ = await api.call("POST", "/engine/catalog/apply", desired)
    assert (status, body) == (200, {"applied": True, "sequence": 3})
    assert api.engine.calls == [("apply", desired)]


async def test_a_flow_is_started_with_candidates(api: Any):
    status, body, _ = await api.call(
        "POST",
        "/engine/flow",
        {"id": "F", "goals": ["g"], "init": {"a": 1, "b": [2, 3], "c": None}, "labels": {"k": "v"}},
    )
    assert (status, body["flow_id"]) == (201, "f")
    assert api.engine.calls == [("start", "F", ["g"], {"a": [1], "b": [2, 3]}, {"k": "v"})]


async def test_a_plan_is_previewed(api: Any):
    status, body, _ = await api.call("POST", "/engine/plan", {"goals": ["g"], "init": {"a": 1}})
    assert (status, body["goals"]) == (200, ["g"])
    assert api.engine.calls == [("preview", ["g"], {"a": [1]})]


async def test_a_flow_is_read_and_cancelled(api: Any):
    api.engine.commit(("flow", "a:b:c"), "flow_started")
    assert (await api.call("GET", "/engine/flow/a:b:c"))[1] == {"id": "a:b:c", "events": 1}
    assert (await api.call("GET", "/engine/flow/a:b:c/status"))[1] == {"id": "a:b:c", "status": "active"}
    assert (await api.call("POST", "/engine/flow/a:b:c/cancel"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/status"), ("GET", "/events"), ("GET", "/events?from=3"), ("POST", "/cancel")],
)
async def test_an_unknown_flow_is_404(api: Any, method: str, path: str):
    """execution.md 13.24/228"""
    status, body, _ = await api.call(method, "/engine/flow/nope" + path)
    assert (status, body["status"]) == (404, 404)
    assert "nope" in body["detail"]


async def test_an_engine_error_is_a_problem_document(api: Any):
    api.engine.fail_with = MissingInputs("init lacks name", ["name"])
    status, body, headers = await api.call("POST", "/engine/flow", {"id": "f", "goals": ["g"]})
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert body == {
        "type": "urn:argyll:problem:missing-inputs",
        "title": "Required inputs not provided",
        "status": 400,
        "detail": "init lacks name",
        "instance": "/engine/flow",
        "error": "init lacks name",
        "errors": [
            {"path": "/init/name", "code": "required_input", "message": "required input 'name' is not provided"}
        ],
    }


async def test_status_and_retry_after_are_the_errors_own(api: Any):
    api.engine.fail_with = StepConflict("taken")
    assert (await api.call("POST", "/engine/step", STEP))[0] == 409
    api.engine.fail_with = Overloaded("too much", retry_after_s=0.2)
    status, _, headers = await api.call("POST", "/engine/step", STEP)
    assert (status, headers["Retry-After"]) == (503, "1")


async def test_a_mistake_of_ours_is_logged_and_told_without_its_text(api: Any, caplog: pytest.LogCaptureFixture):
    api.engine.fail_with = RuntimeError("secret")
    status, body, _ = await api.call("POST", "/engine/step", STEP)
    assert (status, body["type"]) == (500, "urn:argyll:problem:unexpected")
    assert "secret" not in str(body)
    assert "secret" in caplog.text


async def test_a_wrong_method_is_405_with_what_is_allowed(api: Any):
    status, body, headers = await api.call("PATCH", "/engine/step/s")
    assert (status, headers["Allow"]) == (405, "DELETE, GET, HEAD, PUT, OPTIONS")
    assert "DELETE" in body["detail"]


async def test_an_unknown_route_is_a_404_problem(api: Any):
    status, body, headers = await api.call("GET", "/engine/nope")
    assert (status, body["instance"], headers["Content-Type"]) == (404, "/engine/nope", "application/problem+json")


async def test_head_is_get_without_the_body(api: Any):
    got = await api.call("GET", "/engine/step")
    headed = await api.call("HEAD", "/engine/step")
    assert (headed[0], headed[1]) == (200, None)
    assert headed[2]["Content-Length"] == got[2]["Content-Length"]


@pytest.mark.parametrize(("path", "allow"), [("/engine/step", "GET, HEAD, POST, OPTIONS"), ("/no/such", "OPTIONS")])
async def test_options_is_answered_everywhere(api: Any, path: str, allow: str):
    """execution.md 13.24/231"""
    status, body, headers = await api.call("OPTIONS", path)
    assert (status, body, headers["Allow"]) == (200, None, allow)


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/engine/step/", 301, "/engine/step"),
        ("GET", "/engine/flow/x/events/?from=2&limit=1", 301, "/engine/flow/x/events?from=2&limit=1"),
        ("POST", "/engine/flow/", 307, "/engine/flow"),
    ],
)
async def test_a_slash_too_many_is_redirected(api: Any, method: str, path: str, status: int, location: str):
    answered, _, headers = await api.call(method, path)
    assert (answered, headers["Location"]) == (status, location)


@pytest.mark.parametrize("path", ["//evil.example/", "/nope/", "//engine/flow/"])
async def test_an_unknown_path_is_never_redirected(api: Any, path: str):
    assert b" 404 " in (await api.raw(b"GET %b HTTP/1.0\r\n\r\n" % path.encode())).split(b"\r\n")[0]


async def test_no_cors_headers_unless_configured(api: Any):
    _, _, headers = await api.call("GET", "/health", headers={"Origin": "http://x"})
    assert not [name for name in headers if name.startswith("Access-Control")]


async def test_any_origin_when_configured(start: Any):
    """execution.md 13.24/231"""
    api = await start(cors_origins=("*",))
    for path in ("/health", "/nope"):
        _, _, headers = await api.call("GET", path)
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, DELETE, OPTIONS"


async def test_only_listed_origins_when_configured(start: Any):
    api = await start(cors_origins=("http://ui",))
    _, _, allowed = await api.call("GET", "/health", headers={"Origin": "http://ui"})
    _, _, refused = await api.call("GET", "/health", headers={"Origin": "http://evil"})
    assert allowed["Access-Control-Allow-Origin"] == "http://ui"
    assert "Access-Control-Allow-Origin" not in refused
    assert allowed["Vary"] == refused["Vary"] == "Origin"


async def test_a_linearizable_read_waits_for_the_barrier_first(api: Any):
    for path in ("/engine/catalog", "/engine/flow/nobody", "/engine/flow/nobody/explain"):
        await api.call("GET", f"{path}?consistency=linearizable")
        await api.call("GET", f"{path}?consistency=local")
        await api.call("GET", path)
        assert api.engine.calls == [("barrier",)]
        api.engine.calls.clear()


async def test_a_linearizable_read_without_quorum_is_503(api: Any):
    api.engine.fail_with = Unavailable("no leader", retry_after_s=1)
    status, _, headers = await api.call("GET", "/engine/catalog?consistency=linearizable")
    assert (status, headers["Retry-After"]) == (503, "1")


async def test_another_consistency_is_400(api: Any):
    status, body, _ = await api.call("GET", "/engine/catalog?consistency=strong")
    assert status == 400
    assert body["errors"][0]["path"] == "consistency"
    assert "local, linearizable" in body["error"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (OutcomeUncertain("perhaps", retry_after_s=1), "outcome-uncertain"),
        (Unavailable("surely not", retry_after_s=1), "unavailable"),
    ],
)
async def test_a_503_says_whether_the_write_may_still_be_committed(api: Any, failure: Exception, kind: str):
    api.engine.fail_with = failure
    status, body, headers = await api.call("POST", "/engine/flow", {"id": "f", "goals": ["a"]})
    assert (status, body["type"], headers["Retry-After"]) == (503, f"urn:argyll:problem:{kind}", "1")


PEER = PeerStatus("n2", is_connected=True, match_index=10, lag=2, last_contact_ms=40, receives_state=False)


async def test_the_log_is_shown_with_its_peers(api: Any):
    api.engine.log = structs.replace(api.engine.log, peers=(PEER,), leader="n1")
    api.engine.config = structs.replace(api.engine.config, raft_servers={"n1": "a:1", "n2": "b:2"})
    _, body, _ = await api.call("GET", "/engine/raft")
    assert (body["role"], body["term"], body["leader_id"], body["has_quorum"]) == ("leader", 3, "n1", True)
    assert (body["first_index"], body["last_index"], body["commit_index"], body["applied_index"]) == (1, 12, 11, 11)
    assert body["peers"] == [
        {"id": "n2", "address": "b:2", "is_connected": True, "match_index": 10, "lag": 2, "last_contact_ms": 40,
         "receives_state": False}
    ]  # fmt: skip


async def test_health_names_the_leader(api: Any):
    api.engine.log = structs.replace(api.engine.log, role="follower", leader="n2")
    api.engine.config = structs.replace(api.engine.config, raft_servers={"n1": "a:1", "n2": "b:2"})
    _, body, headers = await api.call("GET", "/health")
    assert headers["X-Argyll-Raft-State"] == "follower"
    assert body["details"]["backend"] == {
        "type": "raft", "state": "follower", "leader_address": "b:2", "leader_id": "n2",
    }  # fmt: skip


@pytest.mark.parametrize(("body", "to"), [(None, None), ({}, None), ({"to": "n2"}, "n2")])
async def test_leadership_is_transferred(api: Any, body: Any, to: str | None):
    assert (await api.call("POST", "/engine/raft/transfer", body))[0] == 200
    assert api.engine.calls == [("transfer", to)]


async def test_a_transfer_asked_of_a_follower_is_409(api: Any):
    api.engine.fail_with = LeadershipStays("this node is not the leader; ask n2")
    status, body, _ = await api.call("POST", "/engine/raft/transfer")
    assert (status, body["detail"]) == (409, "this node is not the leader; ask n2")
