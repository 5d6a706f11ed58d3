"""Routes about steps: reading the catalog, changing one step, applying a whole set.

Whether a definition makes sense is said by the engine, with the codes of the editor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from msgspec.structs import replace

from argyll.engine.catalog_errors import WriteIgnored
from argyll.engine.catalog_ownership import Writer
from argyll.model import json
from argyll.model.wire import step_from_json, step_to_json
from argyll.server.answers import Answer, json_answer
from argyll.server.bodies import decode_body, read_body
from argyll.server.problems import BadRequest, NotFound

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.model.json import JSON
    from argyll.model.step import Step
    from argyll.server.config import ServerConfig


OVERRIDE = "Argyll-Override"
"""Header with the reason why a write goes to a step that another owner keeps."""
IGNORED = "Argyll-Ignored"
"""Header of an answer to a write that was left out."""


class CatalogRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config
        self._listed: tuple[int, bytes] = (-1, b"")

    async def catalog(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/catalog`."""
        view = await self._engine.view(("catalog",))
        return Answer(200, view[0] if view is not None else b'{"steps":{},"attributes":{}}')

    async def steps(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/step`: every step, by id; encoded once per change of the catalog."""
        catalog = self._engine.catalog
        if self._listed[0] != catalog.sequence:
            steps = [step_to_json(step) for _, step in sorted(catalog.steps.items())]
            self._listed = (catalog.sequence, json.encode({"steps": steps, "count": len(steps)}))
        return Answer(200, self._listed[1])

    async def step(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/step/{step}`."""
        (step_id,) = parameters
        step = self._engine.catalog.steps.get(step_id)
        if step is None:
            raise NotFound(f"step not found: {step_id}")
        return json_answer(step_to_json(step))

    async def register(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/step`."""
        definition = await self._definition(request)
        try:
            step = await self._engine.register_step(definition, _writer(request))
        except WriteIgnored as ignored:
            return _left_alone(ignored)
        return json_answer({"step": _echo(definition, step), "message": "Step registered"}, 201)

    async def update(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`PUT /engine/step/{step}`."""
        definition = await self._definition(request)
        try:
            step = await self._engine.update_step(parameters[0], definition, _writer(request))
        except WriteIgnored as ignored:
            return _left_alone(ignored)
        return json_answer({"step": _echo(definition, step), "message": "Step updated"})

    async def unregister(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`DELETE /engine/step/{step}`."""
        try:
            await self._engine.unregister_step(parameters[0], _writer(request))
        except WriteIgnored as ignored:
            return _left_alone(ignored)
        return json_answer({"message": "Step unregistered"})

    async def apply(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/catalog/apply`: a whole desired set, in one commit or not at all (decisions 14)."""
        config = self._config
        body = await read_body(request, "max_catalog_bytes", config.max_catalog_bytes, config.body_timeout_s)
        return json_answer(await self._engine.apply_catalog(_object(decode_body(body))))

    async def _definition(self, request: BaseRequest) -> dict[str, JSON]:
        config = self._config
        body = await read_body(request, "max_step_bytes", config.max_step_bytes, config.body_timeout_s)
        return _object(decode_body(body))


def _object(value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise BadRequest("the body must be one JSON object")
    return cast("dict[str, JSON]", value)


def _echo(definition: dict[str, JSON], step: Step) -> JSON:
    """What was sent in the nested spelling and with the normal id, without the defaults that the catalog fills in."""
    return step_to_json(replace(step_from_json(definition), id=step.id))


def _writer(request: BaseRequest) -> Writer:
    """Who writes: the caller's program, and its reason to override an owner. Raises `BadRequest` for an empty one."""
    override = request.headers.get(OVERRIDE)
    if override is not None and not override.strip():
        raise BadRequest(f"{OVERRIDE} is empty; say why the owner's will does not count")
    return Writer(request.headers.get("User-Agent", ""), (override or "").strip())


def _left_alone(ignored: WriteIgnored) -> Answer:
    """A write that the step's owner has ignored is no failure: services that register themselves go on."""
    answer: dict[str, JSON] = {"message": f"Step is owned by {ignored.owner}; left as it is", "owned_by": ignored.owner}
    if ignored.step is not None:
        answer["step"] = step_to_json(ignored.step)
    # Owners' names are free text, header values are not.
    return json_answer(answer, headers=[(IGNORED, f"owned-by={quote(ignored.owner)}")])
