"""Worker processes for scripts that need more than the event loop can spare. Started when first needed."""

import asyncio
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

from argyll.engine.evaluator import Answer, Evaluation, evaluate
from argyll.scripts import DEFAULT_LIMITS, WORKER_RECURSION_LIMIT, Limits, Scripts, configure_process

DIED = "the script's worker process died; the script may need too much memory"

_scripts: Scripts | None = None


def _prepare() -> None:
    """Once in each worker: it ends with its node, however that ends, and leaves the terminal's ^C to it."""
    global _scripts
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_process(WORKER_RECURSION_LIMIT)
    _scripts = Scripts()
    node = parent_process()
    assert node is not None

    def end_with_node(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=end_with_node, args=(node.sentinel,), daemon=True).start()


def _evaluate(evaluation: Evaluation, limits: Limits) -> Answer:
    assert _scripts is not None
    return evaluate(_scripts, evaluation, limits)


class Workers:
    """Evaluates with full limits outside of this process."""

    def __init__(self, processes: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self._pool = _Pool(processes, limits)
        # A broken pool fails every evaluation in it. Those try again here, one at a time, so that only the one that
        # kills its process pays for it.
        self._suspects = _Pool(1, limits)
        self._one_suspect = asyncio.Lock()

    async def evaluate(self, evaluation: Evaluation) -> Answer:
        """The answer of one evaluation. A worker that dies (a script can exhaust its memory) fails that script."""
        answer = await self._pool.evaluate(evaluation)
        if answer is not None:
            return answer
        async with self._one_suspect:
            return await self._suspects.evaluate(evaluation) or Answer(error=DIED)

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()
        self._suspects.close()


class _Pool:
    """Processes that are replaced when one of them dies."""

    def __init__(self, processes: int, limits: Limits) -> None:
        self._processes = processes
        self._limits = limits
        self._executor: ProcessPoolExecutor | None = None

    async def evaluate(self, evaluation: Evaluation) -> Answer | None:
        """The answer, or None when a process died meanwhile."""
        if self._executor is None:
            # Spawned, not forked: a forked child would share this process's log and sockets.
            self._executor = ProcessPoolExecutor(self._processes, get_context("spawn"), _prepare)
        executor = self._executor
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, _evaluate, evaluation, self._limits)
        except BrokenProcessPool:
            executor.shutdown(wait=False, cancel_futures=True)
            if self._executor is executor:
                self._executor = None
            return None

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
