"""What may be said about definitions: one table of findings, used by the engine, the CLI, the sync agent and the editor.

Knows nothing of HTTP, LSP or event loops; YAML and JSON Schema libraries are loaded only when they are needed.
"""

from argyll.analysis.check import LocatedStep, Report, check_files, check_step, find_step_files
from argyll.analysis.diagnostics import Diagnostic, Related, Span, any_rejects
from argyll.analysis.project import Project, read_project
from argyll.analysis.render import render, summary
from argyll.analysis.wiring import check_against

__all__ = [
    "Diagnostic",
    "LocatedStep",
    "Project",
    "Related",
    "Report",
    "Span",
    "any_rejects",
    "check_against",
    "check_files",
    "check_step",
    "find_step_files",
    "read_project",
    "render",
    "summary",
]
