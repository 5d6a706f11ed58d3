"""The example shop: its step files, its services, and that the two agree."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml
from aiohttp import web

from argyll.model.wire import step_from_json
from argyll.planning import make_plan
from argyll.planning.planner import init_from
from argyll.scripts import Scripts

EXAMPLES = Path(__file__).parents[3] / "examples"
STEP_FILES = sorted((EXAMPLES / "steps").glob("*.yaml"))
STEPS = {path.stem: yaml.safe_load(path.read_text()) for path in STEP_FILES}
CHILD_STEPS = {"load-permissions", "check-permission", "pick-parcel", "book-carrier"}


def load_shop():
    """Standalone, as a program that finds the file anywhere would."""
    spec = importlib.util.spec_from_file_location("argyll_example_shop", EXAMPLES / "services" / "shop.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


shop = load_shop()
SERVED = {d["id"]: d for d in shop.build_service().definitions(f"http://127.0.0.1:{shop.PORT}")}
HTTP_STEPS = {id_: step for id_, step in STEPS.items() if "http" in step}


def inputs(step):
    return {n: a for n, a in step["attributes"].items() if a["role"] in ("required", "optional")}


def outputs(step):
    return {n: a for n, a in step["attributes"].items() if a["role"] == "output"}


def inner(name, attribute):
    return attribute.get("mapping", {}).get("name", name)


def test_there_is_a_step_in_every_file_named_after_it():
    assert {path.stem: STEPS[path.stem]["id"] for path in STEP_FILES} == {name: name for name in STEPS}
    assert len(STEPS) == 14


def test_the_services_are_exactly_the_http_steps():
    assert set(SERVED) == set(HTTP_STEPS)


@pytest.mark.parametrize("step_id", sorted(HTTP_STEPS))
def test_a_step_file_and_its_service_agree(step_id):
    wanted, served = HTTP_STEPS[step_id], SERVED[step_id]
    assert wanted["type"] == served["type"]
    assert wanted["name"] == served["name"]
    for key in ("endpoint", "method", "compensate", "health_check"):
        assert wanted["http"].get(key) == served["http"].get(key), key
    assert wanted["attributes"].keys() == served["attributes"].keys()
    for name, attribute in wanted["attributes"].items():
        offered = served["attributes"][name]
        assert (attribute["role"], attribute.get("for_each")) == (offered["role"], offered.get("for_each")), name
        if "type" in attribute:
            assert attribute["type"] == offered["type"], name
        assert attribute.get("default", "") == offered.get("default", ""), name


def test_providers_and_consumers_agree_on_types():
    provided = {}
    for step in STEPS.values():
        for name, attribute in outputs(step).items():
            provided.setdefault(name, set()).add(attribute["type"])
    for step in STEPS.values():
        for name, attribute in inputs(step).items():
            if name in provided and attribute.get("collect") != "all":
                assert provided[name] == {attribute["type"]}, (step["id"], name)


def test_nothing_but_the_customer_and_the_goods_has_to_be_brought():
    available, todo = {"customer_id", "items"}, {id_ for id_ in STEPS if id_ not in CHILD_STEPS}
    while ready := {
        id_ for id_ in todo if {n for n, a in inputs(STEPS[id_]).items() if a["role"] == "required"} <= available
    }:
        todo -= ready
        available |= {name for id_ in ready for name in outputs(STEPS[id_])}
    assert todo == set()


@pytest.mark.parametrize("step_id", sorted(id_ for id_, step in STEPS.items() if step["type"] == "flow"))
def test_a_flow_step_brings_its_child_what_it_needs_and_gets_what_it_maps(step_id):
    parent = STEPS[step_id]
    available = {inner(name, a) for name, a in inputs(parent).items()}
    children, todo = {}, list(parent["flow"]["goals"])
    while todo:
        child = STEPS[todo.pop()]
        children[child["id"]] = child
        for name in inputs(child).keys() - available:
            todo += [id_ for id_, step in STEPS.items() if name in outputs(step) and id_ not in children]
    produced = {name for child in children.values() for name in outputs(child)}
    needed = {n for child in children.values() for n, a in inputs(child).items() if a["role"] == "required"}
    assert needed <= available | produced
    assert {inner(name, a) for name, a in outputs(parent).items()} <= produced
    assert children.keys() <= CHILD_STEPS


@pytest.fixture
async def counter():
    """The shop without its latencies, as somebody who calls its steps by id."""
    service = shop.build_service(latency_s=0, payment_s=0)
    base_url = await service.start(port=0)
    async with aiohttp.ClientSession() as session:

        async def call(path, body=None, *, method="POST", **headers):
            async with session.request(method, base_url + path, json=body, headers=headers) as response:
                return response.status, await response.json(content_type=None) if await response.read() else None

        yield call
    await service.stop()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/customers/c-1", 200),
        ("/customers/nobody", 404),
        ("/users/c-1/permissions", 200),
        ("/users/x/permissions", 200),
    ],
)
async def test_customers_are_looked_up(counter, path, status):
    assert (await counter(path, method="GET"))[0] == status


async def test_who_has_no_mail_address_has_none(counter):
    _, found = await counter("/customers/c-3", method="GET")
    assert "email" not in found["customer"]


async def test_goods_are_put_aside_and_put_back(counter):
    reserve, release = "/inventory/reservations", "/inventory/reservations/release"
    two = {"items": {"sku": "bagpipe", "quantity": 2}}
    status, reserved = await counter(reserve, two)
    assert (status, reserved["stock"]["unit_price"]) == (200, 89_900)
    assert (await counter(reserve, two))[0] == 409
    for _ in range(2):
        assert (await counter(release, {"input": two, "output": reserved}))[0] == 204
    assert (await counter(reserve, two))[0] == 200
    assert (await counter(reserve, two))[0] == 409


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ({"sku": "moon", "quantity": 1}, 404),
        ({"sku": "kilt", "quantity": 0}, 422),
        ({"sku": "kilt"}, 400),
        ("kilt", 400),
    ],
)
async def test_a_line_that_makes_no_sense_is_refused(counter, line, status):
    assert (await counter("/inventory/reservations", {"items": line}))[0] == status


@pytest.mark.parametrize(("total", "outcome"), [(100, "payment_id"), (300_000, "detail")])
async def test_a_payment_is_turned_away_once_then_settled_by_webhook(counter, serve, total, outcome):
    settled = asyncio.get_running_loop().create_future()

    async def receive(request):
        settled.set_result(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", receive)
    headers = {"Argyll-Receipt-Token": "t", "Argyll-Webhook-URL": await serve(app) + "/hook"}
    customer = {"id": "c-1", "name": "Ada", "tier": "gold", "orders": 12}
    body = {"order_id": "f-1", "customer": customer, "total": total, "risk": 10, "authorized": True}
    assert [(await counter("/payments", body, **headers))[0] for _ in range(3)] == [503, 202, 202]
    assert outcome in await settled


async def test_a_parcel_is_picked_booked_and_announced(counter):
    customer = {"id": "c-1", "name": "Ada", "tier": "gold", "orders": 12, "email": "ada@example.com"}
    stock = {"reservation_id": "r", "unit_price": 1200, "weight_g": 80}
    status, parcel = await counter(
        "/parcels", {"parcel_lines": [{"items": {"sku": "s", "quantity": 3}, "stock": stock}]}
    )
    assert (status, parcel["weight_g"]) == (200, 240)
    status, booking = await counter("/carriers/bookings", parcel | {"recipient": customer, "service_level": "express"})
    assert (status, booking["carrier"]) == (200, "Swift & Sons")
    assert (await counter("/carriers/bookings", parcel | {"recipient": customer, "weight_g": 30_000}))[0] == 422
    receipt = {"customer": customer, "total": 3600, "payment_id": "p"}
    assert (await counter("/receipts", receipt))[0] == 200


def test_every_endpoint_is_on_the_port_the_shop_takes_by_default():
    assert {urlsplit(step["http"]["endpoint"]).port for step in HTTP_STEPS.values()} == {shop.PORT}


class Catalog:
    """What planning needs of one: the step files."""

    def __init__(self):
        self.steps = {id_: step_from_json(step, native=True) for id_, step in STEPS.items()}
        self.providers = {}
        for id_, step in STEPS.items():
            for name in outputs(step):
                self.providers.setdefault(name, set()).add(id_)


def scripts_of(step):
    names = [inner(name, a) for name, a in step["attributes"].items() if a["role"] != "output"]
    places = [(step.get("script"), names), (step.get("predicate"), names)]
    places += [(attribute.get("match"), ["value"]) for attribute in step["attributes"].values()]
    return [(script, names) for script, names in places if script]


@pytest.mark.parametrize("step_id", sorted(STEPS))
def test_every_script_compiles(step_id):
    for script, names in scripts_of(STEPS[step_id]):
        Scripts().compile(script["language"], script["script"], names)


ADA = {"id": "c-1", "name": "Ada", "tier": "gold", "orders": 12}
BLOCKED = {"id": "c-4", "name": "Dan", "tier": "standard", "orders": 0, "blocked": True}
KILT = {
    "items": {"sku": "kilt", "quantity": 2},
    "stock": {"reservation_id": "r", "unit_price": 24_000, "weight_g": 900},
}


@pytest.mark.parametrize(
    ("step_id", "given_inputs", "result"),
    [
        ("price-order", {"items": [KILT["items"]], "stock": [KILT]}, {"subtotal": 48_000, "item_count": 2}),
        (
            "calculate-discount",
            {"customer": ADA, "subtotal": 48_000, "coupon": "WELCOME5", "gold_percent": 10},
            {"discount": 7_200, "total": 40_800, "notices": "discounted"},
        ),
        (
            "calculate-discount",
            {"customer": BLOCKED, "subtotal": 48_000, "coupon": "", "gold_percent": 10},
            {"discount": 0, "total": 48_000, "notices": "no discount"},
        ),
        ("fraud-check", {"customer": ADA, "total": 40_800}, {"risk": 10, "notices": "risk 10"}),
        ("fraud-check", {"customer": BLOCKED, "total": 100}, {"risk": 100, "notices": "risk 100"}),
        ("check-permission", {"permissions": ["orders:create"], "needed": "orders:create"}, {"allowed": True}),
        ("check-permission", {"permissions": [], "needed": "orders:create"}, {"allowed": False}),
    ],
)
def test_what_the_scripts_compute(step_id, given_inputs, result):
    ((script, names),) = scripts_of(STEPS[step_id])
    assert Scripts().compile(script["language"], script["script"], names).outputs(given_inputs) == result


@pytest.mark.parametrize(
    ("goal", "steps"),
    [
        ("complete-order", set(STEPS) - CHILD_STEPS),
        ("calculate-discount", {"lookup-customer", "check-inventory", "price-order", "calculate-discount"}),
    ],
)
def test_a_goal_needs_a_customer_and_goods_and_runs_what_the_readme_says(goal, steps):
    plan = make_plan(Catalog(), [goal], init_from({"customer_id": ["c-1"], "items": [[]]}), lambda script, value: True)
    assert set(plan.steps) == steps
    assert list(plan.required) == []
