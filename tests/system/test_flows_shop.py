"""The example shop as a user meets it: its services, `argyll sync` of its step files, and the orders it can get."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .process import Argyll, value

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).parents[2] / "examples"
AUTHORED = "127.0.0.1:9710"


def shop_module() -> Any:
    spec = importlib.util.spec_from_file_location("argyll_system_shop", EXAMPLES / "services" / "shop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def shop(argyll: Argyll, tmp_path: Path) -> AsyncIterator[Any]:
    """The shop's data, with its services running and its steps synced into the node."""
    module = shop_module()
    data = module.Shop()
    service = module.build_service(shop=data, latency_s=0, payment_s=0)
    url = await service.start(port=0)
    steps = tmp_path / "steps"
    steps.mkdir()
    for file in (EXAMPLES / "steps").glob("*.yaml"):
        text = file.read_text().replace(AUTHORED, url.removeprefix("http://").rstrip("/"))
        (steps / file.name).write_text(text)
    syncing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "argyll", "sync", "--dir", steps, "--owner", "shop", "--engine", argyll.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await syncing.communicate()
    assert syncing.returncode == 0, told.decode()
    yield data
    await service.stop()


async def order(argyll: Argyll, customer: str, *lines: tuple[str, int], **init: Any) -> Any:
    """Order something; gives the flow's state at its end."""
    items = [{"sku": sku, "quantity": quantity} for sku, quantity in lines]
    await argyll.start_flow("order", "complete-order", customer_id=customer, items=[items], **init)
    return await argyll.ended("order")


def statuses(state: Any) -> dict[str, str]:
    return {step_id: execution["status"] for step_id, execution in state["executions"].items()}


async def test_the_steps_are_in_the_catalog_as_one_commit(argyll: Argyll, shop: Any):
    _, catalog = await argyll.call("GET", "/engine/step")
    assert catalog["count"] == len(list((EXAMPLES / "steps").glob("*.yaml")))
    _, history = await argyll.call("GET", "/engine/catalog/events")
    assert [event["type"] for event in history["events"]].count("catalog_applied") == 1
    _, plan = await argyll.call("POST", "/engine/plan", {"goals": ["complete-order"]})
    assert plan["required"] == ["customer_id", "items"]


async def test_an_order_of_a_gold_customer(argyll: Argyll, shop: Any):
    state = await order(argyll, "c-1", ("kilt", 1), ("sock-argyle", 2))
    assert state["status"] == "completed", state.get("error")
    done = value(state, "order")
    assert (done["id"], done["customer"], done["pieces"], done["total"]) == ("order", "Ada Alba", 3, 23_760)
    assert sorted(done["notices"]) == ["discounted", "risk 10"]
    assert shop.payments == {done["payment"]: 23_760}
    assert shop.stock["kilt"] == 199
    # The bank was busy at first; the receipt went out with or without the tracking number.
    (payment,) = state["executions"]["process-payment"]["work_items"].values()
    assert payment["retry_count"] == 1
    assert done["receipt"].startswith("mail-")


async def test_a_customer_without_mail_gets_no_receipt_and_the_order_all_the_same(argyll: Argyll, shop: Any):
    state = await order(argyll, "c-3", ("shortbread", 4), coupon="WELCOME5")
    assert state["status"] == "completed", state.get("error")
    assert statuses(state)["send-receipt"] == "skipped"
    assert (value(state, "order")["receipt"], value(state, "order")["total"]) == ("none sent", 2_280)


async def test_a_blocked_customer_pays_nothing(argyll: Argyll, shop: Any):
    state = await order(argyll, "c-4", ("kilt", 1))
    assert (state["status"], statuses(state)["process-payment"]) == ("failed", "skipped")
    assert state["executions"]["process-payment"]["error"] == "required match did not match"
    assert shop.payments == {}


async def test_a_line_that_cannot_be_had_releases_the_others(argyll: Argyll, shop: Any):
    state = await order(argyll, "c-1", ("kilt", 2), ("unicorn", 1), ("shortbread", 1))
    assert state["status"] == "failed"
    assert "no product unicorn" in state["error"]
    assert shop.reservations == {}
    assert (shop.stock["kilt"], shop.stock["shortbread"]) == (200, 5_000)
    ends = sorted(work["status"] for work in state["executions"]["check-inventory"]["work_items"].values())
    assert ends == ["compensated", "compensated", "failed"]


async def test_a_payment_that_the_bank_declines_fails_the_order(argyll: Argyll, shop: Any):
    state = await order(argyll, "c-1", ("bagpipe", 2), ("kilt", 3))
    assert state["status"] == "failed"
    assert "the bank declined" in state["error"]
    assert shop.payments == {}
    assert "ship-order" not in {s for s, status in statuses(state).items() if status == "completed"}


async def test_an_unknown_customer_ends_it_early(argyll: Argyll, shop: Any):
    state = await order(argyll, "c-9", ("kilt", 1))
    assert "no customer c-9" in state["error"]
    assert statuses(state)["complete-order"] == "failed"
