"""`python -m benchmarks.gitops [STEPS...]`: how long a commit takes to the catalog, and what looking for one costs.

A real git remote, a real node in its own process, the agent in this one. Times are wall time from the end of the push
to the committed apply; memory is the peak of this process, sizes in ascending order.
"""

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from argyll.cli.sync import make_agent
from argyll.client import AsyncClient
from argyll.gitops import Agent, GitSource, Status
from benchmarks.processes import Child, free_port, python_module

SIZES = (1, 100, 10_000)
CHANGES = 7
"""One-file commits measured for each size."""
CHAIN = 10
"""Steps that depend on each other, one after the other."""


def step_file(number: int, timeout_ms: int) -> str:
    """A step that needs the output of the one before it in its chain."""
    needs = f"  out-{number - 1}: {{ role: required, type: string }}\n" if number % CHAIN else ""
    return (
        f"id: step-{number}\nname: Step {number}\ntype: sync\n"
        f"http:\n  endpoint: http://127.0.0.1:9710/s/{number}\n  timeout: {timeout_ms}\n"
        f"attributes:\n{needs}  out-{number}: {{ role: output, type: string }}\n"
    )


class Repository:
    """A repository that the agent follows as a remote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._git("init", "-q", "-b", "main")

    @property
    def url(self) -> str:
        """Where the agent fetches from."""
        return f"file://{self.path}"

    def commit(self, numbers: Sequence[int], timeout_ms: int) -> None:
        """Write these steps and commit."""
        for number in numbers:
            path = self.path / f"g{number // 100}" / f"step-{number}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(step_file(number, timeout_ms))
        self._git("add", "--all")
        self._git("-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-q", "-m", "change")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True)


async def timed(agent: Agent) -> tuple[float, Status]:
    """One reconcile: seconds, and where it ended."""
    began = time.perf_counter()
    status = await agent.reconcile(resync=False)
    return time.perf_counter() - began, status


async def measure(size: int, directory: Path) -> str:
    """One line of the table for a repository of `size` steps."""
    repository = Repository(directory / "repository")
    repository.commit(range(size), 1_000)
    port = free_port()
    command = [*python_module("argyll", "serve", "--port", str(port)), "--data-dir", str(directory / "data")]
    node = Child("node", command, port, directory / "node.log", {})
    try:
        await node.healthy()
        async with AsyncClient(f"http://127.0.0.1:{port}") as client:
            agent = make_agent(GitSource(repository.url, "main", cache=directory / "cache"), client, "bench")
            first_s, status = await timed(agent)
            if status.state != "synced":
                raise RuntimeError(f"{status.state}: {status.message}")
            changes: list[float] = []
            for change in range(CHANGES):
                repository.commit([size // 2], 2_000 + change)
                seconds, status = await timed(agent)
                assert status.changed
                changes.append(seconds)
            cpu = time.process_time()
            idle_s, _ = await timed(agent)
            idle_cpu_s = time.process_time() - cpu
    finally:
        node.stop()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = (
        first_s * 1e3,
        statistics.median(changes) * 1e3,
        max(changes) * 1e3,
        idle_s * 1e3,
        idle_cpu_s * 1e3,
        peak_mb,
    )
    return f"{size:>8,}" + "".join(f"{cell:14.1f}" for cell in cells)


def main(arguments: Sequence[str]) -> int:
    """Print one table."""
    sizes = [int(argument) for argument in arguments] or SIZES
    columns = ("first ms", "change p50 ms", "change max ms", "idle ms", "idle cpu ms", "peak MB")
    print(f"{'steps':>8}" + "".join(f"{column:>14}" for column in columns))
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="argyll-bench-") as directory:
            print(asyncio.run(measure(size, Path(directory))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
