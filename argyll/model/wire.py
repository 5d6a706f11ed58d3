"""Steps and plans as JSON, in the two spellings, and back.

`nested` is what the API emits (settings under the role's name, defaults as JSON text); `flat` is what people write
(settings beside `role`, native values). Both are read everywhere (decisions 1-3). Reading trusts that
`argyll.analysis` found no error of shape; on anything else it raises `Malformed`.
"""

from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from typing import cast

import msgspec
from msgspec import UNSET

from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import Attribute, AttributeType, Http, Mapping, Script, Step, WorkConfig

JSONObject = dict[str, JSON]


class Malformed(ValueError):
    """A definition that does not have the shape of a step."""


def step_from_json(value: JSON, *, native: bool = False) -> Step:
    """The step that a JSON object describes in either spelling.

    `native` says how a string under `default` or `value` is read: as itself (YAML) or as JSON text (the API).
    """
    try:
        return _step(value, native)
    except (KeyError, TypeError, AttributeError, ValueError, msgspec.MsgspecError) as error:
        raise Malformed(f"not a step: {error!r}") from error


def _step(value: JSONObject, native: bool) -> Step:
    attributes: JSONObject = value.get("attributes") or {}
    return Step(
        id=value["id"],
        name=value["name"],
        type=value["type"],
        attributes={name: _attribute(spec, native) for name, spec in sorted(attributes.items())},
        http=_http(value["http"]) if value.get("http") else None,
        script=_script(value.get("script")),
        flow_goals=tuple(value["flow"]["goals"]) if value.get("flow") else (),
        predicate=_script(value.get("predicate")),
        work=_work(value.get("work_config") or {}),
        labels=value.get("labels") or {},
        memoizable=value.get("memoizable") or False,
    )


def _attribute(spec: JSONObject, native: bool) -> Attribute:
    role: str = spec["role"]
    settings: JSONObject = {**spec, **(spec.get(role) or {})}
    mapping: JSONObject | None = settings.get("mapping")
    return Attribute(
        role=spec["role"],
        type=_type_name(spec, native),
        collect=settings.get("collect") or "first",
        for_each=settings.get("for_each") or False,
        match=_script(settings.get("match")),
        mapping=Mapping(mapping.get("name") or "", _script(mapping.get("script"))) if mapping else None,
        default=_constant(settings, "default", native),
        deadline_ms=settings.get("deadline") or 0,
        value=_constant(settings, "value", native),
        key=settings.get("key") or "",
    )


def _type_name(spec: JSONObject, native: bool) -> AttributeType | None:
    # In YAML the type called null is written `type: null`; on the API an empty text is "untyped" (decisions 45).
    if native and "type" in spec and spec["type"] is None:
        return "null"
    return spec.get("type") or None


def _constant(settings: JSONObject, name: str, native: bool) -> JSON:
    value = settings.get(name, UNSET)
    if value is UNSET or native or not isinstance(value, str):
        return value
    # On the API an empty text is "not given", as in the reference.
    return json.decode(value) if value else UNSET


def _script(value: JSONObject | None) -> Script | None:
    if not value:
        return None
    language, text = value["language"], value["script"]
    # White space around a query is not part of it (decisions 46).
    return Script(language, text.strip() if language == "jpath" else text)


def _http(value: JSONObject) -> Http:
    return Http(
        endpoint=value["endpoint"],
        method=value.get("method") or "POST",
        timeout_ms=value.get("timeout") or 0,
        health_check=value.get("health_check") or "",
        compensate=value.get("compensate") or "",
    )


def _work(value: JSONObject) -> WorkConfig:
    return WorkConfig(
        max_retries=value.get("max_retries") or 0,
        max_attempts=value.get("max_attempts") or 0,
        init_backoff_ms=value.get("init_backoff") or 0,
        max_backoff_ms=value.get("max_backoff") or 0,
        backoff_type=value.get("backoff_type") or "",
        parallelism=value.get("parallelism") or 0,
        jitter=value.get("jitter") or False,
    )


def step_to_json(step: Step) -> JSONObject:
    """The step in the nested spelling: what the API, the events and the plans hold."""
    result = _step_object(step, _nested_attribute)
    if step.http is not None:
        # Always there, as in the reference; 0 is the engine's default.
        result["http"]["timeout"] = step.http.timeout_ms
    return result


def step_to_flat(step: Step) -> JSONObject:
    """The step in the flat spelling with native values: what a YAML file holds."""
    return _step_object(step, _flat_attribute)


def canonical_step(step: Step) -> bytes:
    """Bytes that are equal exactly when two definitions are equal (execution.md 1.5)."""
    return json.canonical(step_to_json(step))


def _step_object(step: Step, attribute_object: Callable[[Attribute], JSONObject]) -> JSONObject:
    result: JSONObject = {"id": step.id, "name": step.name, "type": step.type}
    result["attributes"] = {name: attribute_object(spec) for name, spec in sorted(step.attributes.items())}
    if step.labels:
        result["labels"] = dict(sorted(step.labels.items()))
    if step.predicate is not None:
        result["predicate"] = _script_object(step.predicate)
    if step.http is not None:
        result["http"] = _without_empty(
            {
                "endpoint": step.http.endpoint,
                "method": step.http.method if step.http.method != "POST" else "",
                "health_check": step.http.health_check,
                "compensate": step.http.compensate,
                "timeout": step.http.timeout_ms,
            }
        )
    if step.script is not None:
        result["script"] = _script_object(step.script)
    if step.flow_goals:
        result["flow"] = {"goals": list(step.flow_goals)}
    work = work_to_json(step.work)
    if work:
        result["work_config"] = work
    if step.memoizable:
        result["memoizable"] = True
    return result


def work_to_json(work: WorkConfig) -> JSONObject:
    """The work configuration without what is left open."""
    return _without_empty(
        {
            "max_retries": work.max_retries,
            "max_attempts": work.max_attempts,
            "init_backoff": work.init_backoff_ms,
            "max_backoff": work.max_backoff_ms,
            "backoff_type": work.backoff_type,
            "parallelism": work.parallelism,
            "jitter": work.jitter,
        }
    )


def _without_empty(value: JSONObject) -> JSONObject:
    return {key: item for key, item in value.items() if item}


def _script_object(script: Script) -> JSONObject:
    return {"language": script.language, "script": script.script}


def _settings(spec: Attribute, as_json_text: bool) -> JSONObject:
    settings: JSONObject = {}
    if spec.collect != "first":
        settings["collect"] = spec.collect
    if spec.for_each:
        settings["for_each"] = True
    if spec.match is not None:
        settings["match"] = _script_object(spec.match)
    if spec.default is not UNSET:
        settings["default"] = json.text(spec.default) if as_json_text else spec.default
    if spec.deadline_ms:
        settings["deadline"] = spec.deadline_ms
    if spec.value is not UNSET:
        settings["value"] = json.text(spec.value) if as_json_text else spec.value
    if spec.key:
        settings["key"] = spec.key
    if spec.mapping is not None:
        mapping: JSONObject = {"name": spec.mapping.name} if spec.mapping.name else {}
        if spec.mapping.script is not None:
            mapping["script"] = _script_object(spec.mapping.script)
        settings["mapping"] = mapping
    return settings


def _head(spec: Attribute) -> JSONObject:
    return {"role": spec.role} | ({"type": spec.type} if spec.type is not None else {})


def _nested_attribute(spec: Attribute) -> JSONObject:
    settings = _settings(spec, as_json_text=True)
    return _head(spec) | ({spec.role: settings} if settings else {})


def _flat_attribute(spec: Attribute) -> JSONObject:
    return _head(spec) | _settings(spec, as_json_text=False)


def steps_from_json(value: MappingABC[str, JSON]) -> dict[str, Step]:
    """Steps by id, as plans and catalogs hold them."""
    return {step_id: step_from_json(step) for step_id, step in cast(JSONObject, value).items()}
