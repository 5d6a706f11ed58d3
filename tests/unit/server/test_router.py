"""Paths to handlers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.server.router import MAX_PATH_SEGMENTS, Router


@pytest.fixture(scope="module")
def router() -> Router[str]:
    router: Router[str] = Router()
    for method, path in (
        ("GET", "/engine"),
        ("GET", "/engine/"),
        ("GET", "/engine/flow/{flow}"),
        ("POST", "/engine/flow/query"),
        ("POST", "/engine/flow/{flow}/cancel"),
        ("POST", "/hook/{flow}/{step}"),
    ):
        router.add(method, path, f"{method} {path}")
    return router


@pytest.mark.parametrize(
    ("method", "path", "handler", "parameters"),
    [
        ("GET", "/engine", "GET /engine", ()),
        ("GET", "/engine/", "GET /engine/", ()),
        ("HEAD", "/engine", "GET /engine", ()),
        ("GET", "/engine/flow/x", "GET /engine/flow/{flow}", ("x",)),
        ("GET", "/engine/flow/query", "GET /engine/flow/{flow}", ("query",)),
        ("POST", "/engine/flow/query", "POST /engine/flow/query", ()),
        ("POST", "/engine/flow/query/cancel", "POST /engine/flow/{flow}/cancel", ("query",)),
        ("GET", "/engine/flow/a%20b", "GET /engine/flow/{flow}", ("a b",)),
        ("GET", "/engine/flow/a%2Fb", "GET /engine/flow/{flow}", ("a/b",)),
        ("GET", "/engine/flow/p:s:t", "GET /engine/flow/{flow}", ("p:s:t",)),
        ("POST", "/hook/f/s", "POST /hook/{flow}/{step}", ("f", "s")),
    ],
)
def test_finds_the_handler_and_decodes_parameters(
    router: Router[str], method: str, path: str, handler: str, parameters: tuple[str, ...]
):
    assert router.find(method, path) == (handler, parameters)


@pytest.mark.parametrize(
    "path", ["", "/", "/nope", "/engine/flow/", "/engine/flow//cancel", "/hook//s", "//engine", "/engine/flow/x/y"]
)
def test_knows_no_other_path(router: Router[str], path: str):
    assert router.find("GET", path) is None
    assert router.allowed(path) == []


def test_names_every_method_of_a_path(router: Router[str]):
    assert router.allowed("/engine/flow/query") == ["GET", "HEAD", "POST"]
    assert router.allowed("/hook/f/s") == ["POST"]


def test_a_path_of_endless_segments_is_unknown(router: Router[str]):
    assert router.allowed("/engine" * (MAX_PATH_SEGMENTS + 1)) == []


@given(st.text(max_size=80))
def test_any_path_is_answered(router: Router[str], path: str):
    router.find("GET", path)
    router.allowed(path)
