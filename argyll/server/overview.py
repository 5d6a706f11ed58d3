"""`GET /engine`: the catalog with every node's view of its steps' health, and where both histories stood.

REST and WebSocket show the same text; the positions let a subscriber go on from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from argyll.model import json
from argyll.model.views import catalog_view

if TYPE_CHECKING:
    from argyll.engine import Engine
    from argyll.model.json import JSON
    from argyll.store import Aggregate


def engine_overview(engine: Engine) -> tuple[bytes, dict[Aggregate, int]]:
    """The overview as JSON text, and the next sequences of catalog and cluster that it shows."""
    overview: dict[str, JSON] = catalog_view(engine.catalog)
    health: dict[str, JSON] = engine.health_view()
    # Moments of one format compare as text.
    latest = max(overview.get("last_updated", ""), health.get("last_updated", ""))
    overview["health"] = health["nodes"]
    if latest:
        overview["last_updated"] = latest
    boundaries: dict[Aggregate, int] = {
        ("catalog",): engine.catalog.sequence,
        ("cluster",): engine.cluster.sequence,
    }
    return json.encode(overview), boundaries
