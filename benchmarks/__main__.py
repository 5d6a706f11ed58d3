"""`python -m benchmarks`: starts the step service, the floor engines and the engine, runs the workloads, reports.

Everything runs on free loopback ports with a temporary directory of its own and is ended by pid, also when interrupted.
"""

import argparse
import asyncio
import gc
import os
import platform
import pstats
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from argyll.model.json import encode
from benchmarks.load import UnexpectedAnswer
from benchmarks.measure import memory_mb
from benchmarks.plot import svg
from benchmarks.processes import Child, ChildDidNotStart, free_port, python_module
from benchmarks.recovery import measure_recovery
from benchmarks.report import progress_line, render
from benchmarks.results import ENGINE, ENGINE_AIOHTTP_STEP, FLOOR, FLOOR_AIOHTTP_STEP, Measurement, Results
from benchmarks.suite import Pace, StepServiceClient, Suite, Target
from benchmarks.workloads import RECOVERY, WORKLOADS, step_definitions

RESULTS_DIR: Final = Path(__file__).parent / "results"
DEFAULT_ENGINE_COMMAND: Final = f"{shlex.quote(sys.executable)} -m argyll serve --port {{port}} --data-dir {{data_dir}}"
ENGINE_ENV: Final = {"LOG_LEVEL": "warn"}
PROFILE_ROWS: Final = 30
FULL_PACE: Final = Pace(rounds=3, round_s=1.0)
QUICK_PACE: Final = Pace(rounds=1, round_s=0.6)
RECOVERY_FLOWS: Final = 1000

# Each floor variant with its options and the workloads where what it varies matters.
FLOOR_VARIANTS: Final = {
    FLOOR: ("raw", "raw", frozenset({"w1", "w2", "w3", "w4"})),
    "floor aiohttp edge": ("aiohttp", "raw", frozenset({"w1"})),
    FLOOR_AIOHTTP_STEP: ("raw", "aiohttp", frozenset({"w2", "w4"})),
}

# The engine as it comes, and with the general step client, beside the floor that has the same.
ENGINE_VARIANTS: Final = {
    ENGINE: ({}, frozenset(WORKLOADS)),
    ENGINE_AIOHTTP_STEP: ({"ARGYLL_STEP_CLIENT": "aiohttp"}, frozenset({"w2", "w4"})),
}


class Options(msgspec.Struct, frozen=True):
    """What the command line asked for."""

    workloads: list[str]
    pace: Pace
    engine_command: str
    with_engine: bool
    profile: bool
    json_file: Path
    plot_file: Path


class Workshop:
    """Where children live: their temporary directory and their ends. `children` closes all of them."""

    def __init__(self, directory: Path, children: ExitStack, options: Options) -> None:
        self.directory = directory
        self.profile_file = directory / "engine.pstats"
        self._children = children
        self._options = options

    def start(self, name: str, command: Sequence[str], port: int, env: dict[str, str] | None = None) -> Child:
        child = Child(name, command, port, self.directory / f"{name.replace(' ', '-')}.log", env or {})
        self._children.callback(child.stop)
        return child

    def start_service(self) -> Child:
        port = free_port()
        return self.start("step service", python_module("benchmarks.stepservice", "--port", str(port)), port)

    def start_floor(self, name: str, step_port: int) -> Target:
        edge, step_client, workloads = FLOOR_VARIANTS[name]
        port = free_port()
        log_file = self.directory / f"{name.replace(' ', '-')}.wal"
        arguments = ["--port", port, "--step-port", step_port, "--log-file", log_file]
        arguments += ["--edge", edge, "--step-client", step_client]
        child = self.start(name, python_module("benchmarks.floor", *map(str, arguments)), port)
        return Target(name, child, workloads)

    def start_engine(self, data_dir: Path, port: int, env: dict[str, str], name: str = ENGINE) -> Child:
        template = shlex.split(self._options.engine_command)
        command = [word.replace("{port}", str(port)).replace("{data_dir}", str(data_dir)) for word in template]
        return self.start(name, command, port, {**ENGINE_ENV, **env})


async def run(options: Options) -> Results:
    """Everything the options ask for, with every child ended before this returns."""
    results = Results(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"), machine=_machine(), profiled=options.profile
    )
    with ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="argyll-bench-")))
        children = exits.enter_context(ExitStack())
        workshop = Workshop(directory, children, options)
        service = StepServiceClient(workshop.start_service())
        await service.child.healthy()
        await _run_workloads(options, workshop, service, results)
        if RECOVERY in options.workloads and options.with_engine:
            port = free_port()
            data_dir = directory / "recovery-data"
            print("w5 ...", flush=True)
            results.recovery = await measure_recovery(
                lambda: workshop.start_engine(data_dir, port, {}), service, RECOVERY_FLOWS
            )
    return results


async def _run_workloads(options: Options, workshop: Workshop, service: StepServiceClient, results: Results) -> None:
    workloads = [WORKLOADS[name] for name in options.workloads if name != RECOVERY]
    if not workloads:
        return
    targets: list[Target] = []
    if options.with_engine:
        for name, (variant_env, variant_workloads) in ENGINE_VARIANTS.items():
            env = {**variant_env}
            if options.profile and name == ENGINE:
                env["ARGYLL_PROFILE"] = str(workshop.profile_file)
            data_dir = workshop.directory / f"{name.replace(' ', '-')}-data"
            child = workshop.start_engine(data_dir, free_port(), env, name)
            targets.append(Target(name, child, variant_workloads))
    targets += [workshop.start_floor(name, service.child.port) for name in FLOOR_VARIANTS]
    for target in targets:
        await target.child.healthy()
        results.idle_memory_mb[target.name] = memory_mb(target.child.pid)
        await target.client.register(step_definitions(service.child.port))

    def report(one: Measurement) -> None:
        results.measurements.append(one)
        print(progress_line(one), flush=True)

    suite = Suite(service, options.pace, report)
    for workload in workloads:
        tested = [target for target in targets if workload.name in target.workloads]
        for in_flight in workload.in_flight:
            await suite.measure(workload, in_flight, tested)
    for target in targets:
        target.client.close()
        target.child.stop()
    if options.profile and options.with_engine:
        print_profile(workshop.profile_file)


def print_profile(profile_file: Path) -> None:
    """The engine's profile by own time, or why there is none."""
    if not profile_file.exists():
        print(f"The engine wrote no profile: it must support ARGYLL_PROFILE ({profile_file}).", file=sys.stderr)
        return
    pstats.Stats(str(profile_file)).sort_stats(pstats.SortKey.TIME).print_stats(PROFILE_ROWS)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; exits with a message when it makes no sense."""
    names = [*WORKLOADS, RECOVERY]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--quick", action="store_true", help="one short round each: a rough picture in 40 s")
    parser.add_argument("--only-floor", action="store_true", help="measure the floor engines alone")
    parser.add_argument("--profile", action="store_true", help="run the engine under cProfile and print its hot spots")
    parser.add_argument(
        "--engine-command", default=DEFAULT_ENGINE_COMMAND, help="with {port} and {data_dir} (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", default=RESULTS_DIR / "latest.json")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", default=RESULTS_DIR / "latest.svg")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.workloads if name not in names]
    if unknown:
        parser.error(f"unknown workload {unknown[0]}: choose from {', '.join(names)}")
    return Options(
        workloads=[name for name in names if not given.workloads or name in given.workloads],
        pace=QUICK_PACE if given.quick else FULL_PACE,
        engine_command=given.engine_command,
        with_engine=not given.only_floor,
        profile=given.profile,
        json_file=given.json,
        plot_file=given.plot,
    )


def write_results(results: Results, json_file: Path, plot_file: Path) -> None:
    """Keep the results as JSON and as a picture, making directories as needed."""
    for file, content in ((json_file, msgspec.json.format(encode(results))), (plot_file, svg(results).encode())):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


async def _run_until_told_to_stop(options: Options) -> Results:
    task = asyncio.ensure_future(run(options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def main() -> None:
    options = parse_options()
    gc.freeze()
    try:
        results = uvloop.run(_run_until_told_to_stop(options))
    except (ChildDidNotStart, UnexpectedAnswer, TimeoutError) as error:
        sys.exit(f"The benchmark stopped: {error or 'an engine made no progress in time'}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("Interrupted; every child was ended.")
    print(f"\n{render(results)}\n")
    write_results(results, options.json_file, options.plot_file)
    print(f"Written: {options.json_file} and {options.plot_file}")


if __name__ == "__main__":
    main()
