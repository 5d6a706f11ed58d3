"""What scenario tests stand on: nodes in this process, and real ones with step services."""

from tests.system.conftest import argyll, stopped, stub
from tests.unit.engine.conftest import node, open_node

__all__ = ["argyll", "node", "open_node", "stopped", "stub"]
