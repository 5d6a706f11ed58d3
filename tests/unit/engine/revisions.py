"""Requests as an agent makes them: a revision planned on what the engine has now."""

from collections.abc import Sequence
from typing import Any

from argyll.model.json import decode
from argyll.model.revision import apply_id, digest

from .conftest import Node, Values


async def index(node: Node) -> Any:
    return decode((await node.engine.index.read())[0])


async def revision(
    node: Node, name: str, *steps: Values, deletes: Sequence[str] = (), source: str = "pay", **options: Any
) -> dict[str, Any]:
    """A request for a source's revision, with the preconditions and the id that an agent would give it."""
    seen = await index(node)
    mark = seen["sources"].get(source, {"revision": None, "sequence": -1})
    touched = [one["id"] for one in steps] + list(deletes)
    plan = digest([list(steps), sorted(deletes)])
    request: dict[str, Any] = {
        "source": source,
        "revision": name,
        "previous": mark["revision"],
        "apply_id": apply_id(source, name, mark["revision"] or "", plan, mark["sequence"]),
        "steps": [{"step": one, "path": f"steps/{one['id']}.yaml", "line": 1} for one in steps],
        "deletes": list(deletes),
        "preconditions": {step_id: seen["steps"].get(step_id, {}).get("live_hash") for step_id in touched},
    }
    return request | options


async def applied(node: Node, name: str, *steps: Values, **options: Any) -> Any:
    """The answer to a revision."""
    return await node.engine.apply_catalog(await revision(node, name, *steps, **options))


async def events(node: Node, start: int = 0) -> list[str]:
    return [record.type for record in await node.engine.events(("catalog",), start)]


async def source_events(node: Node, source: str = "pay") -> list[str]:
    return [record.type for record in await node.engine.events(("source", source))]
