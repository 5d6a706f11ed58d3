"""Who is calling: the identity of the work item, and for async steps the way its result gets back to the engine.

A result is kept until the engine has it: delivery is retried, and tried again when the engine repeats the call.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from argyll.client.errors import RETRYABLE_STATUSES, ClientError, error_from_answer
from argyll.client.retry import RetryPolicy
from argyll.client.service.problem import JSON_TYPE, PROBLEM_TYPE, StepError
from argyll.model.json import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import aiohttp

    from argyll.model.json import JSON

FLOW_HEADER = "Argyll-Flow-ID"
STEP_HEADER = "Argyll-Step-ID"
TOKEN_HEADER = "Argyll-Receipt-Token"
WEBHOOK_HEADER = "Argyll-Webhook-URL"

DELIVERY_RETRY = RetryPolicy(attempts=10, base_s=0.2, cap_s=15.0)
"""About a minute in all; after that the engine's next call of the same work item delivers."""

DELIVERY_TIMEOUT_S = 10.0
"""One attempt to reach the webhook."""


class AlreadyAnswered(RuntimeError):
    """A handler gave a second result for one work item; the first one stands."""


class DeliveryFailed(ClientError):
    """The webhook could not be reached, or refused the result. The result is kept and offered on the next call."""


@dataclass(frozen=True, slots=True)
class Context:
    """The work item a sync handler works for. `receipt_token` is the same for every retry: use it as idempotency key."""

    flow_id: str
    step_id: str
    receipt_token: str


class Courier:
    """Takes results to webhooks over one pooled session."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        retry: RetryPolicy = DELIVERY_RETRY,
        sleep: Callable[[float], Awaitable[None]],
        entropy: Callable[[], float],
    ) -> None:
        self._session = session
        self._retry = retry
        self._sleep = sleep
        self._entropy = entropy

    async def deliver(self, webhook_url: Callable[[], str], body: bytes, content_type: str) -> None:
        """Posts until the engine has it; the address is asked for anew each time. Raises `DeliveryFailed`."""
        failures = 0
        while True:
            url = webhook_url()
            refusal, transient = await self._post(url, body, content_type)
            if refusal is None:
                return
            failures += 1
            if not transient or failures >= self._retry.attempts:
                raise DeliveryFailed(f"result not delivered after {failures} attempts: {refusal}")
            await self._sleep(self._retry.backoff_s(failures, self._entropy))

    async def _post(self, url: str, body: bytes, content_type: str) -> tuple[str | None, bool]:
        """What stood in the way, or None, and whether it may pass."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=DELIVERY_TIMEOUT_S)
        try:
            async with self._session.post(
                url, data=body, headers={"Content-Type": content_type}, timeout=timeout
            ) as response:
                if 200 <= response.status < 300:
                    return None, False
                error = error_from_answer("POST", url, response.status, None, await response.read())
                return str(error), response.status >= 500 or response.status in RETRYABLE_STATUSES
        except (aiohttp.ClientError, OSError) as problem:
            return f"POST {url}: {str(problem) or type(problem).__name__}", True


class AsyncContext:
    """The work item an async handler works for, and its one result: `complete` or `fail`, once.

    `receipt_token` is the same for every retry: use it as idempotency key.
    """

    def __init__(self, flow_id: str, step_id: str, receipt_token: str, webhook_url: str, courier: Courier) -> None:
        self.flow_id = flow_id
        self.step_id = step_id
        self.receipt_token = receipt_token
        self.webhook_url = webhook_url
        self._courier = courier
        self._result: tuple[bytes, str] | None = None
        self._delivered = False
        self._delivering = asyncio.Lock()

    @property
    def answered(self) -> bool:
        """Whether a result was given, delivered or not."""
        return self._result is not None

    @property
    def delivered(self) -> bool:
        """Whether the engine has the result."""
        return self._delivered

    async def complete(self, outputs: Mapping[str, JSON] | None = None) -> None:
        """The work is done, with these outputs. Returns when the engine has them; raises `DeliveryFailed`."""
        await self._answer(encode(msgspec.to_builtins(dict(outputs or {}))), JSON_TYPE)

    async def fail(self, detail: str, *, status: int = 422) -> None:
        """The work failed for good, for this reason. Returns when the engine knows; raises `DeliveryFailed`."""
        await self._answer(encode(StepError(status, detail).document()), PROBLEM_TYPE)

    async def redeliver(self) -> None:
        """Offers a result once more that the engine does not have yet."""
        if self._result is not None:
            await self._deliver(*self._result)

    async def _answer(self, body: bytes, content_type: str) -> None:
        if self._result is not None:
            raise AlreadyAnswered(
                f"step {self.step_id}, token {self.receipt_token}: a result was given before;"
                " call complete or fail once, or return the outputs"
            )
        self._result = (body, content_type)
        await self._deliver(body, content_type)

    async def _deliver(self, body: bytes, content_type: str) -> None:
        async with self._delivering:
            if not self._delivered:
                await self._courier.deliver(lambda: self.webhook_url, body, content_type)
                self._delivered = True
