"""Runs commands on flows: projection, decision, append; and when that is committed, effects and wake-ups.

Commands of one flow run in order and are pipelined: a command sees what those before it raised, committed or not, and
nobody outside sees it before it is committed. What other nodes commit is followed; whoever owns the flow looks at it.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from msgspec import MsgspecError, Struct, structs

from argyll.engine.claims import Claims
from argyll.engine.errors import (
    FlowNotFound,
    OutcomeUncertain,
    Overloaded,
    StepNotInFlow,
    TooLarge,
    Unavailable,
    UnknownToken,
)
from argyll.engine.evaluator import NeedsWorker, ScriptEvaluator
from argyll.engine.memo import Memo
from argyll.engine.ownership import Ownership
from argyll.engine.projections import FlowProjections, Projection
from argyll.engine.timers import Timers
from argyll.engine.workers import Workers
from argyll.flow import NEVER, Command, Effect, Env, Reclaim, TellParent, Transaction, apply, decide, effects_of, start
from argyll.flow import UnknownStep as FlowLacksStep
from argyll.flow import UnknownToken as StepLacksToken
from argyll.model.events import (
    CompStarted,
    DispatchDeferred,
    FlowDeactivated,
    Payload,
    WorkStarted,
    WorkSucceeded,
    decode_payload,
)
from argyll.model.flow import FlowState
from argyll.model.ids import is_child_flow_id
from argyll.model.json import JSON, encode
from argyll.model.plan import Plan
from argyll.store import (
    Append,
    Committed,
    Conflict,
    EntryTooLarge,
    IndexUpdate,
    NewEvent,
    NoLeader,
    OutcomeUnknown,
    Store,
    StoreClosed,
    StoreFailed,
)
from argyll.store import Overloaded as StoreOverloaded

MAX_COMMAND_TRIES = 16
"""How often a command is decided anew after losing a race."""

SMALL_BUDGET = 1
"""How many steps and items a command may start whose events did not fit into one append with more of them."""

RECHECK_US = 1_000_000
"""How soon a flow is looked at again after an append that failed: the wake-up it would have set is lost with it."""

NO_QUORUM_RETRY_S = 1.0

_FINAL = (StoreClosed, StoreFailed, EntryTooLarge)
"""Refusals that looking again would only meet again."""

_CLAIMS = (WorkStarted, CompStarted)
_DEFERRED = DispatchDeferred.event_type


class Flight(Struct):
    """A transaction on its way to commit: what the store hands back when it is."""

    projection: Projection
    tx: Transaction
    has_ended: bool = False
    """It was committed, or failed. One whose outcome nobody knew in time has failed and may still be committed."""


class _Attempt:
    """The tries of one command: lost races are counted, waits for workers are not, as each brings an answer; a command
    that did not fit into one append gets one more chance, with a small budget."""

    __slots__ = ("_left", "shrunk")

    def __init__(self) -> None:
        self._left = MAX_COMMAND_TRIES
        self.shrunk = False

    def goes_on(self) -> bool:
        """Whether there is another try; counts it."""
        self._left -= 1
        return self._left >= 0

    def waited(self) -> None:
        """This try only waited for a worker."""
        self._left += 1

    def may_shrink(self) -> bool:
        """Whether the command may run again with a small budget."""
        first = not self.shrunk
        self.shrunk = True
        return first


class Flows:
    """Every flow of this node. `make_env` gives a command on a flow its surroundings, `perform` carries out committed
    effects."""

    def __init__(
        self,
        store: Store,
        projections: FlowProjections,
        evaluator: ScriptEvaluator,
        workers: Workers,
        memo: Memo,
        timers: Timers,
        ownership: Ownership,
        claims: Claims,
        make_env: Callable[[str], Env],
        perform: Callable[[Effect, FlowState], None],
        max_pending_appends: int,
    ) -> None:
        self._store, self.projections = store, projections
        self._evaluator, self._workers, self._memo = evaluator, workers, memo
        self._timers, self._ownership, self._claims = timers, ownership, claims
        self._make_env, self._perform = make_env, perform
        self._max_pending_appends = max_pending_appends
        self.pending_appends = 0

    async def start(
        self,
        flow_id: str,
        plan: Plan,
        init: dict[str, list[JSON]],
        metadata: dict[str, JSON] | None = None,
        labels: dict[str, str] | None = None,
    ) -> FlowState | None:
        """Start a flow and wait until that is committed. When the id is taken, nothing happens and the existing flow's
        committed state is returned instead. Raises what `argyll.flow.start` does, `Overloaded`, `TooLarge`,
        `Unavailable`."""
        if self.pending_appends >= self._max_pending_appends:
            raise Overloaded(
                f"{self.pending_appends} appends are waiting to become durable "
                f"(max_pending_appends {self._max_pending_appends})",
                retry_after_s=1,
            )
        attempt = _Attempt()
        while attempt.goes_on():
            existing = await self._usable(flow_id)
            if existing is not None:
                if await existing.committed():
                    return existing.state
                continue
            self._evaluator.begin_command()
            try:
                tx = start(flow_id, plan, init, self._env(flow_id, attempt), metadata, labels)
            except NeedsWorker as need:
                await self._ask_worker(need)
                attempt.waited()
                continue
            projection = Projection(tx.flow)
            self.projections.put(projection)
            index = IndexUpdate(status="active", labels=labels or None, root=not is_child_flow_id(flow_id))
            try:
                if await self._committed(projection, self._append(projection, tx, index)):
                    return None
            except TooLarge:
                if not attempt.may_shrink():
                    raise
                await self._abandon(projection)
        raise Unavailable(f"flow {flow_id!r}: the command lost {MAX_COMMAND_TRIES} races", retry_after_s=1)

    async def execute(self, flow_id: str, command: Command) -> None:
        """Run a command and wait until its events are committed.

        Raises `FlowNotFound`, `StepNotInFlow`, `UnknownToken`, `TooLarge`, `Unavailable`.
        """
        attempt = _Attempt()
        while attempt.goes_on():
            projection = await self._usable(flow_id)
            while projection is not None and projection.in_flight and isinstance(command, Reclaim):
                # A claim that is on its way is no orphan, but only once it is carried out can that be seen.
                await projection.committed()
                projection = await self._usable(flow_id)
            if projection is None:
                raise FlowNotFound(f"flow {flow_id!r} not found")
            try:
                tx = self._decide(projection, command, attempt)
            except NeedsWorker as need:
                await self._abandon(projection)
                await self._ask_worker(need)
                attempt.waited()
                continue
            if not tx.events:
                self._wake(tx)
                # It may have found its work done by a command that is still on its way, and may not make it.
                if await projection.committed():
                    return
                continue
            try:
                if await self._committed(projection, self._append(projection, tx, None)):
                    if tx.budget or not isinstance(command, Reclaim):
                        return
                    attempt.waited()  # orphans are left: they are taken up piece by piece
            except TooLarge:
                if not attempt.may_shrink():
                    raise
                await self._abandon(projection)
        raise Unavailable(f"flow {flow_id!r}: the command lost {MAX_COMMAND_TRIES} races", retry_after_s=1)

    def submit(self, flow_id: str, command: Command, again: Callable[[], None]) -> bool:
        """Run a command without waiting for its commit: the quick way for results of work.

        False when it has to go through `execute` instead. `again` is called if the append does not make it. Raises
        `StepNotInFlow`, `UnknownToken`.
        """
        projection = self.projections.get(flow_id)
        if projection is None or projection.spoiled:
            return False
        try:
            tx = self._decide(projection, command)
            if tx.events:
                self._append(projection, tx, None, again)
                return True
        except (NeedsWorker, TooLarge):
            return False
        self._wake(tx)
        return not projection.in_flight

    async def read(self, flow_id: str, show: Callable[[FlowState], bytes]) -> tuple[bytes, int] | None:
        """What `show` makes of a flow's state, and the state's next sequence, once all of it is committed."""
        while True:
            projection = self.projections.cached(flow_id)
            if projection is None:
                state = self.projections.load(flow_id)
                return (show(state), state.sequence) if state is not None else None
            if projection.spoiled:
                await self._abandon(projection)
                continue
            shown, sequence = show(projection.state), projection.state.sequence
            if await projection.committed():
                return shown, sequence
            await self._abandon(projection)

    def on_committed(self, committed: Committed) -> None:
        """Act on a committed append: memory, effects, wake-ups."""
        flight = committed.context
        if not isinstance(flight, Flight) or flight.has_ended:
            self._follow(committed, flight.tx if isinstance(flight, Flight) else None)
            return
        projection, tx = flight.projection, flight.tx
        self._end(flight)
        state = projection.state
        if state.plan.memoizable:
            self._remember(state, tx.events)
        for effect in effects_of(state, tx.events):
            self._carry_out(effect, state)
        if not projection.in_flight:
            self._wake(tx)
            if state.deactivated_at:
                self.projections.drop(projection)

    def reload(self) -> None:
        """Histories grew without a notice: nothing in memory is to be relied on."""
        self.projections.spoil()

    def _follow(self, committed: Committed, lost: Transaction | None) -> None:
        """An append that no command of this node waits for: another node's, or a `lost` one of ours."""
        flow_id = committed.aggregate[1]
        projection = self.projections.cached(flow_id)
        owned = self._ownership.owns(flow_id)
        if any(event.type == _DEFERRED for event in committed.events):
            self._look_if_asked(flow_id, committed)
        if not owned and projection is None and lost is None:
            return
        payloads = [decode_payload(event.type, event.data) for event in committed.events]
        state = self._fold(projection, committed, payloads, keep=owned)
        if lost is not None or (owned and isinstance(payloads[-1], FlowDeactivated)):
            # Effects need the state; where it was in disorder, the committed one is read.
            self._make_up_for(state or self.projections.load(flow_id), payloads, is_ours=lost is not None)
        if not owned:
            return
        for payload in payloads:
            if isinstance(payload, _CLAIMS):
                self._claims.taken(flow_id, payload.step_id)
        if not isinstance(payloads[-1], FlowDeactivated) and not all(isinstance(p, _CLAIMS) for p in payloads):
            self._timers.soon(flow_id)

    def _fold(
        self, projection: Projection | None, committed: Committed, payloads: list[Payload | None], *, keep: bool
    ) -> FlowState | None:
        """The flow's state with a foreign append in it; None when memory cannot follow and has to be read anew."""
        state: FlowState | None = None
        if projection is not None:
            state = projection.state
            if projection.in_flight or projection.spoiled or state.sequence != committed.first_sequence:
                projection.spoiled = True
                return None
        elif committed.first_sequence or not keep:
            return None
        for payload in payloads:
            state = apply(state, payload, committed.timestamp_us)
        if state is None:
            return None
        if state.plan.memoizable:
            self._remember(state, payloads)
        if projection is None and not state.deactivated_at:
            self.projections.put(Projection(state))
        elif projection is not None and state.deactivated_at:
            self.projections.drop(projection)
        return state

    def _make_up_for(self, state: FlowState | None, payloads: list[Payload | None], *, is_ours: bool) -> None:
        """Carry out what an append causes that no command of this node waits for."""
        if state is None:
            return
        for effect in effects_of(state, [payload for payload in payloads if payload is not None]):
            if is_ours or isinstance(effect, TellParent):
                self._carry_out(effect, state)

    def _look_if_asked(self, flow_id: str, committed: Committed) -> None:
        """Claim work that the owner leaves to this node."""
        for event in committed.events:
            payload = decode_payload(event.type, event.data)
            if isinstance(payload, DispatchDeferred) and (
                self._claims.nominee(flow_id, payload.step_id) == self._ownership.node_id
            ):
                self._timers.soon(flow_id)

    def _carry_out(self, effect: Effect, state: FlowState) -> None:
        """Whoever claimed work does it; who owns a family of flows tells the parents in it."""
        if not isinstance(effect, TellParent) or self._ownership.owns(state.id):
            self._perform(effect, state)

    async def _usable(self, flow_id: str) -> Projection | None:
        projection = self.projections.get(flow_id)
        while projection is not None and projection.spoiled:
            await self._abandon(projection)
            projection = self.projections.get(flow_id)
        return projection

    def _env(self, flow_id: str, attempt: "_Attempt | None") -> Env:
        env = self._make_env(flow_id)
        return structs.replace(env, budget=SMALL_BUDGET) if attempt is not None and attempt.shrunk else env

    def _decide(self, projection: Projection, command: Command, attempt: "_Attempt | None" = None) -> Transaction:
        self._evaluator.begin_command()
        try:
            return decide(projection.state, command, self._env(projection.state.id, attempt))
        except FlowLacksStep as error:
            raise StepNotInFlow(f"step {error} is not part of flow {projection.state.id!r}") from error
        except StepLacksToken as error:
            raise UnknownToken(f"flow {projection.state.id!r} has no work item {error}") from error
        except BaseException:
            projection.spoiled = True
            raise

    def _append(
        self,
        projection: Projection,
        tx: Transaction,
        index: IndexUpdate | None,
        again: Callable[[], None] | None = None,
    ) -> asyncio.Future[int]:
        state = projection.state
        try:
            events = [NewEvent(event.event_type, encode(event)) for event in tx.events]
        except (ValueError, TypeError, RecursionError, MsgspecError) as error:
            projection.spoiled = True
            raise TooLarge(f"events of flow {state.id!r} cannot be written as JSON: {error}") from error
        projection.in_flight += 1
        self.pending_appends += 1
        flight = Flight(projection, tx)
        last = self._store.append(
            Append(
                ("flow", state.id),
                state.sequence - len(tx.events),
                tx.env.now_us,
                events,
                self._index_of(tx, index),
                flight,
            )
        )
        # Not left to whoever waits: it may give up, and the next command must not build on what failed.
        last.add_done_callback(partial(self._settled, flight, again))
        projection.last_append = last
        return last

    @staticmethod
    def _index_of(tx: Transaction, started: IndexUpdate | None) -> IndexUpdate | None:
        if not isinstance(tx.events[-1], FlowDeactivated):
            return started
        return IndexUpdate(
            status=tx.flow.status,
            labels=started.labels if started is not None else None,
            error=tx.flow.error or None,
            root=not is_child_flow_id(tx.flow.id),
        )

    async def _committed(self, projection: Projection, append: asyncio.Future[int]) -> bool:
        """Wait for an append. False when it lost and the command has to be decided again."""
        try:
            # Shielded: whoever waits may give up, the append goes its way.
            await asyncio.shield(append)
        except Conflict:
            await self._abandon(projection)
            return False
        except OutcomeUnknown as error:
            await self._abandon(projection)
            if not self._store.status().has_quorum:
                raise OutcomeUncertain(str(error), retry_after_s=NO_QUORUM_RETRY_S) from error
            return False
        except NoLeader as error:
            raise Unavailable(str(error), retry_after_s=NO_QUORUM_RETRY_S) from error
        except StoreOverloaded as error:
            raise Overloaded(str(error), retry_after_s=1) from error
        except EntryTooLarge as error:
            raise TooLarge(str(error)) from error
        return True

    def _settled(self, flight: Flight, again: Callable[[], None] | None, append: asyncio.Future[int]) -> None:
        """Note an append that failed; those that made it were seen by `on_committed`."""
        error = None if append.cancelled() else append.exception()
        if error is None and not append.cancelled():
            return
        projection = flight.projection
        if not flight.has_ended:
            self._end(flight)
        projection.spoiled = True
        if not isinstance(error, _FINAL):
            self._timers.set(projection.state.id, flight.tx.env.now_us + RECHECK_US)
        if again is not None:
            again()

    def _end(self, flight: Flight) -> None:
        flight.has_ended = True
        flight.projection.in_flight -= 1
        self.pending_appends -= 1

    async def _abandon(self, projection: Projection) -> None:
        """Forget a spoiled projection once the appends that were built on it have ended."""
        projection.spoiled = True
        await projection.committed()
        self.projections.drop(projection)

    async def _ask_worker(self, need: NeedsWorker) -> None:
        self._evaluator.learn(need.evaluation, await self._workers.evaluate(need.evaluation))

    def _remember(self, state: FlowState, events: Iterable[Payload | None]) -> None:
        for event in events:
            if isinstance(event, WorkSucceeded) and event.step_id in state.plan.memoizable:
                execution = state.executions[event.step_id]
                inputs = {**(execution.inputs or {}), **execution.work_items[event.token].inputs}
                self._memo.remember(state.plan.steps[event.step_id], inputs, event.outputs)

    def _wake(self, tx: Transaction) -> None:
        if tx.wake_at == NEVER or not self._ownership.owns(tx.flow.id):
            self._timers.cancel(tx.flow.id)
        else:
            self._timers.set(tx.flow.id, tx.wake_at)
