"""What can go wrong between a program and the engine: one exception per failure a caller may treat differently.

Every message names the place (the call and its URL) and the mend. Nothing here opens a connection.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import msgspec

from argyll.model.json import decode

if TYPE_CHECKING:
    from argyll.model.json import JSON

RETRYABLE_STATUSES = frozenset({408, 425, 429, 502, 503, 504})
"""Answers that say "not now" rather than "no"."""

MAX_QUOTED_CHARS = 500
"""How much of an answer that is no problem document an error message quotes."""


class ClientError(Exception):
    """Base of everything this package raises on its own account."""


class Unreachable(ClientError):
    """No answer: refused, reset, unresolved or too slow. `sent` is False when the engine cannot have seen the call."""

    def __init__(self, method: str, url: str, cause: str, *, sent: bool) -> None:
        may_have_run = " The call may have taken effect all the same." if sent else ""
        super().__init__(
            f"{method} {url}: no answer ({cause}).{may_have_run}"
            " Is the engine running there (`argyll serve`), and is the base URL right?"
        )
        self.method = method
        self.url = url
        self.sent = sent


class BadAnswer(ClientError):
    """The answer is not what the engine's API gives: no JSON, not the expected shape, or over a limit."""


class ApiError(ClientError):
    """The engine refused the call.

    `status` is the HTTP code, `detail` the engine's text, `errors` its findings (`{path, code, message}` each),
    `problem` the whole problem document, `retry_after_s` the wait the engine asked for, if it did.
    """

    def __init__(
        self, method: str, url: str, status: int, problem: dict[str, JSON], retry_after_s: float | None = None
    ) -> None:
        self.method = method
        self.url = url
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.detail = _detail(status, problem)
        self.errors: list[dict[str, JSON]] = _findings(problem)
        lines = [f"{method} {url}: {status} {_phrase(status)}: {self.detail}"]
        lines += [f"  {f.get('path', '')}: {f.get('message', '')} [{f.get('code', '-')}]" for f in self.errors]
        if self.mend:
            lines.append(self.mend)
        super().__init__("\n".join(lines))

    @property
    def mend(self) -> str:
        """What to do about it, where the kind of refusal alone tells."""
        return ""


class Invalid(ApiError):
    """400, 413 or 422: the request is at fault; `errors` holds every finding."""


class Denied(ApiError):
    """401 or 403: no token, a wrong one, or one whose role does not allow the call."""

    @property
    def mend(self) -> str:
        if self.status == HTTPStatus.UNAUTHORIZED:
            return "Pass `token=` with a token of this engine."
        return "Use a token with a role that allows the call (read, run or admin)."


class NotFound(ApiError):
    """404: no such step, flow or route."""


class Conflict(ApiError):
    """409: the thing exists with other content, or the expected sequence has moved on."""


class StepOwned(Conflict):
    """409: the step belongs to a source, which does not let others write it. `owner` is its name."""

    @property
    def owner(self) -> str:
        """Whose step it is."""
        return next((found["owner"] for found in self.errors if "owner" in found), "")


class ApprovalNeeded(ApiError):
    """428: a person has to agree first. `plan_digest` is what there is to approve."""

    @property
    def plan_digest(self) -> str:
        """The digest of the plan that waits."""
        return next((found["plan_digest"] for found in self.errors if "plan_digest" in found), "")


class Stopped(ApiError):
    """423: the source is suspended or held back."""


class Unavailable(ApiError):
    """408, 425, 429, 502, 503 or 504: the engine cannot answer now. The same call may succeed later."""


class FlowTimeout(ClientError):
    """A flow did not end in the time given. It runs on; read it later by its id."""

    def __init__(self, flow_id: str, timeout_s: float) -> None:
        super().__init__(
            f"flow {flow_id} has not ended within {timeout_s:g} s. It is still running:"
            " wait longer (`timeout_s=`), read it with `flow(id)`, or end it with `cancel(id)`."
        )
        self.flow_id = flow_id
        self.timeout_s = timeout_s


class WatchError(ClientError):
    """The engine refused a subscription; repeating it would not help."""


def error_from_answer(method: str, url: str, status: int, retry_after: str | None, body: bytes) -> ApiError:
    """The exception for an answer that is no success; `retry_after` is that header. A body that is no problem document becomes the detail."""
    problem: dict[str, JSON]
    try:
        document: JSON = decode(body)
    except msgspec.DecodeError:
        document = None
    if isinstance(document, dict):
        problem = cast("dict[str, JSON]", document)
    else:
        text = body.decode("utf-8", "replace").strip()[:MAX_QUOTED_CHARS]
        problem = {"status": status, "detail": text} if text else {"status": status}
    return _kind(status, problem)(method, url, status, problem, _retry_after_s(retry_after))


def _kind(status: int, problem: dict[str, JSON]) -> type[ApiError]:
    if status == 409 and any(found.get("code") == "step_owned" for found in _findings(problem)):
        return StepOwned
    kinds: dict[int, type[ApiError]] = {
        400: Invalid, 401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 413: Invalid, 422: Invalid,
        423: Stopped, 428: ApprovalNeeded,
    }  # fmt: skip
    if status in RETRYABLE_STATUSES:
        return Unavailable
    return kinds.get(status, ApiError)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"


def _detail(status: int, problem: dict[str, JSON]) -> str:
    for key in ("detail", "error", "title"):
        text: JSON = problem.get(key)
        if isinstance(text, str) and text:
            return text
    return _phrase(status)


def _findings(problem: dict[str, JSON]) -> list[dict[str, JSON]]:
    errors: JSON = problem.get("errors")
    if not isinstance(errors, list):
        return []
    return [cast("dict[str, JSON]", e) for e in cast("list[JSON]", errors) if isinstance(e, dict)]


def _retry_after_s(header: str | None) -> float | None:
    """Seconds form only: the engine never sends the date form."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
