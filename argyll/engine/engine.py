"""One node: everything a program can ask of Argyll, over the store, the flow machine and the dispatcher.

The server, the tests and the SDK's harness use this class and nothing below it.
"""

import asyncio
import gc
import logging
import os
import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from argyll.engine import invocation
from argyll.engine.caller import HttpCaller, StepCaller
from argyll.engine.catalog import CATALOG, CatalogCommands
from argyll.engine.catalog_apply import Revisions
from argyll.engine.catalog_index import CatalogIndex
from argyll.engine.catalog_ownership import NOBODY, Writer
from argyll.engine.catalog_rollback import Rollback
from argyll.engine.catalog_sources import Sources
from argyll.engine.claims import Claims
from argyll.engine.clock import Clock
from argyll.engine.cluster import ClusterRecord
from argyll.engine.config import EngineConfig
from argyll.engine.cooperation import Cooperation
from argyll.engine.dispatch import Dispatcher
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
from argyll.engine.flows import RECHECK_US, Flows
from argyll.engine.folding import fold
from argyll.engine.health import HealthMonitor
from argyll.engine.membership import Membership
from argyll.engine.memo import Memo
from argyll.engine.opening import open_store
from argyll.engine.ownership import Ownership
from argyll.engine.plain_caller import PlainCaller
from argyll.engine.projections import FlowProjections
from argyll.engine.takeover import TakeOver
from argyll.engine.timers import Timers
from argyll.engine.workers import Workers
from argyll.flow import (
    Advance,
    Cancel,
    Claim,
    Effect,
    Env,
    Fail,
    StartChild,
    Succeed,
)
from argyll.flow import GoalsBlocked as FlowGoalsBlocked
from argyll.flow import MissingInputs as FlowMissingInputs
from argyll.model.catalog import Catalog, Cluster, Health, apply_catalog
from argyll.model.flow import FlowState
from argyll.model.ids import sanitize_id
from argyll.model.json import JSON, canonical, encode
from argyll.model.limits import MAX_FLOW_ID_BYTES, MAX_GOALS, MAX_INIT_KEYS, MAX_LABELS
from argyll.model.plan import Plan
from argyll.model.step import Step
from argyll.model.views import catalog_view, cluster_view, flow_view
from argyll.planning import NoGoals, PlanError, Planner, UnknownGoals
from argyll.scripts import Scripts, configure_process
from argyll.store import (
    Aggregate,
    Committed,
    Conflict,
    FlowPage,
    FlowQuery,
    LogStatus,
    NoLeader,
    OutcomeUnknown,
    Record,
    Store,
)
from argyll.store import Overloaded as StoreOverloaded

log = logging.getLogger(__name__)

Listener = Callable[[Committed], None]
T = TypeVar("T")


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
            store, self.scripts, config.work, now_us, self._catalog_changed, lambda: self.sources
        )
        self.index = CatalogIndex(self._catalog)
        """The catalog in short, for those who compare."""
        self.sources = Sources(store, self._catalog, now_us, self._step_status)
        """The records of the sources that own steps."""
        self.revisions = Revisions(store, self._catalog, self.sources)
        """What applies a source's revisions."""
        self._planner = Planner(self._catalog.catalog, self._evaluator.matches)
        self._record = ClusterRecord(store, now_us)
        self._health = HealthMonitor(
            self._record, config.node_id, self.scripts, self._planner, now_us, config.unhealthy_wait_s
        )
        self._caller = caller or make_caller(config, now_us)
        self.webhook_base = config.webhook_base
        self._dispatcher = Dispatcher(
            config, self, self._caller, self._evaluator, self._workers, lambda: self.webhook_base
        )
        self._ownership = Ownership(config.node_id, alone=store.status().node_id is None)
        self._claims = Claims(self._ownership, self._health, now_us, config.unhealthy_wait_s)
        self._flows = Flows(
            store,
            FlowProjections(store, config.flow_cache_entries),
            self._evaluator,
            self._workers,
            self._memo,
            self._timers,
            self._ownership,
            self._claims,
            self._env,
            self._perform,
            config.max_pending_appends,
        )
        self._take_over = TakeOver(store, self._flows, self._ownership, self._dispatcher.in_progress, self._perform)
        membership = Membership(self._record, config.node_id, store.status, time.monotonic)
        self._cooperation = Cooperation(store, self._record, self._ownership, membership, self._take_over)
        self._listeners: list[Listener] = []
        self._reset_listeners: list[Callable[[], None]] = []
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = self._closing = False
        self._recovered = False
        store.listen(self._on_committed)
        store.listen_reset(self._on_reset)

    @classmethod
    async def open(cls, config: EngineConfig, caller: StepCaller | None = None) -> "Engine":
        """Open the data directory, take up what was running, and start looking after health.

        Raises `argyll.store.OpenError`, `StoreFailed`, `ConfigError`, OSError.
        """
        configure_process()
        raise_open_files_limit(config.max_concurrent_calls)
        engine = cls(config, await open_store(config), caller)
        engine._spawn(engine._recover())
        engine._spawn(engine._watch_health())
        return engine

    async def close(self) -> None:
        """Stop: let calls in flight end for `drain_s`, then flush and release everything."""
        if self._stopping:
            return
        self._stopping = True
        await self._cooperation.leaving()
        self._closing = True
        self._timers.close()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._dispatcher.drain(self.config.drain_s)
        await self._cooperation.left()
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
        return self._record.state

    async def register_step(self, value: JSON, by: Writer = NOBODY) -> Step:
        """Register a step. Raises `InvalidStep`, `StepConflict`, `StepOwned`, `WriteIgnored`."""
        step = await self._cooperation.recorded(lambda: self._catalog.register(value, by))
        await self._registered([step])
        return step

    async def update_step(self, step_id: str, value: JSON, by: Writer = NOBODY) -> Step:
        """Replace a step. Raises `IdMismatch`, `InvalidStep`, `StepNotFound`, `StepOwned`, `WriteIgnored`."""
        step = await self._cooperation.recorded(lambda: self._catalog.update(step_id, value, by))
        await self._registered([step])
        return step

    async def unregister_step(self, step_id: str, by: Writer = NOBODY) -> None:
        """Remove a step. Raises `StepNotFound`, `StepOwned`, `WriteIgnored`."""
        await self._cooperation.recorded(lambda: self._catalog.unregister(step_id, by))

    async def apply_catalog(self, value: JSON) -> JSON:
        """Apply an owner's whole desired set, or a revision of a source. Raises what `CatalogCommands.apply` and
        `Revisions.apply` do."""
        to = self.revisions if isinstance(value, dict) and "source" in value else self._catalog
        answer = await self._cooperation.recorded(lambda: to.apply(value))
        if answer["applied"]:
            changed = [self.catalog.steps[i] for i in answer["created"] + answer["updated"] if i in self.catalog.steps]
            await self._registered(changed)
        return answer

    # sources

    async def configure_source(self, source: str, value: JSON, actor: str = "") -> JSON:
        """Configure a source and show it. Raises as `Sources.configure`."""
        return await self._cooperation.recorded(lambda: self.sources.configure(source, value, actor))

    async def delete_source(self, source: str, actor: str = "") -> list[str]:
        """Forget a source: the ids of steps that belong to nobody now. Raises as `Sources.delete`."""
        return await self._cooperation.recorded(lambda: self.sources.delete(source, actor))

    async def decide_source(self, source: str, decision: str, value: JSON, actor: str = "") -> JSON:
        """Record what a person decided about a source, and show it. Raises as `Sources.decide`."""
        return await self._cooperation.recorded(lambda: self.sources.decide(source, decision, value, actor))

    async def report_source(self, source: str, value: JSON) -> bool:
        """Record what an agent saw; False when that was known. Raises as `Sources.report`."""
        return await self._cooperation.recorded(lambda: self.sources.report(source, value))

    async def roll_back_source(self, source: str, value: JSON, actor: str = "") -> JSON:
        """Give a source's steps the content of an earlier revision, and hold it. Raises as `Rollback.run`."""
        rollback = Rollback(self._store, self._catalog, self.sources, self.revisions)
        answer = await self._cooperation.recorded(lambda: rollback.run(source, value, actor))
        changed = [self.catalog.steps[i] for i in answer["created"] + answer["updated"] if i in self.catalog.steps]
        await self._registered(changed)
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
        self._cooperation.check_quorum()
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
        """End an active flow as failed. Raises `FlowNotFound`, `FlowEnded`, `Unavailable`."""
        self._cooperation.check_quorum()
        state = await self._flows.read(flow_id, lambda flow: b"ended" if flow.deactivated_at else b"active")
        if state is None:
            raise FlowNotFound(f"flow {flow_id!r} not found")
        if state[0] != b"active":
            raise FlowEnded(f"flow {flow_id!r} has ended and nothing of it runs any more")
        await self._flows.execute(flow_id, Cancel())

    async def complete_work(self, flow_id: str, step_id: str, token: str, outputs: dict[str, JSON]) -> None:
        """An item succeeded. Raises `FlowNotFound`, `StepNotInFlow`, `UnknownToken`, `Unavailable`; `TooLarge` when the
        outputs can't be kept, which fails the item."""
        self._cooperation.check_quorum()
        try:
            await self._flows.execute(flow_id, Succeed(step_id, token, outputs))
        except TooLarge as error:
            await self._flows.execute(flow_id, Fail(step_id, token, f"result too large: {error}"))
            raise

    async def fail_work(self, flow_id: str, step_id: str, token: str, error: str) -> None:
        """An item failed for good. Raises as `complete_work`."""
        self._cooperation.check_quorum()
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
            case ("source", source):
                known = self.sources.is_known(source)
                return (encode(self.sources.view(source)), self.sources.sequence(source)) if known else None
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

    def listen_reset(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when everything may have changed without a committed append to show for it; returns how to stop."""
        self._reset_listeners.append(callback)
        return lambda: self._reset_listeners.remove(callback)

    async def read_barrier(self) -> None:
        """Wait until reads here see everything that any node acknowledged before. Raises `Unavailable`."""
        await self._cooperation.read_barrier()

    async def transfer_leadership(self, to: str | None) -> None:
        """Hand the log's leadership to another node, the one furthest if None. Raises `LeadershipStays`."""
        await self._cooperation.transfer_leadership(to)

    @property
    def ready(self) -> bool:
        """Whether the node serves: it has taken up what was running, its disk takes writes, and so do enough nodes."""
        return self._recovered and not self._stopping and self._cooperation.can_record

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

    def _env(self, flow_id: str) -> Env:
        may_claim = self._health.may_claim
        if self._take_over.waiting and flow_id in self._take_over.waiting:
            may_claim = _not_yet
        elif not self._ownership.is_alone:
            may_claim = partial(self._claims.may_claim, flow_id)
        return Env(
            now_us=self._clock.now_us(),
            node_id=self.node_id,
            evaluator=self._evaluator,
            new_token=new_token,
            may_claim=may_claim,
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
        elif kind == "source":
            self.sources.on_committed(committed)
        elif kind == "cluster":
            self._record.on_committed(committed)
        for listener in list(self._listeners):
            try:
                listener(committed)
            except Exception:
                # What follows from the commit must follow, whatever an onlooker does.
                log.exception("a listener failed on %s", committed.aggregate)
        if kind == "flow":
            self._flows.on_committed(committed)

    def _step_status(self, step_id: str) -> str:
        """The health of a step by itself; a flow step has none of its own."""
        step = self.catalog.steps.get(step_id)
        if step is None or step.type == "flow":
            return "healthy"
        return self._health.resolved(step_id, self.catalog).status

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
            log.warning("flow %s waits: %s", flow_id, error)
            self._timers.set(flow_id, self._clock.now_us() + RECHECK_US)
        except TooLarge as error:
            # It would never fit: the flow ends, rather than stand for ever.
            log.error("flow %s cannot go on: %s", flow_id, error)
            await self._flows.execute(flow_id, Cancel(f"too large to go on: {error}"))

    async def _recover(self) -> None:
        """Take up what was running, and go on as nodes come and go."""
        await self._cooperation.begin(self._spawn)
        self._recovered = True

    def _on_reset(self) -> None:
        """This node took over another's state whole: everything in memory is read anew, as after a restart."""
        self._catalog.catalog = fold(self._store, CATALOG, Catalog(), apply_catalog)
        self._planner.catalog_changed(self._catalog.catalog)
        self._flows.reload()
        self._record.reload()
        self.sources.reload()
        if self._recovered:
            self._spawn(self._take_over.start())
        for listener in list(self._reset_listeners):
            listener()

    async def _registered(self, steps: list[Step]) -> None:
        """Note that steps are new; what cannot be noted now, the next pass of the health checks sees."""
        try:
            await self._health.registered(steps)
        except (NoLeader, OutcomeUnknown, Conflict) as error:
            log.warning("the health of new steps is not recorded yet: %s", error)

    async def _watch_health(self) -> None:
        while True:
            try:
                await self._health.check(dict(self.catalog.steps))
            except (StoreOverloaded, NoLeader, OutcomeUnknown, Conflict) as error:
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


def _not_yet(step: Step) -> Claim:
    return "wait"


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
