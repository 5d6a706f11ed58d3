"""Plans for the drawing tests, made from `{step: {the steps whose output it needs}}`."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from argyll.model.plan import Edges, Plan
from argyll.model.step import Attribute, Http, Step


def _plan_of(wiring: Mapping[str, Collection[str]], goals: tuple[str, ...] = (), **fields: Any) -> Plan:
    steps = {
        step: Step(
            id=step,
            name=step,
            type="sync",
            attributes={f"{p}_out": Attribute("required") for p in sorted(parents)}
            | {f"{step}_out": Attribute("output")},
            http=Http("http://localhost/"),
        )
        for step, parents in wiring.items()
    }
    attributes = {
        f"{step}_out": Edges((step,), tuple(sorted(c for c, parents in wiring.items() if step in parents)))
        for step in wiring
    }
    return Plan(goals=goals, required=fields.pop("required", ()), steps=steps, attributes=attributes, **fields)


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., Plan]:
    """Makes a plan in which every step `x` writes one attribute, `x_out`."""
    return _plan_of


@pytest.fixture(scope="session")
def order_plan() -> Plan:
    """Seven steps with joins, a crossing and a rail that is taken over."""
    return _plan_of(
        {
            "user-resolver": set(),
            "inventory-resolver": set(),
            "order-creator": {"user-resolver", "inventory-resolver"},
            "stock-reservation": {"order-creator"},
            "payment-processor": {"order-creator", "stock-reservation"},
            "fraud-check": {"user-resolver", "order-creator"},
            "notification-sender": {"payment-processor", "user-resolver", "fraud-check"},
        },
        goals=("notification-sender",),
    )
