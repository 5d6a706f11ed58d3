"""A node killed while a revision is on its way: the catalog is one whole revision, and sending it again settles which."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import aiohttp

from argyll.model.revision import apply_id

from .process import Argyll

STEPS = 200
ROUNDS = 4


def content(name: str) -> list[dict[str, Any]]:
    return [
        {"id": f"s{n}", "name": name, "type": "sync", "http": {"endpoint": f"http://127.0.0.1:9/{n}"}, "attributes": {}}
        for n in range(STEPS)
    ]


async def request(node: Argyll, name: str) -> dict[str, Any]:
    _, index = await node.call("GET", "/engine/catalog/index")
    mark = index["sources"].get("pay", {"revision": None, "sequence": -1})
    steps = content(name)
    return {
        "source": "pay", "revision": name, "previous": mark["revision"], "steps": [{"step": one} for one in steps],
        "apply_id": apply_id("pay", name, mark["revision"] or "", name, mark["sequence"]),
        "preconditions": {one["id"]: index["steps"].get(one["id"], {}).get("live_hash") for one in steps},
    }  # fmt: skip


async def test_killed_at_any_moment_a_revision_is_whole_and_applied_once(argyll: Argyll):
    """gitops scenarios 33, 34"""
    entropy = random.Random(7)
    for number in range(ROUNDS):
        wanted = await request(argyll, f"c{number}")
        sending = asyncio.ensure_future(argyll.call("POST", "/engine/catalog/apply", wanted))
        # Some kills come before the commit, some after, some between the commit and its answer.
        await asyncio.wait([sending], timeout=entropy.random() / 20)
        await argyll.kill()
        with suppress(aiohttp.ClientError):
            await sending
        await argyll.start()
        _, catalog = await argyll.call("GET", "/engine/step")
        assert {one["name"] for one in catalog["steps"]} in ({f"c{number}"}, {f"c{number - 1}"}, set())
        status, answer = await argyll.call("POST", "/engine/catalog/apply", wanted)
        assert (status, answer["applied"]) == (200, True)
        _, outcome = await argyll.call("GET", f"/engine/catalog/apply/{wanted['apply_id']}")
        assert outcome["state"] == "committed"
    _, history = await argyll.call("GET", "/engine/catalog/events")
    synced = [event["data"]["revision"] for event in history["events"] if event["type"] == "source_synced"]
    assert synced == [f"c{number}" for number in range(ROUNDS)]
