"""Argyll: a declarative, goal-driven workflow orchestrator."""

__version__ = "0.1.0"
