"""The services behind the example shop, all in one process.

    python -m examples.services.shop --port 9710

Data is in memory and the same at every start. Each function is a step: its parameters are the inputs the step file in
`examples/steps` declares, what it returns are the outputs. Nothing here knows which step runs before or after it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from dataclasses import asdict, dataclass, field

from argyll.client.service import AsyncContext, Context, StepError, StepService

HOST = "127.0.0.1"
PORT = 9710

LATENCY_S = 0.02
"""How long an ordinary answer takes."""

PAYMENT_S = 0.2
"""How long the bank takes to settle a payment."""

BANK_LIMIT = 200_000
"""The bank declines payments above this many cents."""

HEAVY_PARCEL_G = 20_000
"""A carrier takes no parcel heavier than this."""


@dataclass(frozen=True)
class Customer:
    """A customer; `orders` counts the earlier ones."""

    id: str
    name: str
    tier: str
    orders: int
    blocked: bool = False
    email: str | None = None


@dataclass(frozen=True)
class Product:
    """What is for sale. The price is in cents."""

    sku: str
    unit_price: int
    weight_g: int


@dataclass(frozen=True)
class Line:
    """One line of an order."""

    sku: str
    quantity: int


@dataclass(frozen=True)
class Reservation:
    """Goods put aside for an order line. The price is in cents."""

    reservation_id: str
    unit_price: int
    weight_g: int


@dataclass(frozen=True)
class StockedLine:
    """One element of `stock`: the engine puts the element of `items` beside what the step answered for it."""

    items: Line
    stock: Reservation


CUSTOMERS = {
    customer.id: customer
    for customer in (
        Customer("c-1", "Ada Alba", "gold", orders=12, email="ada@example.com"),
        Customer("c-2", "Ben Bute", "standard", orders=1, email="ben@example.com"),
        Customer("c-3", "Cat Cowal", "standard", orders=7),
        Customer("c-4", "Dan Dunoon", "standard", orders=0, blocked=True, email="dan@example.com"),
    )
}

PERMISSIONS = {
    "c-1": ["orders:create", "orders:cancel"],
    "c-2": ["orders:create"],
    "c-3": ["orders:create"],
    "c-4": ["orders:create"],
}

PRODUCTS = {
    product.sku: product
    for product in (
        Product("sock-argyle", 1_200, 80),
        Product("kilt", 24_000, 900),
        Product("shortbread", 600, 350),
        Product("bagpipe", 89_900, 4_500),
    )
}

STOCK = {"sock-argyle": 5_000, "kilt": 200, "shortbread": 5_000, "bagpipe": 2}


@dataclass
class Shop:
    """What changes while the shop is open."""

    stock: dict[str, int] = field(default_factory=lambda: dict(STOCK))
    reservations: dict[str, Line] = field(default_factory=dict[str, Line])
    payments: dict[str, float] = field(default_factory=dict[str, float])
    refunded: set[str] = field(default_factory=set[str])
    turned_away: set[str] = field(default_factory=set[str])
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def number(self, kind: str) -> str:
        """The next document number: `pay-00007`."""
        return f"{kind}-{next(self.numbers):05d}"


def build_service(
    *, shop: Shop | None = None, latency_s: float = LATENCY_S, payment_s: float = PAYMENT_S
) -> StepService:
    """The shop as one step service, with its own data unless some is given."""
    service = StepService("shop")
    shop = shop or Shop()
    add_customer_steps(service, latency_s)
    add_stock_steps(service, shop, latency_s)
    add_payment_steps(service, shop, latency_s, payment_s)
    add_shipping_steps(service, shop, latency_s)
    return service


def add_customer_steps(service: StepService, latency_s: float) -> None:
    """Who the customer is, and what they may do."""

    @service.step(id="lookup-customer", method="GET", path="/customers/{customer_id}", outputs={"customer": dict})
    async def lookup_customer(customer_id: str) -> dict[str, object]:
        """Look up customer"""
        await asyncio.sleep(latency_s)
        customer = CUSTOMERS.get(customer_id)
        if customer is None:
            # 4xx is final: asking again would not find the customer either.
            raise StepError(404, f"no customer {customer_id}: there are {', '.join(CUSTOMERS)}")
        return {"customer": {name: value for name, value in asdict(customer).items() if value is not None}}

    @service.step(
        id="load-permissions", method="GET", path="/users/{user_id}/permissions", outputs={"permissions": list}
    )
    async def load_permissions(user_id: str) -> dict[str, list[str]]:
        """Load permissions"""
        await asyncio.sleep(latency_s)
        return {"permissions": PERMISSIONS.get(user_id, [])}


def add_stock_steps(service: StepService, shop: Shop, latency_s: float) -> None:
    """What is on the shelves."""

    async def release(inputs: dict[str, object], outputs: dict[str, dict[str, str]]) -> None:
        del inputs
        await asyncio.sleep(latency_s)
        # pop: releasing twice must not put the goods back twice.
        line = shop.reservations.pop(outputs["stock"]["reservation_id"], None)
        if line is not None:
            shop.stock[line.sku] += line.quantity

    @service.step(
        id="check-inventory",
        path="/inventory/reservations",
        for_each=["items"],
        outputs={"stock": Reservation},
        compensate=release,
        compensate_path="/inventory/reservations/release",
    )
    async def check_inventory(items: Line) -> dict[str, Reservation]:
        """Check and reserve inventory"""
        await asyncio.sleep(latency_s)
        product = PRODUCTS.get(items.sku)
        if product is None:
            raise StepError(404, f"no product {items.sku}: there are {', '.join(PRODUCTS)}")
        if items.quantity < 1:
            raise StepError(422, f"{items.quantity} of {items.sku}: order at least one")
        if shop.stock[items.sku] < items.quantity:
            raise StepError(409, f"{items.quantity} of {items.sku} wanted, {shop.stock[items.sku]} in stock")
        shop.stock[items.sku] -= items.quantity
        reservation = Reservation(shop.number("res"), product.unit_price, product.weight_g)
        shop.reservations[reservation.reservation_id] = items
        return {"stock": reservation}


def add_payment_steps(service: StepService, shop: Shop, latency_s: float, payment_s: float) -> None:
    """The bank: slow, so it answers by webhook; and a little unreliable."""

    async def bank_takes_calls(
        ctx: AsyncContext, order_id: str, customer: Customer, total: float, risk: float, authorized: bool
    ) -> None:
        del ctx, customer, total, risk, authorized
        await asyncio.sleep(latency_s)
        if order_id not in shop.turned_away:
            shop.turned_away.add(order_id)
            # 5xx means "not now": the engine calls again after its backoff.
            raise StepError(503, "the bank is busy, try again")

    async def refund(inputs: dict[str, object], outputs: dict[str, str]) -> None:
        del inputs
        await asyncio.sleep(latency_s)
        shop.refunded.add(outputs["payment_id"])

    @service.step(
        id="process-payment",
        path="/payments",
        asynchronous=True,
        attributes={"order_id": {"role": "meta", "key": "flow_id"}},
        outputs={"payment_id": str},
        accept=bank_takes_calls,
        compensate=refund,
        compensate_path="/payments/{payment_id}/refund",
    )
    async def process_payment(
        ctx: AsyncContext, order_id: str, customer: Customer, total: float, risk: float, authorized: bool
    ) -> None:
        """Process payment"""
        del order_id, risk, authorized
        await asyncio.sleep(payment_s)
        if total > BANK_LIMIT:
            await ctx.fail(
                f"the bank declined {total / 100:.2f} from {customer.name}: the limit is {BANK_LIMIT / 100:.2f}"
            )
            return
        payment_id = shop.number("pay")
        shop.payments[payment_id] = total
        await ctx.complete({"payment_id": payment_id})


def add_shipping_steps(service: StepService, shop: Shop, latency_s: float) -> None:
    """From the shelf to the door, and the mail that says so."""

    @service.step(id="pick-parcel", path="/parcels", outputs={"parcel_id": str, "weight_g": int})
    async def pick_parcel(parcel_lines: list[StockedLine]) -> dict[str, object]:
        """Pick parcel"""
        await asyncio.sleep(latency_s)
        weight_g = sum(line.stock.weight_g * line.items.quantity for line in parcel_lines)
        return {"parcel_id": shop.number("parcel"), "weight_g": weight_g}

    @service.step(id="book-carrier", path="/carriers/bookings", outputs={"tracking_code": str, "carrier": str})
    async def book_carrier(
        parcel_id: str, weight_g: float, recipient: Customer, service_level: str = "standard"
    ) -> dict[str, str]:
        """Book carrier"""
        del recipient
        await asyncio.sleep(latency_s)
        if weight_g > HEAVY_PARCEL_G:
            raise StepError(422, f"{parcel_id} weighs {weight_g:g} g, carriers take up to {HEAVY_PARCEL_G} g")
        carrier = "Swift & Sons" if service_level == "express" else "Steady Parcels"
        return {"tracking_code": shop.number("track"), "carrier": carrier}

    @service.step(id="send-receipt", path="/receipts", outputs={"receipt_id": str})
    async def send_receipt(
        ctx: Context, customer: Customer, total: float, payment_id: str, tracking_number: str = ""
    ) -> dict[str, str]:
        """Send receipt"""
        del ctx, total, payment_id, tracking_number
        await asyncio.sleep(latency_s)
        if customer.email is None:
            raise StepError(422, f"{customer.name} has no e-mail address")
        return {"receipt_id": shop.number("mail")}


def main() -> None:
    """Serves the shop until it is interrupted."""
    parser = argparse.ArgumentParser(prog="shop", description="The step services of the example shop.")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT, help=f"the step files say {PORT}")
    options = parser.parse_args()
    build_service().run(
        options.host, options.port, on_ready=lambda url: print(f"shop serves its steps on {url}", flush=True)
    )


if __name__ == "__main__":
    main()
