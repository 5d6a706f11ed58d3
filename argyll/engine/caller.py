"""Calls step services over HTTP and says what the answer means: outputs, a failure for good, or try again.

Knows nothing of flows; who called and why comes in with the request (surface.md 3).
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

import argyll
from argyll.model import json
from argyll.model.json import JSON
from argyll.model.limits import MAX_JSON_DEPTH, MAX_RESPONSE_BYTES

Values = dict[str, JSON]

USER_AGENT = f"Argyll-Engine/{argyll.__version__}"
MAX_CONNECTIONS = 4_000
"""Open connections to step services on one node."""
KEEPALIVE_S = 30.0

RETRYABLE_STATUS = frozenset((408, 425, 429))
"""Client errors that are worth another try (decisions 29); so is every status from 500 on."""

MAX_ERROR_CHARS = 4_096
"""What is kept of a service's own words about a failure."""

PROBLEM_TYPE = "application/problem+json"


class Identity(Struct, frozen=True):
    """Who calls: goes into the identity headers of every call (decisions 10). `webhook_url` is for async steps."""

    flow_id: str
    step_id: str
    token: str
    webhook_url: str = ""

    def headers(self) -> dict[str, str]:
        """The identity headers."""
        headers = {
            "Argyll-Flow-ID": self.flow_id,
            "Argyll-Step-ID": self.step_id,
            "Argyll-Receipt-Token": self.token,
        }
        if self.webhook_url:
            headers["Argyll-Webhook-URL"] = self.webhook_url
        return headers


class Request(Struct, frozen=True):
    """One call. `body` is None for GET. Without `reads_body` any 2xx is a success, whatever it holds."""

    method: str
    url: str
    body: bytes | None
    timeout_ms: int
    identity: Identity
    reads_body: bool = True


class Success(Struct, frozen=True):
    outputs: Values


class Failure(Struct, frozen=True):
    """Calling again would fail again."""

    error: str


class Retryable(Struct, frozen=True):
    """No answer that counts. `retry_after_ms` is what the service asked for, 0 when it did not say."""

    error: str
    retry_after_ms: int = 0


Outcome = Success | Failure | Retryable


class BadRequest(Exception):
    """The call cannot be made with these arguments; `str()` says why."""


class StepCaller(Protocol):
    """Makes calls. Never raises for what a service does."""

    async def call(self, request: Request) -> Outcome: ...

    async def close(self) -> None: ...


_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@lru_cache(maxsize=65_536)
def _template(url: str) -> tuple[str, ...]:
    """Literal text and placeholder names, alternating."""
    return tuple(_PLACEHOLDER.split(url))


def fill_url(template: str, arguments: Mapping[str, JSON]) -> str:
    """The URL with each `{name}` replaced by the percent-encoded argument (surface.md 3.3). Raises `BadRequest`."""
    parts = _template(template)
    if len(parts) == 1:
        return template
    filled = [parts[0]]
    for position in range(1, len(parts), 2):
        name = parts[position]
        if name not in arguments:
            raise BadRequest(f"no argument for {{{name}}} in {template}")
        # After `?` the characters that separate parameters must not leak out of a value.
        in_query = any("?" in part for part in filled)
        filled.append(quote(url_text(arguments[name]), safe="" if in_query else "$&+:=@"))
        filled.append(parts[position + 1])
    return "".join(filled)


def url_text(value: JSON) -> str:
    """A value as URL text: strings as they are, whole numbers without a fraction, everything else as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.text(value)


def status_outcome(status: int, content_type: str, body: bytes, retry_after_ms: int) -> Failure | Retryable:
    """What a status other than 2xx means."""
    error = f"step returned HTTP error: status {status}"
    problem = problem_text(content_type, body)
    if problem:
        error = f"{error}: {problem}"
    if status >= 500 or status in RETRYABLE_STATUS:
        return Retryable(f"work not completed\n{error}", retry_after_ms)
    return Failure(error)


def problem_text(content_type: str, body: bytes) -> str:
    """Detail, title or status phrase of a problem document, empty when the body is none (RFC 9457)."""
    if content_type.partition(";")[0].strip().lower() != PROBLEM_TYPE:
        return ""
    try:
        problem = json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return problem_summary(problem) if isinstance(problem, dict) else ""


def problem_summary(problem: Mapping[str, JSON]) -> str:
    """The one line that a problem document comes down to."""
    for field in ("detail", "title"):
        if isinstance(problem.get(field), str) and problem[field]:
            return problem[field][:MAX_ERROR_CHARS]
    with suppress(ValueError):
        return HTTPStatus(problem.get("status")).phrase
    return str(problem["type"])[:MAX_ERROR_CHARS] if problem.get("type") else ""


def body_outcome(body: bytes) -> Success | Retryable | Failure:
    """What the body of a 2xx means: nothing and null are no outputs, broken JSON may be better next time."""
    text = body.strip()
    if not text:
        return Success({})
    if nests_too_deep(text):
        return Failure(f"step response is nested deeper than {MAX_JSON_DEPTH}")
    try:
        outputs = json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Retryable(f"work not completed\ninvalid output JSON: {error}")
    if outputs is None:
        return Success({})
    if not isinstance(outputs, dict):
        return Failure(f"invalid output JSON: expected an object, got {type(outputs).__name__}")
    return Success(outputs)


def nests_too_deep(text: bytes) -> bool:
    """Whether JSON text may nest deeper than `MAX_JSON_DEPTH`; brackets inside of strings do not count."""
    if text.count(b"[") + text.count(b"{") <= MAX_JSON_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_JSON_DEPTH:
            return True
    return False


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[\[\]{}]")


def retry_after(value: str | None, now_s: float) -> int:
    """Milliseconds of a `Retry-After` header (seconds or a date); 0 when absent or nonsense."""
    if not value:
        return 0
    try:
        return max(int(value) * 1_000, 0)
    except ValueError:
        pass
    try:
        return max(int((parsedate_to_datetime(value).timestamp() - now_s) * 1_000), 0)
    except (ValueError, OverflowError):
        return 0


class HttpCaller:
    """Calls through one pooled aiohttp session."""

    def __init__(self, now_us: "NowUs", connections: int = MAX_CONNECTIONS) -> None:
        self._now_us = now_us
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S),
            headers={"Accept": "application/json", "User-Agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        self._timeouts: dict[int, aiohttp.ClientTimeout] = {}

    async def call(self, request: Request) -> Outcome:
        headers = request.identity.headers()
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        timeout = self._timeouts.get(request.timeout_ms)
        if timeout is None:
            timeout = aiohttp.ClientTimeout(total=request.timeout_ms / 1_000)
            self._timeouts[request.timeout_ms] = timeout
        try:
            async with self._session.request(
                request.method, _url(request.url), data=request.body, headers=headers, timeout=timeout
            ) as response:
                body = await _read(response)
                if body is None:
                    return Failure(f"step response is larger than {MAX_RESPONSE_BYTES} bytes")
                if 200 <= response.status < 300:
                    return body_outcome(body) if request.reads_body else Success({})
                wait_ms = retry_after(response.headers.get("Retry-After"), self._now_us() / 1e6)
                return status_outcome(response.status, response.headers.get("Content-Type", ""), body, wait_ms)
        except TimeoutError:
            return Retryable(f"work not completed\nno answer within {request.timeout_ms} ms from {request.url}")
        except (aiohttp.InvalidURL, ValueError) as error:
            # yarl and the resolver also refuse ports, addresses and names with a ValueError.
            return Failure(f"not a URL that can be called: {request.url} ({error})")
        except (aiohttp.ClientError, OSError) as error:
            return Retryable(f"work not completed\n{_transport_text(error, request.url)}")

    async def close(self) -> None:
        await self._session.close()


class NowUs(Protocol):
    def __call__(self) -> int: ...


@lru_cache(maxsize=4_096)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None when it is over the limit."""
    if (response.content_length or 0) > MAX_RESPONSE_BYTES:
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _transport_text(error: Exception, url: str) -> str:
    text = str(error) or type(error).__name__
    return text if url in text else f"{text} ({url})"


async def probe(session: aiohttp.ClientSession, url: str, timeout_s: float) -> str:
    """GET a health URL: empty when healthy, else what is wrong (surface.md 3.7)."""
    try:
        async with asyncio.timeout(timeout_s), session.get(url) as response:
            return "" if response.status < 400 else f"HTTP {response.status} {response.reason}"
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
