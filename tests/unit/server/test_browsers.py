"""Pages in a browser do not drive a node."""

import pytest

from argyll.server.browsers import is_foreign_origin, is_local


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "loopback_only", "foreign"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", (), True, False),
        ("http://localhost:8080", "localhost:8080", (), True, False),
        ("http://[::1]:8080", "[::1]:8080", (), True, False),
        ("http://evil.example", "127.0.0.1:8080", (), True, True),
        ("http://127.0.0.1:3000", "127.0.0.1:8080", (), True, True),
        ("http://evil.example:8080", "evil.example:8080", (), True, True),
        ("http://argyll.example", "argyll.example", (), False, False),
        ("http://evil.example", "argyll.example", (), False, True),
        ("http://ui.example", "argyll.example", ("http://ui.example",), False, False),
        ("http://evil.example", "127.0.0.1:8080", ("*",), True, False),
        ("null", "127.0.0.1:8080", (), True, True),
    ],
)
def test_who_may_ask(origin: str, host: str, allowed: tuple[str, ...], loopback_only: bool, foreign: bool) -> None:
    assert is_foreign_origin(origin, host, allowed, loopback_only=loopback_only) is foreign


@pytest.mark.parametrize(
    ("authority", "local"),
    [
        ("localhost", True),
        ("a.localhost:1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_what_means_this_machine(authority: str, local: bool) -> None:
    assert is_local(authority) is local
