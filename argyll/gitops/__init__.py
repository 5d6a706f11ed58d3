"""From a repository of step files to the engine's catalog: sources, and the loop that keeps the two equal."""

from argyll.gitops.agent import Agent, Difference, Pace, PruneGuard, Status
from argyll.gitops.directory import DirectorySource
from argyll.gitops.repository import GitFailed, GitMissing, GitSource, NotARepository, UnknownPath, UnknownRef
from argyll.gitops.source import Snapshot, Source, SourceError, SourceTooLarge

__all__ = [
    "Agent",
    "Difference",
    "DirectorySource",
    "GitFailed",
    "GitMissing",
    "GitSource",
    "NotARepository",
    "Pace",
    "PruneGuard",
    "Snapshot",
    "Source",
    "SourceError",
    "SourceTooLarge",
    "Status",
    "UnknownPath",
    "UnknownRef",
]
