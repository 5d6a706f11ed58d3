"""`POST /webhook/{flow}/{step}/{token}`: a service reports the outcome of asynchronous work (surface.md 1.8).

The token is the only authority; whether it still counts is the engine's to say.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from argyll.engine.errors import EngineError
from argyll.server.answers import Answer, empty_answer
from argyll.server.bodies import decode_body, read_body
from argyll.server.problems import PROBLEM_TYPE, BadRequest, problem_answer

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.model.json import JSON
    from argyll.server.config import ServerConfig

NO_TEXT = "the step reported a problem without saying which"

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETERS = re.compile(rf"(?:\s*;\s*{_TOKEN}=(?:{_TOKEN}|\"(?:[^\"\\]|\\.)*\"))*\s*;?\s*")


class WebhookRoutes:
    """The handler; it takes the request and the path's parameters."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config

    async def report(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """Outputs complete the work, a problem document fails it; a repeat is answered alike and changes nothing."""
        flow_id, step_id, token = parameters
        config = self._config
        body = await read_body(request, "max_request_bytes", config.max_request_bytes, config.body_timeout_s)
        value = decode_body(body)
        try:
            if is_problem(request.headers.get("Content-Type", "")):
                await self._engine.fail_work(flow_id, step_id, token, problem_text(value))
            else:
                await self._engine.complete_work(flow_id, step_id, token, _outputs(value))
        except EngineError as error:
            if error.status != 404:
                raise
            # Services read 404 as "no such route"; a wrong flow, step or token is their request's mistake.
            return problem_answer(error, request.raw_path, 400)
        return empty_answer()


def is_problem(content_type: str) -> bool:
    """Whether a Content-Type is a problem document's; with malformed parameters it is not."""
    media_type, separator, parameters = content_type.partition(";")
    return media_type.strip().lower() == PROBLEM_TYPE and _PARAMETERS.fullmatch(separator + parameters) is not None


def problem_text(value: JSON) -> str:
    """What a problem document says: detail, else title, else the phrase of its status. Raises `BadRequest`."""
    if value is not None and not isinstance(value, dict):
        raise BadRequest("a problem document must be a JSON object")
    document = cast("dict[str, JSON]", value or {})
    for name in ("detail", "title"):
        text = document.get(name)
        if text is not None and not isinstance(text, str):
            raise BadRequest(f"/{name}: a problem's {name} must be a string")
    status = document.get("status")
    if status is not None and (isinstance(status, bool) or not isinstance(status, int)):
        raise BadRequest("/status: a problem's status must be an integer")
    return document.get("detail") or document.get("title") or _phrase(status) or NO_TEXT


def _phrase(status: int | None) -> str:
    try:
        return HTTPStatus(status or 0).phrase
    except ValueError:
        return ""


def _outputs(value: JSON) -> dict[str, JSON]:
    if value is not None and not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object of outputs, null for none")
    return cast("dict[str, JSON]", value or {})
