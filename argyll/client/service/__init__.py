"""The step-service SDK: write a function, get a step. See `StepService`."""

from argyll.client.service.context import AlreadyAnswered, AsyncContext, Context, DeliveryFailed
from argyll.client.service.definition import DefinitionError
from argyll.client.service.problem import StepError
from argyll.client.service.service import StepService

__all__ = [
    "AlreadyAnswered",
    "AsyncContext",
    "Context",
    "DefinitionError",
    "DeliveryFailed",
    "StepError",
    "StepService",
]
