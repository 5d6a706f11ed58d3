"""Child processes of the demo: started, awaited by the line that says they are ready, ended by their pid."""

import asyncio
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 12.0
"""An engine drains for up to ten seconds before it ends; after this a child is killed."""

QUOTED_LINES = 15
"""How much of a log an error quotes."""


class ChildFailed(Exception):
    """A child ended, or said nothing in time, before it was ready. The text quotes the end of its log."""


@dataclass
class Child:
    """A running process; `match` is what its ready line held. Its own session keeps the terminal's ^C from it."""

    name: str
    process: asyncio.subprocess.Process
    match: re.Match[str]
    log: Path
    _drain: "asyncio.Task[None]"

    @classmethod
    async def start(cls, name: str, command: list[str], ready: str, log: Path) -> Self:
        """Start a process and wait for a line on its stdout that holds the pattern `ready`. Raises `ChildFailed`."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                match = await _ready_line(process, re.compile(ready), log)
        except TimeoutError:
            await _end(process)
            raise ChildFailed(f"{name} was not ready within {READY_TIMEOUT_S:g} s\n{_end_of(log)}") from None
        except BaseException:
            await _end(process)
            raise
        if match is None:
            await process.wait()
            raise ChildFailed(f"{name} ended with exit code {process.returncode}\n{_end_of(log)}")
        return cls(name, process, match, log, asyncio.create_task(_copy(process, log)))

    def kill(self) -> None:
        """End the process the hard way, as a power cut would. `stop` still has to be called."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def stop(self) -> None:
        """End the process and wait until it has ended."""
        await _end(self.process)
        self._drain.cancel()
        with suppress(asyncio.CancelledError):
            await self._drain


async def _ready_line(process: asyncio.subprocess.Process, ready: re.Pattern[str], log: Path) -> re.Match[str] | None:
    assert process.stdout is not None
    async for line in process.stdout:
        _append(log, line)
        match = ready.search(line.decode("utf-8", "replace"))
        if match is not None:
            return match
    return None


async def _copy(process: asyncio.subprocess.Process, log: Path) -> None:
    """Keep reading, so that the child never blocks on a full pipe."""
    assert process.stdout is not None
    while chunk := await process.stdout.read(65_536):
        _append(log, chunk)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _append(log: Path, chunk: bytes) -> None:
    with log.open("ab") as file:
        file.write(chunk)


def _end_of(log: Path) -> str:
    with log.open("r", encoding="utf-8", errors="replace") as file:
        return "".join(f"  | {line}" for line in deque(file, QUOTED_LINES)).rstrip()
