"""Writes to owned steps over HTTP: the header that overrides, and the answer to what is left out."""

from argyll.engine.catalog_errors import StepOwned, WriteIgnored
from argyll.engine.catalog_ownership import Writer
from argyll.model.wire import step_from_json

from .conftest import Api

STEP = {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://steps/a"}, "attributes": {}}
WRITES = (("POST", "/engine/step", STEP), ("PUT", "/engine/step/a", STEP), ("DELETE", "/engine/step/a", None))


async def test_a_write_says_who_writes_and_why(api: Api):
    for method, path, body in WRITES:
        await api.call(method, path, body, headers={"Argyll-Override": " fire ", "User-Agent": "curl/8"})
        assert api.engine.calls[-1][0] in ("register", "update", "unregister")
        assert api.engine.writers[-1] == Writer("curl/8", "fire")


async def test_an_override_without_a_reason_is_refused(api: Api):
    status, problem, _ = await api.call("POST", "/engine/step", STEP, headers={"Argyll-Override": " "})
    assert (status, "say why" in problem["detail"]) == (400, True)


async def test_an_ignored_write_is_200_with_the_kept_step(api: Api):
    api.engine.fail_with = WriteIgnored("päy", "a", step_from_json(STEP | {"name": "Kept"}))
    for method, path, body in WRITES:
        status, answer, headers = await api.call(method, path, body)
        assert (status, answer["owned_by"], answer["step"]["name"]) == (200, "päy", "Kept")
        assert headers["Argyll-Ignored"] == "owned-by=p%C3%A4y"


async def test_a_refused_write_is_409_with_code_and_owner(api: Api):
    api.engine.fail_with = StepOwned({"a": "git"}, "ask them")
    status, problem, _ = await api.call("PUT", "/engine/step/a", STEP)
    assert (status, problem["type"]) == (409, "urn:argyll:problem:step-owned")
    assert (problem["errors"][0]["code"], problem["errors"][0]["owner"]) == ("step_owned", "git")
