"""Worker processes for scripts that need more than the event loop can spare. Started when first needed."""

import asyncio
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from argyll.engine.evaluator import Answer, Evaluation, evaluate
from argyll.scripts import DEFAULT_LIMITS, Scripts, configure_process

_scripts: Scripts | None = None


def _evaluate(evaluation: Evaluation) -> Answer:
    global _scripts
    if _scripts is None:
        configure_process()
        _scripts = Scripts()
    return evaluate(_scripts, evaluation, DEFAULT_LIMITS)


class Workers:
    """Evaluates with full limits outside of this process."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    async def evaluate(self, evaluation: Evaluation) -> Answer:
        """The answer of one evaluation. A worker that dies (a script can exhaust its memory) fails that script."""
        loop = asyncio.get_running_loop()
        if self._pool is None:
            # Spawned, not forked: a forked child would share this process's log and sockets.
            self._pool = ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"))
        pool = self._pool
        try:
            return await loop.run_in_executor(pool, _evaluate, evaluation)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            pool.shutdown(wait=False, cancel_futures=True)
            return Answer(error="the script's worker process died; the script may need too much memory")

    def close(self) -> None:
        """End the worker processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
