"""Children start, are waited for, and end by pid."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.processes import Child, ChildDidNotStart, free_port, python_module
from benchmarks.wire import NO_ANSWER, HttpPool


def service(log_file: Path) -> Child:
    port = free_port()
    return Child("service", python_module("benchmarks.stepservice", "--port", str(port)), port, log_file, {})


@pytest.mark.parametrize("end", [Child.stop, Child.kill])
async def test_a_healthy_child_answers_until_it_is_ended(tmp_path: Path, end: Callable[[Child], None]):
    child = service(tmp_path / "log")
    try:
        await child.healthy()
    finally:
        end(child)
    assert (await HttpPool(child.port).request("GET", "/health"))[0] == NO_ANSWER
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_a_child_that_ends_at_once_is_reported_with_what_it_said(tmp_path: Path):
    command = [sys.executable, "-c", "import sys; sys.exit('no such data directory')"]
    child = Child("engine", command, free_port(), tmp_path / "log", {})
    with pytest.raises(ChildDidNotStart, match=r"engine ended with 1:\nno such data directory"):
        await child.healthy()
    child.stop()
    child.kill()


async def test_a_child_gets_the_environment_it_is_given(tmp_path: Path):
    command = [sys.executable, "-c", "import os, sys; sys.exit(os.environ['GREETING'])"]
    child = Child("engine", command, free_port(), tmp_path / "log", {"GREETING": "hello"})
    with pytest.raises(ChildDidNotStart, match="hello"):
        await child.healthy()
