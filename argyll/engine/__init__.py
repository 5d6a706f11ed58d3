"""How it is driven: a node that executes commands over the store and carries out what they cause."""

from argyll.engine.config import ConfigError, EngineConfig
from argyll.engine.engine import Engine, tune_garbage_collection

__all__ = ["ConfigError", "Engine", "EngineConfig", "tune_garbage_collection"]
