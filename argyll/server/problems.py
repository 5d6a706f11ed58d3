"""Refusals as `application/problem+json` (RFC 9457, decisions 5): one shape for the server's own and the engine's.

`type` is `urn:argyll:problem:<kind>`, stable per kind; `error` repeats `detail` for clients of the reference.
"""

import math
import re
from collections.abc import Sequence
from http import HTTPStatus

from argyll.engine.errors import EngineError
from argyll.model import json
from argyll.model.json import JSON
from argyll.server.answers import PROBLEM_TYPE, Answer, Header

Finding = dict[str, JSON]
"""`path`, `code`, `message`."""


class Problem(Exception):
    """A request that this room refuses. Subclasses name the kind."""

    status = 400

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Finding] = (),
        headers: Sequence[Header] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.headers = list(headers)
        self.retry_after_s = retry_after_s


class BadRequest(Problem):
    """The request cannot be read, or asks for what does not exist in this API."""


class ForeignPage(Problem):
    """A browser asks for a page that has no business here."""

    status = 403


class NotFound(Problem):
    status = 404


class MethodNotAllowed(Problem):
    status = 405


class BodyTimeout(Problem):
    status = 408


class BodyTooLarge(Problem):
    status = 413


class Unavailable(Problem):
    status = 503


class Unexpected(Problem):
    """A mistake of ours; the log has the traceback."""

    status = 500


def finding(path: str, code: str, message: str) -> Finding:
    """One entry of a problem's `errors`. `path` is a JSON pointer into the body, or a query parameter's name."""
    return {"path": path, "code": code, "message": message}


def pointer(name: str) -> str:
    """A member's name as the last part of a JSON pointer (RFC 6901)."""
    return "/" + name[:80].replace("~", "~0").replace("/", "~1")


def _kind(error: type[Exception]) -> str:
    return "urn:argyll:problem:" + re.sub(r"(?<!^)(?=[A-Z])", "-", error.__name__).lower()


def problem_answer(error: Problem | EngineError, instance: str, status: int | None = None) -> Answer:
    """The answer for a refusal of `instance` (a path). `status` overrides the error's own."""
    status = status or error.status
    body: dict[str, JSON] = {
        "type": _kind(type(error)),
        "title": error.title if isinstance(error, EngineError) else HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "instance": instance,
        "error": error.detail,
    }
    if error.errors:
        body["errors"] = error.errors
    headers: list[Header] = [] if isinstance(error, EngineError) else [*error.headers]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(math.ceil(error.retry_after_s))))
    return Answer(status, json.encode(body), PROBLEM_TYPE, headers)
