"""Child processes of a benchmark: start on a free loopback port, wait until healthy, end by pid.

Every child gets a session of its own, so that what it starts can be ended with it. Nothing else is ever signalled.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.wire import LOOPBACK, HttpPool

START_LIMIT_S: Final = 20.0
STOP_LIMIT_S: Final = 10.0
HEALTH_POLL_S: Final = 0.005
LOG_TAIL_BYTES: Final = 4000


class ChildDidNotStart(Exception):
    """A child ended, or did not answer its health check in time; the message carries the end of its log."""


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


class Child:
    """A running child process that serves HTTP on `port`; its output goes to `log_file`."""

    def __init__(self, name: str, command: Sequence[str], port: int, log_file: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self._log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def healthy(self) -> None:
        """Wait until `GET /health` is answered 200. Raises ChildDidNotStart."""
        pool = HttpPool(self.port)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while (await pool.request("GET", "/health"))[0] != 200:
                    if self._process.poll() is not None:
                        raise ChildDidNotStart(
                            f"{self.name} ended with {self._process.returncode}:\n{self._log_tail()}"
                        )
                    await asyncio.sleep(HEALTH_POLL_S)
        except TimeoutError:
            why = f"{self.name} did not answer on port {self.port} in {START_LIMIT_S:.0f} s"
            raise ChildDidNotStart(f"{why}:\n{self._log_tail()}") from None
        finally:
            pool.close()

    def kill(self) -> None:
        """End the child and its own children at once, as kill -9 does, and reap it."""
        # Until the child is reaped its pid is its own; afterwards the number may be somebody else's.
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask the child to end; after `STOP_LIMIT_S`, kill it."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not stop in {STOP_LIMIT_S:.0f} s and was killed", file=sys.stderr)
            self.kill()

    def _log_tail(self) -> str:
        return self._log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") or "(it wrote nothing)"
