"""From a repository of step files to the engine's catalog: sources, and the loop that keeps the two equal."""

from argyll.gitops.agent import Agent, Difference, Pace, PruneGuard, Rewrite, Status
from argyll.gitops.directory import DirectorySource
from argyll.gitops.drift import Drift
from argyll.gitops.repository import (
    GitDamaged,
    GitFailed,
    GitMissing,
    GitSource,
    NotARepository,
    UnknownPath,
    UnknownRef,
)
from argyll.gitops.source import Lineage, Snapshot, Source, SourceError, SourceTooLarge

__all__ = [
    "Agent",
    "Difference",
    "DirectorySource",
    "Drift",
    "GitDamaged",
    "GitFailed",
    "GitMissing",
    "GitSource",
    "Lineage",
    "NotARepository",
    "Pace",
    "PruneGuard",
    "Rewrite",
    "Snapshot",
    "Source",
    "SourceError",
    "SourceTooLarge",
    "Status",
    "UnknownPath",
    "UnknownRef",
]
