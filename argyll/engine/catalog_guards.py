"""What stands between a revision and the catalog beyond correctness: how much it may delete, and what its source may have.

Pure. The agent asks the same before it sends; asked again here, a faulty agent cannot empty a catalog.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from argyll.analysis.wiring import View
from argyll.engine.catalog_errors import Finding, finding
from argyll.engine.catalog_revisions import Change
from argyll.model.catalog import Catalog
from argyll.model.source import Allow, Prune
from argyll.model.step import Step

MAX_UNAPPROVED_CHANGES = 5_000
"""A revision that writes or deletes more steps needs an approval, unless it is the source's first."""

MAX_NAMED = 5
"""Steps that one objection names."""

_EMPTY = "B002"
"""The objection that no approval overrules."""


def objections(
    catalog: Catalog, source: str, prune: Prune, steps: Mapping[str, Step], change: Change, moved: Mapping[str, str]
) -> list[Finding]:
    """Why a change needs somebody's approval; empty when it does not."""
    lost = [step_id for step_id in change.deleted if step_id not in moved]
    found = [*_too_many(catalog, source, prune, change, lost), *_left_without(catalog, source, steps, change)]
    mark = catalog.sources.get(source)
    if change.size > MAX_UNAPPROVED_CHANGES and mark is not None and mark.applies:
        message = f"{change.size} steps change, more than {MAX_UNAPPROVED_CHANGES} (MAX_UNAPPROVED_CHANGES)"
        found.append(finding("/steps", "B004", message))
    return found


def overrulable(found: Iterable[Finding]) -> bool:
    """Whether a person's approval is enough for all of these objections."""
    return all(one["code"] != _EMPTY for one in found)


def _too_many(catalog: Catalog, source: str, prune: Prune, change: Change, lost: list[str]) -> Iterable[Finding]:
    owned = sum(1 for step_id in catalog.owned_by(source) if step_id in catalog.steps)
    left = owned - len(change.deleted) - len(change.orphaned)
    if owned and not (left or change.created or change.adopted or change.transferred) and not prune.allow_empty:
        message = f"all {owned} steps of {source!r} would go; if that is meant, set prune.allow_empty"
        yield finding("/deletes", _EMPTY, message, step_ids=change.deleted)
    if not lost:
        return
    if not prune.enabled:
        yield finding("/deletes", "B001", f"prune.enabled is off and {_named(lost)} would go", step_ids=lost)
    elif len(lost) > prune.floor and (len(lost) > prune.max_count or len(lost) * 100 > prune.max_percent * owned):
        limits = f"prune.max_count {prune.max_count}, prune.max_percent {prune.max_percent}"
        message = f"{len(lost)} of {owned} steps of {source!r} would go: {_named(lost)} ({limits})"
        yield finding("/deletes", "B001", message, step_ids=lost)


def _left_without(catalog: Catalog, source: str, steps: Mapping[str, Step], change: Change) -> Iterable[Finding]:
    """Steps that the source does not own and that lose the last provider of a required input, or a goal."""
    changed = [steps[step_id] for step_id in change.created + change.updated]
    view = View(catalog, changed, change.deleted)
    mine = {step_id for step_id, owner in catalog.owners.items() if owner == source} | steps.keys()
    for name in sorted(_outputs_lost(catalog, steps, change)):
        if view.providers(name):
            continue
        for step_id in sorted(view.consumers(name)):
            step = view.step(step_id)
            if step is not None and step_id not in mine and step.inputs[name].role == "required":
                message = f"nothing would write {name!r} for {step_id!r} any more, which {_whose(catalog, step_id)}"
                yield finding("/deletes", "B003", message, step_id=step_id, attribute=name)
    for step in view.referring(frozenset(change.deleted)):
        if step.id not in mine:
            goals = [goal for goal in step.flow_goals if goal in view.removed]
            message = f"{step.id!r}, which {_whose(catalog, step.id)}, has {_named(goals)} as a goal"
            yield finding("/deletes", "B003", message, step_id=step.id)


def _outputs_lost(catalog: Catalog, steps: Mapping[str, Step], change: Change) -> set[str]:
    lost = {name for step_id in change.deleted for name in catalog.steps[step_id].outputs}
    for step_id in change.updated:
        lost |= catalog.steps[step_id].outputs.keys() - steps[step_id].outputs.keys()
    return lost


def _whose(catalog: Catalog, step_id: str) -> str:
    owner = catalog.owners.get(step_id)
    return f"{owner!r} owns" if owner else "nobody owns"


def _named(step_ids: list[str]) -> str:
    shown = ", ".join(repr(step_id) for step_id in step_ids[:MAX_NAMED])
    return shown + (f" and {len(step_ids) - MAX_NAMED} more" if len(step_ids) > MAX_NAMED else "")


def not_allowed(allow: Allow, steps: Iterable[Step]) -> list[Finding]:
    """What a source's steps are that it may not have; an empty list of the configuration allows everything."""
    return [
        finding(path, "not_allowed", message, step_id=step.id)
        for step in steps
        for path, message in _breaches(allow, step)
    ]


def _breaches(allow: Allow, step: Step) -> Iterable[tuple[str, str]]:
    if allow.id_prefixes and not step.id.startswith(tuple(allow.id_prefixes)):
        yield "/id", f"the id has to begin with {_choice(allow.id_prefixes)}"
    if allow.types and step.type not in allow.types:
        yield "/type", f"type {step.type!r} is not {_choice(allow.types)}"
    for name in step.outputs:
        if allow.produce and not _matches(name, allow.produce):
            yield f"/attributes/{name}", f"output {name!r} does not match {_choice(allow.produce)}"
    if allow.endpoints and step.http is not None:
        for field in ("endpoint", "health_check", "compensate"):
            url: str = getattr(step.http, field)
            if url and not _matches(url, allow.endpoints):
                yield f"/http/{field}", f"{url!r} does not match {_choice(allow.endpoints)}"
    if allow.languages and step.script is not None and step.script.language not in allow.languages:
        yield "/script/language", f"language {step.script.language!r} is not {_choice(allow.languages)}"


def _matches(text: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in globs)


def _choice(values: Iterable[str]) -> str:
    return " or ".join(repr(value) for value in values)
