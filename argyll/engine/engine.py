"""One node: everything a program can ask of Argyll, over the store, the flow machine and the dispatcher.

The server, the tests and the SDK's harness use this class and nothing below it.
"""

import asyncio
import gc
import logging
import os
import random
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from argyll.engine import invocation
from argyll.engine.caller import HttpCaller, StepCaller
from argyll.engine.catalog import CatalogCommands
from argyll.engine.catalog_ownership import NOBODY, Writer
from argyll.engine.clock import Clock
from argyll.engine.config import EngineConfig
from argyll.engine.dispatch import Dispatcher, until_available
from argyll.engine.errors import (
    FlowConflict,
    FlowEnded,
    FlowNotFound,
    InvalidRequest,
    MissingInputs,
    StepNotFound,
    TooLarge,
    Unavailable,
    Unplannable,
)
from argyll.engine.evaluator import ScriptEvaluator
from argyll.engine.flows import Flows
from argyll.engine.health import HealthMonitor
from argyll.engine.memo import Memo
from argyll.engine.plain_caller import PlainCaller
from argyll.engine.projections import FlowProjections
from argyll.engine.timers import Timers
from argyll.engine.workers import Workers
from argyll.flow import (
    Advance,
    Cancel,
    Effect,
    Env,
    Fail,
    Reclaim,
    StartChild,
    Succeed,
    waiting_children,
)
from argyll.flow import GoalsBlocked as FlowGoalsBlocked
from argyll.flow import MissingInputs as FlowMissingInputs
from argyll.model.catalog import Catalog, Cluster, Health
from argyll.model.flow import FlowState
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON, canonical, encode
from argyll.model.limits import MAX_FLOW_ID_BYTES, MAX_GOALS, MAX_INIT_KEYS, MAX_LABELS
from argyll.model.plan import Plan
from argyll.model.step import Step
from argyll.model.views import catalog_view, cluster_view, flow_view
from argyll.planning import NoGoals, PlanError, Planner, UnknownGoals
from argyll.scripts import Scripts, configure_process
from argyll.store import Aggregate, Committed, FlowPage, FlowQuery, LogStatus, Record, Store, StoreOptions
from argyll.store import Overloaded as StoreOverloaded

log = logging.getLogger(__name__)

RECOVERY_SLICE = 64
"""Flows recovered at a time: their appends share a commit."""

Listener = Callable[[Committed], None]


class Engine:
    """A running node. Make one with `Engine.open`."""

    def __init__(self, config: EngineConfig, store: Store, caller: StepCaller | None = None) -> None:
        self.config, self.node_id = config, config.node_id
        self._store = store
        self._clock = Clock()
        now_us = self._clock.now_us
        self.scripts = Scripts()
        self._evaluator = ScriptEvaluator(self.scripts)
        self._workers = Workers(config.script_workers, config.script_limits)
        self._memo = Memo(config.memo_cache_entries)
        self._timers = Timers(now_us, self._wake)
        self._catalog = CatalogCommands(
            store, self.scripts, config.work, now_us, self._catalog_changed, lambda owner: "reject"
        )
        self._planner = Planner(self._catalog.catalog, self._evaluator.matches)
        self._health = HealthMonitor(
            store, config.node_id, self.scripts, self._planner, now_us, config.unhealthy_wait_s
        )
        self._caller = caller or make_caller(config, now_us)
        self.webhook_base = config.webhook_base
        self._dispatcher = Dispatcher(
            config, self, self._caller, self._evaluator, self._workers, lambda: self.webhook_base
        )
        self._flows = Flows(
            store,
            FlowProjections(store, config.flow_cache_entries),
            self._evaluator,
            self._workers,
            self._memo,
            self._timers,
            self._env,
            self._perform,
            config.max_pending_appends,
        )
        self._listeners: list[Listener] = []
        self._background: set[asyncio.Task[None]] = set()
        self._closing = False
        self._recovered = False
        store.listen(self._on_committed)

    @classmethod
    async def open(cls, config: EngineConfig, caller: StepCaller | None = None) -> "Engine":
        """Open the data directory, take up what was running, and start looking after health.

        Raises `argyll.store.OpenError`, `StoreFailed`, OSError.
        """
        configure_process()
        raise_open_files_limit(config.max_concurrent_calls)
        options = StoreOptions(fsync=cast(Any, config.fsync))
        engine = cls(config, await Store.open(config.data_dir, options=options), caller)
        engine._spawn(engine._recover())
        engine._spawn(engine._watch_health())
        return engine

    async def close(self) -> None:
        """Stop: let calls in flight end for `drain_s`, then flush and release everything."""
        if self._closing:
            return
        self._closing = True
        self._timers.close()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._dispatcher.drain(self.config.drain_s)
        await self._caller.close()
        self._workers.close()
        await self._store.close()

    # catalog

    @property
    def catalog(self) -> Catalog:
        """The committed catalog; read only."""
        return self._catalog.catalog

    @property
    def cluster(self) -> Cluster:
        """The committed view of step health by node; read only."""
        return self._health.cluster

    async def register_step(self, value: JSON, by: Writer = NOBODY) -> Step:
        """Register a step. Raises `InvalidStep`, `StepConflict`, `StepOwned`, `WriteIgnored`."""
        step = await self._catalog.register(value, by)
        await self._health.registered([step])
        return step

    async def update_step(self, step_id: str, value: JSON, by: Writer = NOBODY) -> Step:
        """Replace a step. Raises `IdMismatch`, `InvalidStep`, `StepNotFound`, `StepOwned`, `WriteIgnored`."""
        step = await self._catalog.update(step_id, value, by)
        await self._health.registered([step])
        return step

    async def unregister_step(self, step_id: str, by: Writer = NOBODY) -> None:
        """Remove a step. Raises `StepNotFound`, `StepOwned`, `WriteIgnored`."""
        await self._catalog.unregister(step_id, by)

    async def apply_catalog(self, value: JSON) -> JSON:
        """Apply a whole desired set. Raises `InvalidRequest`, `InvalidCatalog`, `SequenceConflict`, `StepOwned`."""
        answer = await self._catalog.apply(value)
        if answer["applied"]:
            changed = [self.catalog.steps[i] for i in answer["created"] + answer["updated"] if i in self.catalog.steps]
            await self._health.registered(changed)
        return answer

    # flows

    def preview(self, goals: Sequence[str], init: Mapping[str, list[JSON]]) -> Plan:
        """What would run for `goals`. Raises `InvalidRequest`, `StepNotFound`, `Unplannable`."""
        return self._plan(goals, init, preview=True)

    async def start_flow(
        self, flow_id: str, goals: Sequence[str], init: dict[str, list[JSON]], labels: dict[str, str] | None = None
    ) -> str:
        """Start a flow and wait until that is committed; starting it again the same way changes nothing.

        Raises `InvalidRequest`, `StepNotFound`, `Unplannable`, `MissingInputs`, `FlowConflict`, `Overloaded`.
        """
        wanted = sanitize_id(flow_id)
        _check_start(wanted, goals, init, labels or {})
        plan = self._plan(goals, init)
        given = {name: values for name, values in init.items() if values}
        try:
            existing = await self._flows.start(wanted, plan, given, labels=labels)
        except FlowMissingInputs as error:
            raise self._missing_inputs(error.names, goals, given) from error
        except FlowGoalsBlocked as error:
            raise MissingInputs(str(error)) from error
        if existing is not None and not _same_start(existing, goals, given):
            raise FlowConflict(f"flow {wanted!r} already exists with other goals or init")
        return wanted

    async def cancel_flow(self, flow_id: str) -> None:
        """End an active flow as failed. Raises `FlowNotFound`, `FlowEnded`."""
        state = await self._flows.read(flow_id, lambda flow: flow.status.encode())
        if state is None:
            raise FlowNotFound(f"flow {flow_id!r} not found")
        if state[0] != b"active":
            raise FlowEnded(f"flow {flow_id!r} has already {state[0].decode()}")
        await self._flows.execute(flow_id, Cancel())

    async def complete_work(self, flow_id: str, step_id: str, token: str, outputs: dict[str, JSON]) -> None:
        """An item succeeded. Raises `FlowNotFound`, `StepNotInFlow`, `UnknownToken`, `Unavailable`; `TooLarge` when the
        outputs can't be kept, which fails the item."""
        try:
            await self._flows.execute(flow_id, Succeed(step_id, token, outputs))
        except TooLarge as error:
            await self._flows.execute(flow_id, Fail(step_id, token, f"result too large: {error}"))
            raise

    async def fail_work(self, flow_id: str, step_id: str, token: str, error: str) -> None:
        """An item failed for good. Raises as `complete_work`."""
        await self._flows.execute(flow_id, Fail(step_id, token, error))

    async def flow_view(self, flow_id: str) -> tuple[bytes, int] | None:
        """JSON text of a flow's committed state and its next sequence, None for an unknown flow."""
        return await self._flows.read(flow_id, lambda flow: encode(flow_view(flow)))

    def flow_status(self, flow_id: str) -> str | None:
        """The indexed status of a flow: active until it is deactivated."""
        return self._store.flow_status(flow_id)

    def query_flows(self, query: FlowQuery) -> FlowPage:
        """A page of root flows. Raises `argyll.store.InvalidCursor`."""
        return self._store.query_flows(query)

    # reading

    async def events(self, aggregate: Aggregate, start: int = 0, limit: int | None = None) -> list[Record]:
        """Committed events of an aggregate from sequence `start` on."""
        return await self._store.events(aggregate, start, limit)

    async def view(self, aggregate: Aggregate) -> tuple[bytes, int] | None:
        """JSON text of an aggregate's committed state and its next sequence; None when there is no such thing."""
        match aggregate:
            case ("catalog",):
                return encode(catalog_view(self.catalog)), self.catalog.sequence
            case ("cluster",):
                return encode(cluster_view(self.cluster, [self.node_id])), self.cluster.sequence
            case ("flow", flow_id):
                return await self.flow_view(flow_id)
            case _:
                return None

    def health_view(self) -> JSON:
        """Every node's health records, steps without one shown as unknown."""
        return cluster_view(self.cluster, [self.node_id], fill=self.catalog.steps)

    def step_health(self, step_id: str) -> Health | None:
        """The cluster's health of a step, None when the catalog has no such step."""
        return self._health.resolved(step_id, self.catalog) if step_id in self.catalog.steps else None

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Call back for every committed append, in order; returns how to stop."""
        self._listeners.append(callback)

        def stop() -> None:
            with suppress(ValueError):
                self._listeners.remove(callback)

        return stop

    @property
    def ready(self) -> bool:
        """Whether the node serves: it has taken up what was running, and its disk takes writes."""
        return self._recovered and not self._closing and self._store.status().failure is None

    @property
    def raft_state(self) -> str:
        """This node's role: leader, follower, candidate or unknown."""
        return self._store.status().role

    def log_status(self) -> LogStatus:
        """The log as operators see it."""
        return self._store.status()

    # what the dispatcher drives

    async def execute(self, flow_id: str, command: Any) -> None:
        """Run a command on a flow and wait until it is committed."""
        await self._flows.execute(flow_id, command)

    def submit(self, flow_id: str, command: Any, again: Callable[[], None]) -> bool:
        """Run a command on a flow without waiting; see `Flows.submit`."""
        return self._flows.submit(flow_id, command, again)

    async def start_child(self, parent: FlowState, effect: StartChild) -> FlowState | None:
        """Start the child flow of an item; the existing child when there is one."""
        step = parent.plan.steps[effect.step_id]
        return await self._flows.start(
            effect.child_id,
            parent.plan.children[effect.step_id],
            invocation.child_init(parent, step, effect.token),
            invocation.child_metadata(parent, effect.step_id, effect.token),
        )

    async def parent_of(self, child: FlowState) -> FlowState | None:
        """The state of the flow that started `child`."""
        link = child.parent
        projection = self._flows.projections.get(link[0]) if link is not None else None
        return projection.state if projection is not None else None

    # inside

    def _plan(self, goals: Sequence[str], init: Mapping[str, list[JSON]], *, preview: bool = False) -> Plan:
        try:
            return self._planner.plan(goals, init, "preview" if preview else "strict")
        except NoGoals as error:
            raise InvalidRequest(str(error), path="/goals") from error
        except UnknownGoals as error:
            raise StepNotFound(str(error)) from error
        except PlanError as error:
            raise Unplannable(str(error)) from error

    def _missing_inputs(self, names: list[str], goals: Sequence[str], init: Mapping[str, list[JSON]]) -> MissingInputs:
        """The refusal names what a caller can give: the root inputs, not what steps would make of them (decisions 50)."""
        roots = self._planner.plan(goals, init, "preview").required or tuple(names)
        return MissingInputs(f"required inputs not provided: [{', '.join(roots)}]", roots)

    def _env(self) -> Env:
        return Env(
            now_us=self._clock.now_us(),
            node_id=self.node_id,
            evaluator=self._evaluator,
            new_token=new_token,
            may_claim=self._health.may_claim,
            recall=self._memo.recall,
            random=_random.random,
        )

    def _perform(self, effect: Effect, flow: FlowState) -> None:
        if not self._closing:
            self._dispatcher.perform(effect, flow)

    def _on_committed(self, committed: Committed) -> None:
        kind = committed.aggregate[0]
        if kind == "catalog":
            self._catalog.on_committed(committed)
        elif kind == "cluster":
            self._health.on_committed(committed)
        for listener in list(self._listeners):
            try:
                listener(committed)
            except Exception:
                # What follows from the commit must follow, whatever an onlooker does.
                log.exception("a listener failed on %s", committed.aggregate)
        if kind == "flow":
            self._flows.on_committed(committed)

    def _catalog_changed(self, catalog: Catalog) -> None:
        self._planner.catalog_changed(catalog)

    def _wake(self, flow_id: str) -> None:
        self._spawn(self._advance(flow_id))

    async def _advance(self, flow_id: str) -> None:
        try:
            await self._flows.execute(flow_id, Advance())
        except FlowNotFound:
            pass
        except Unavailable as error:
            # The append that failed has set another wake-up.
            log.warning("flow %s waits: %s", flow_id, error)

    async def _recover(self) -> None:
        """Take up every active flow: what was running is claimed anew, what waits is woken when due."""
        command = Reclaim(lambda _node, token: token not in self._dispatcher.in_progress)
        flows = self._store.active_flows()
        for first in range(0, len(flows), RECOVERY_SLICE):
            await asyncio.gather(
                *(self._take_up(flow_id, command) for flow_id in flows[first : first + RECOVERY_SLICE])
            )
        self._recovered = True

    async def _take_up(self, flow_id: str, command: Reclaim) -> None:
        try:
            await self._recover_flow(flow_id, command)
        except Exception:
            log.exception("flow %s could not be taken up", flow_id)

    async def _recover_flow(self, flow_id: str, command: Reclaim) -> None:
        await until_available(lambda: self._flows.execute(flow_id, command))
        projection = self._flows.projections.get(flow_id)
        if projection is not None:
            for effect in list(waiting_children(projection.state)):
                self._perform(effect, projection.state)

    async def _watch_health(self) -> None:
        while True:
            try:
                await self._health.check(dict(self.catalog.steps))
            except StoreOverloaded as error:
                log.warning("what was seen of the steps' health is not recorded yet: %s", error)
            await asyncio.sleep(self.config.health_period_s)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)


_random = random.SystemRandom()


def new_token() -> str:
    """A receipt token: a random UUID (version 4), from the operating system's generator."""
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def tune_garbage_collection() -> None:
    """Once everything is loaded: what is there stays, and collections get rare. Pauses are what a busy node's slowest
    answers are made of; the engine's own data has no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def make_caller(config: EngineConfig, now_us: Callable[[], int]) -> StepCaller:
    """The step client that the configuration names."""
    general = HttpCaller(now_us, config.max_concurrent_calls)
    return PlainCaller(now_us, general) if config.step_client == "plain" else general


def raise_open_files_limit(calls: int) -> None:
    """Allow this process the sockets that its calls and clients need, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * calls + 1_024
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def _check_start(flow_id: str, goals: Sequence[str], init: Mapping[str, list[JSON]], labels: Mapping[str, str]) -> None:
    if not flow_id:
        raise InvalidRequest("flow id is empty; use letters, digits, '_', '.', '-' or '+'", path="/id")
    for path, what, size, limit in (
        ("/id", "bytes in the flow id", len(flow_id), MAX_FLOW_ID_BYTES),
        ("/goals", "goals", len(goals), MAX_GOALS),
        ("/init", "init names", len(init), MAX_INIT_KEYS),
        ("/labels", "labels", len(labels), MAX_LABELS),
    ):
        if path == "/goals" and not goals:
            raise InvalidRequest("a flow needs at least one goal", path=path)
        if size > limit:
            raise InvalidRequest(f"too many {what}: {size}, at most {limit}", path=path)


def _same_start(flow: FlowState, goals: Sequence[str], init: dict[str, list[JSON]]) -> bool:
    return flow.plan.goals == tuple(goals) and canonical(flow.init) == canonical(init)
