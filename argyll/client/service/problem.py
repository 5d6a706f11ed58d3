"""How a step says no: `StepError` for handlers, and the answers that go over the wire (RFC 9457 problem documents).

Pure: makes answers, sends none.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from argyll.model.json import encode

if TYPE_CHECKING:
    from argyll.model.json import JSON

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"

_NOT_NOW = frozenset({408, 425, 429})


class StepError(Exception):
    """Raised by a handler to fail its work item with `detail`.

    The engine tries again after 408, 425, 429 and 5xx, no sooner than `retry_after_s`; every other status is final.
    """

    def __init__(
        self, status: int, detail: str, *, title: str | None = None, retry_after_s: float | None = None
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"StepError status is {status}: give 4xx (final) or 5xx (tried again)")
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.title = title
        self.retry_after_s = retry_after_s

    def document(self) -> dict[str, JSON]:
        """The problem document."""
        title = self.title or HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else self.title
        problem: dict[str, JSON] = {"type": "about:blank", "status": self.status, "detail": self.detail}
        return problem | {"title": title} if title else problem


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer of a step service."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    retry_after_s: float | None = None

    @property
    def final(self) -> bool:
        """False when the engine will call again with the same receipt token and must then be served anew."""
        return self.status < 500 and self.status not in _NOT_NOW


def json_answer(status: int, value: JSON) -> Answer:
    return Answer(status, encode(value))


def problem_answer(error: StepError) -> Answer:
    return Answer(error.status, encode(error.document()), PROBLEM_TYPE, error.retry_after_s)
