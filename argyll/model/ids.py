"""Identifiers of steps and flows, and how text becomes one (execution.md 1.1)."""

import re

_DELETED = re.compile(r"[^a-z0-9_.\-+ ]")

CHILD_SEPARATOR = ":"
"""Never part of an id that a user chose, so an id that holds it is a child flow's."""


def sanitize_id(text: str) -> str:
    """Lower case, only `a-z 0-9 _ . - +`, spaces as `-`, no `-` at either end. Idempotent; may be empty."""
    return _DELETED.sub("", text.lower()).replace(" ", "-").strip("-")


def child_flow_id(parent_flow: str, parent_step: str, token: str) -> str:
    """The id of the flow that a work item of a flow step starts."""
    return CHILD_SEPARATOR.join((parent_flow, parent_step, token))


def is_child_flow_id(flow_id: str) -> bool:
    """Whether a flow was started by a flow step."""
    return CHILD_SEPARATOR in flow_id
