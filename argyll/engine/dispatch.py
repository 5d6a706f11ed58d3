"""Carries out what committed events cause: calls, scripts, child flows, compensations, word to parents.

Every effect can be carried out again: the item's token is its idempotency key, and a result that no longer counts
changes nothing. What went wrong on our side is tried again, never blamed on the item (decisions 32).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

from argyll.engine import invocation
from argyll.engine.caller import BadRequest, Failure, Outcome, Retryable, StepCaller, Success
from argyll.engine.config import EngineConfig
from argyll.engine.errors import EngineError, FlowNotFound, StepNotInFlow, TooLarge, Unavailable, UnknownToken
from argyll.engine.evaluator import Evaluation, ScriptEvaluator
from argyll.engine.workers import Workers
from argyll.flow import (
    Call,
    Command,
    Compensate,
    Compensated,
    CompensationFailed,
    CompensationNotCompleted,
    Effect,
    Fail,
    GoalsBlocked,
    MissingInputs,
    NotCompleted,
    OverBudget,
    ScriptFailed,
    StartChild,
    Succeed,
    TellParent,
    child_outcome,
)
from argyll.model import json
from argyll.model.flow import FlowState
from argyll.model.step import Step
from argyll.store import StoreClosed, StoreFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

RECORD_RETRY_FIRST_S = 0.05
RECORD_RETRY_MAX_S = 5.0


class FlowDriver(Protocol):
    """What dispatching needs of the flows."""

    async def execute(self, flow_id: str, command: Command) -> None: ...

    def submit(self, flow_id: str, command: Command, again: Callable[[], None]) -> bool: ...

    async def start_child(self, parent: FlowState, effect: StartChild) -> FlowState | None: ...

    async def parent_of(self, child: FlowState) -> FlowState | None: ...


class Dispatcher:
    """Performs effects as tasks; `in_progress` holds the tokens of calls being made by this process."""

    def __init__(
        self,
        config: EngineConfig,
        driver: FlowDriver,
        caller: StepCaller,
        evaluator: ScriptEvaluator,
        workers: Workers,
        webhook_base: Callable[[], str],
    ) -> None:
        self._config, self._driver, self._caller = config, driver, caller
        self._evaluator, self._workers, self._webhook_base = evaluator, workers, webhook_base
        self._slots = asyncio.Semaphore(config.max_concurrent_calls)
        self._tasks: set[asyncio.Task[None]] = set()
        self.in_progress: set[str] = set()

    def perform(self, effect: Effect, flow: FlowState) -> None:
        """Carry out an effect; `flow` is the state it was computed from."""
        match effect:
            case Call():
                self._spawn(self._call(effect, flow), effect.token)
            case Compensate():
                self._spawn(self._compensate(effect, flow), effect.token)
            case StartChild():
                self._spawn(self._start_child(effect, flow))
            case TellParent():
                self._spawn(self._tell_parent(flow))
            case _:
                raise TypeError(f"unknown effect {effect!r}")

    async def drain(self, timeout_s: float) -> None:
        """Let calls in flight end, then give up on the rest: their items are claimed anew after a restart."""
        if self._tasks and timeout_s > 0:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None], token: str = "") -> None:
        task = asyncio.get_running_loop().create_task(work, name=token)
        self._tasks.add(task)
        self.in_progress.add(token)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.in_progress.discard(task.get_name())
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an effect failed inside the engine", exc_info=error)

    async def _call(self, effect: Call, flow: FlowState) -> None:
        step = flow.plan.steps[effect.step_id]
        work = flow.executions[effect.step_id].work_items[effect.token]
        if work.status != "active" or work.attempt != effect.attempt:
            return
        if step.type == "script":
            await self._record(effect.flow_id, await self._run_script(effect, flow, step))
            return
        async with self._slots:
            outcome = await self._answer(
                lambda: invocation.call_request(
                    flow, step, effect.token, self._webhook_base(), self._config.step_timeout_ms
                )
            )
        match outcome:
            case Success(outputs=outputs):
                # An async step has only accepted the work; its webhook brings the outputs.
                command = None if step.type == "async" else Succeed(step.id, effect.token, outputs)
            case Failure(error=error):
                command = Fail(step.id, effect.token, error)
            case Retryable(error=error, retry_after_ms=after_ms):
                command = NotCompleted(step.id, effect.token, error, effect.attempt, after_ms)
        if command is not None:
            await self._record(effect.flow_id, command)

    async def _answer(self, make: Callable[[], invocation.Request]) -> Outcome:
        try:
            request = make()
        except BadRequest as error:
            return Failure(str(error))
        try:
            return await self._caller.call(request)
        except Exception as error:
            # A fault of ours must not leave the item waiting for ever: it counts as a call without an answer.
            log.exception("the step client failed on %s", request.url)
            return Retryable(f"work not completed\n{type(error).__name__}: {error} ({request.url})")

    async def _run_script(self, effect: Call, flow: FlowState, step: Step) -> Command:
        """A script that did not fit into its command: here, with a budget of its own, else in a worker."""
        assert step.script is not None
        who = invocation.identity(flow, step, effect.token, "")
        arguments = invocation.arguments(flow, step, effect.token, who)
        self._evaluator.begin_command()
        try:
            return Succeed(step.id, effect.token, self._evaluator.run(step, arguments))
        except ScriptFailed as error:
            return Fail(step.id, effect.token, str(error))
        except OverBudget:
            pass
        answer = await self._workers.evaluate(
            Evaluation("outputs", step.script, step.argument_names, json.encode(arguments), b"null")
        )
        if answer.error:
            return Fail(step.id, effect.token, answer.error)
        return Succeed(step.id, effect.token, answer.value)

    async def _compensate(self, effect: Compensate, flow: FlowState) -> None:
        step = flow.plan.steps[effect.step_id]
        if flow.executions[effect.step_id].work_items[effect.token].status != "compensating":
            return
        async with self._slots:
            outcome = await self._answer(
                lambda: invocation.compensation_request(flow, step, effect.token, self._config.step_timeout_ms)
            )
        match outcome:
            case Success():
                command: Command = Compensated(step.id, effect.token)
            case Failure(error=error):
                command = CompensationFailed(step.id, effect.token, error)
            case Retryable(error=error, retry_after_ms=after_ms):
                command = CompensationNotCompleted(step.id, effect.token, error, after_ms)
        await self._record(effect.flow_id, command)

    async def _start_child(self, effect: StartChild, parent: FlowState) -> None:
        """Start the child of an item; one that has ended already has its outcome delivered (decisions 25)."""
        try:
            existing = await until_available(lambda: self._driver.start_child(parent, effect))
        except (MissingInputs, GoalsBlocked, EngineError) as error:
            await self._record(parent.id, Fail(effect.step_id, effect.token, str(error)))
            return
        if existing is not None and existing.deactivated_at:
            await self._deliver(parent, effect.step_id, effect.token, existing)

    async def _tell_parent(self, child: FlowState) -> None:
        link = child.parent
        parent = await self._driver.parent_of(child)
        if link is not None and parent is not None:
            await self._deliver(parent, link[1], link[2], child)

    async def _deliver(self, parent: FlowState, step_id: str, token: str, child: FlowState) -> None:
        outputs, error = child_outcome(parent, step_id, child)
        command = Fail(step_id, token, error) if outputs is None else Succeed(step_id, token, outputs)
        await self._record(parent.id, command)

    async def _record(self, flow_id: str, command: Command) -> None:
        """Record a result, however long the engine needs to be able to."""

        def again() -> None:
            self._spawn(self._record_slowly(flow_id, command))

        try:
            if not self._driver.submit(flow_id, command, again):
                await self._record_slowly(flow_id, command)
        except (FlowNotFound, StepNotInFlow, UnknownToken) as error:
            log.warning("a result has no work item any more: %s", error)

    async def _record_slowly(self, flow_id: str, command: Command) -> None:
        try:
            await until_available(lambda: self._driver.execute(flow_id, command))
        except (FlowNotFound, StepNotInFlow, UnknownToken) as error:
            log.warning("a result has no work item any more: %s", error)
        except TooLarge as error:
            # The same result would never fit: the item fails, so that its flow can end.
            if isinstance(command, Succeed):
                await self._record_slowly(flow_id, Fail(command.step_id, command.token, f"result too large: {error}"))
            else:
                raise


async def until_available(attempt: Callable[[], Coroutine[None, None, T]]) -> T:
    """Try until the engine can: with growing pauses, for as long as the store lives."""
    delay_s = RECORD_RETRY_FIRST_S
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            log.warning("waiting to record a result: %s", error)
        except (StoreClosed, StoreFailed) as error:
            # After a restart the item is claimed anew, so nothing is lost by stopping here.
            raise asyncio.CancelledError from error
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RECORD_RETRY_MAX_S)
