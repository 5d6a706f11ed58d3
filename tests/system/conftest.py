"""Real nodes and step services for system tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from .process import Argyll, Stub, stub_services


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Step services that answer as told."""
    async with stub_services() as services:
        yield services


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[Argyll]:
    """A node that has not been started yet; it is ended with the test."""
    async with aiohttp.ClientSession() as session:
        node = Argyll(tmp_path / "data", session)
        yield node
        await node.kill()


@pytest.fixture
async def argyll(stopped: Argyll) -> Argyll:
    """A running node."""
    await stopped.start()
    return stopped
