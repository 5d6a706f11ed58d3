"""Rules about the URLs of a step and their `{placeholders}` (ARG107 and 4xx)."""

import re
from collections.abc import Iterator

from argyll.analysis.diagnostics import Diagnostic, Pointer, finding
from argyll.analysis.draft import Draft
from argyll.analysis.nearest import did_you_mean
from argyll.model.step import Attribute, Http, Step

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
"""A placeholder as the step caller replaces it; the name is the inner one."""

_BRACE = re.compile(r"\{[^{}]+\}|[{}]")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*\Z", re.IGNORECASE)


def url_rules(draft: Draft) -> Iterator[Diagnostic]:
    """Findings about the `http` block."""
    http = draft.step.http
    if http is None:
        return
    written = draft.value.get("http") or {}
    # Over the API a timeout of 0 is always there (surface.md 1.3), so it is no slip.
    if draft.native and http.timeout_ms <= 0 and isinstance(written.get("timeout"), int):
        message = f"`timeout: {http.timeout_ms}` means the engine's default"
        yield finding("ARG107", message, ("http", "timeout"), hint="remove the key", at="key")
    for field, url in (
        ("endpoint", http.endpoint),
        ("compensate", http.compensate),
        ("health_check", http.health_check),
    ):
        if url:
            yield from _braces(url, ("http", field))
            yield from _form(url, ("http", field))
    yield from _endpoint(draft, http)
    yield from _compensate(draft, http)
    yield from _health_check(http)


def _braces(url: str, here: Pointer) -> Iterator[Diagnostic]:
    for match in _BRACE.finditer(url):
        if len(match.group()) == 1:
            hint = "a placeholder is `{name}`; write a literal brace as %7B or %7D"
            message = f"`{match.group()}` has no partner, or holds no name"
            yield finding("ARG404", message, here, hint=hint, within=match.span())
            return


def _form(url: str, here: Pointer) -> Iterator[Diagnostic]:
    # A placeholder may stand for the whole beginning of a URL; then only the call can tell.
    if url.startswith("{") or _URL.match(PLACEHOLDER.sub("x", url)):
        return
    yield finding("ARG406", f"`{url}` is not an http(s) URL", here, hint="write `http://host/path`, without spaces")


def _endpoint(draft: Draft, http: Http) -> Iterator[Diagnostic]:
    step = draft.step
    usable = {spec.inner_name(name): spec for name, spec in step.inputs.items() if spec.role == "required"}
    used: set[str] = set()
    for match in PLACEHOLDER.finditer(http.endpoint):
        used.add(match[1])
        spec = usable.get(match[1])
        if spec is not None:
            yield from _simple(match, spec, ("http", "endpoint"))
        elif draft.whole:
            yield _unknown_name(step, match, "endpoint", usable)
    if http.method == "GET" and draft.whole:
        yield from _unsent(step, used)


def _compensate(draft: Draft, http: Http) -> Iterator[Diagnostic]:
    step = draft.step
    usable = {spec.inner_name(n): spec for n, spec in step.attributes.items() if spec.is_input or spec.role == "output"}
    for match in PLACEHOLDER.finditer(http.compensate):
        spec = usable.get(match[1])
        if spec is not None:
            yield from _simple(match, spec, ("http", "compensate"))
        elif draft.whole:
            yield _unknown_name(step, match, "compensate", usable)


def _unknown_name(step: Step, match: re.Match[str], field: str, usable: dict[str, Attribute]) -> Diagnostic:
    name, here = match[1], ("http", field)
    spec = step.attributes.get(name)
    inner = spec.inner_name(name) if spec is not None else name
    if inner != name and inner in usable:
        message = f"`{{{name}}}` is called `{inner}` inside the step"
        return finding("ARG402", message, here, hint=f"write `{{{inner}}}`", within=match.span())
    if field == "compensate":
        hint = did_you_mean(name, usable) or "declare it as an attribute"
        return finding(
            "ARG402", f"`{{{name}}}` is neither an input nor an output", here, hint=hint, within=match.span()
        )
    if spec is not None:
        message = f"`{{{name}}}` is {_role_words(spec)}, and only required inputs can stand in an endpoint"
        return finding("ARG401", message, here, hint=f"give `{name}` the role `required`", within=match.span())
    hint = did_you_mean(name, usable) or f"add the attribute `{name}: {{role: required}}`"
    return finding("ARG401", f"`{{{name}}}` is not a required input of the step", here, hint=hint, within=match.span())


def _role_words(spec: Attribute) -> str:
    return {"optional": "an optional input", "const": "a constant", "meta": "a meta attribute"}.get(
        spec.role, "an output"
    )


def _simple(match: re.Match[str], spec: Attribute, here: Pointer) -> Iterator[Diagnostic]:
    delivered = "array" if spec.is_input and spec.collect in ("all", "some") else spec.type
    if delivered in ("object", "null") or (delivered == "array" and not spec.for_each):
        message = f"`{{{match[1]}}}` is of type {delivered}, and goes into the URL as JSON text"
        yield finding("ARG408", message, here, hint="use a text or number, or send it in the body", within=match.span())


def _unsent(step: Step, used: set[str]) -> Iterator[Diagnostic]:
    predicate = step.predicate.script if step.predicate is not None else ""
    for name, spec in step.inputs.items():
        inner = spec.inner_name(name)
        if spec.role == "required" and spec.collect != "none" and inner not in used and inner not in predicate:
            message = f"a GET has no body, so `{inner}` never reaches the service"
            yield finding(
                "ARG407", message, ("attributes", name), hint=f"add `{{{inner}}}` to the URL, or use POST", at="key"
            )


def _health_check(http: Http) -> Iterator[Diagnostic]:
    match = PLACEHOLDER.search(http.health_check)
    if match is not None:
        message = f"nothing replaces `{match.group()}` in a health check"
        yield finding("ARG411", message, ("http", "health_check"), hint="use a fixed URL", within=match.span())
