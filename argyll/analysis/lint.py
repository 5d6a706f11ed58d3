"""Advice about how the steps of a repository fit together (lint of 2xx and 6xx): never a reason to refuse anything."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from fnmatch import fnmatchcase

from argyll.analysis.diagnostics import Diagnostic, Related, finding
from argyll.model.step import Step

MIN_SIMILAR_NAME = 5
"""Shorter names are alike too easily."""
SIMILARITY = 0.8
"""How similar (0 to 1) two names must be to be taken for one that was misspelt."""


def check_repository(steps: Mapping[str, Step], external_inputs: Iterable[str] = ()) -> Iterator[Diagnostic]:
    """Advice about all steps of a repository. `external_inputs` are patterns of names that callers supply."""
    readers = _by_name((name, step) for step in steps.values() for name in step.inputs)
    writers = _by_name((name, step) for step in steps.values() for name in step.outputs)
    similar = SimilarNames(writers)
    patterns = tuple(external_inputs)
    goals = {goal for step in steps.values() for goal in step.flow_goals}
    for step in steps.values():
        for name, spec in step.inputs.items():
            providers = writers.get(name, [])
            if providers:
                yield from _providers(step, name, providers)
            elif spec.collect != "none" and not any(fnmatchcase(name, pattern) for pattern in patterns):
                yield _unprovided(step, name, similar)
        for name in step.outputs:
            if name not in readers and step.id not in goals:
                message = f"no step reads `{name}`"
                yield finding("ARG602", message, ("attributes", name), at="key", step_id=step.id)
        if not step.outputs and step.id not in goals:
            hint = "declare what it produces, or make it a goal of a flow step"
            yield finding(
                "ARG211",
                f"`{step.id}` has no outputs, and is no goal of a flow step",
                ("id",),
                hint=hint,
                step_id=step.id,
            )


def _by_name(pairs: Iterable[tuple[str, Step]]) -> dict[str, list[Step]]:
    result: dict[str, list[Step]] = {}
    for name, step in pairs:
        result.setdefault(name, []).append(step)
    return result


def _is_conditional(step: Step) -> bool:
    return step.predicate is not None or any(spec.match is not None for spec in step.inputs.values())


def _providers(step: Step, name: str, providers: list[Step]) -> Iterator[Diagnostic]:
    spec = step.inputs[name]
    certain = [provider for provider in providers if not _is_conditional(provider)]
    here = ("attributes", name)
    if spec.collect == "first" and len(certain) > 1:
        names = " and ".join(f"`{provider.id}`" for provider in certain[:2])
        yield finding(
            "ARG607",
            f"`{name}` is whatever comes first of {names}",
            here,
            hint="choose `collect`, or give the providers predicates that exclude each other",
            at="key",
            step_id=step.id,
            related=[Related(f"`{p.id}` provides it", p.id, ("attributes", name)) for p in certain[:5]],
        )
    if spec.role == "required" and spec.collect != "none" and not certain:
        yield finding(
            "ARG608",
            f"`{name}` may never arrive: `{providers[0].id}` may be skipped",
            here,
            hint="make the input optional, or add a provider without predicate and match",
            at="key",
            step_id=step.id,
            related=[
                Related(f"`{p.id}` provides it under a condition", p.id, ("attributes", name)) for p in providers[:5]
            ],
        )


def _unprovided(step: Step, name: str, similar: "SimilarNames") -> Diagnostic:
    near = similar.nearest(name)
    if near is not None:
        message, hint = f"no step provides `{name}`", f"did you mean `{near}`?"
        return finding("ARG610", message, ("attributes", name), hint=hint, at="key", step_id=step.id)
    needed = (
        "so it must come from init" if step.inputs[name].role == "required" else "so it is there only when init has it"
    )
    message = f"no step provides `{name}`, {needed}"
    return finding("ARG601", message, ("attributes", name), at="key", step_id=step.id)


class SimilarNames:
    """Finds the misspelt twin of a name among many, without comparing it with each.

    Names with equal letters, or letters that are equal but for one on either side, meet in one bucket.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._buckets: dict[str, list[str]] = {}
        for name in names:
            if len(name) >= MIN_SIMILAR_NAME:
                for key in _keys(name):
                    self._buckets.setdefault(key, []).append(name)

    def nearest(self, name: str) -> str | None:
        """The most similar of the names, or None."""
        candidates = {other for key in _keys(name) for other in self._buckets.get(key, ())} - {name}
        ranked = sorted(
            (-SequenceMatcher(None, name, other).ratio(), other) for other in candidates if _differs(name, other)
        )
        return ranked[0][1] if ranked and -ranked[0][0] >= SIMILARITY else None


def _keys(name: str) -> set[str]:
    letters = sorted(name.lower())
    return {"".join(letters), *("".join(letters[:at] + letters[at + 1 :]) for at in range(len(letters)))}


def _differs(name: str, other: str) -> bool:
    """Whether more than a number differs: `line_1` and `line_2` are meant to be two."""
    return [c for c in name if not c.isdigit()] != [c for c in other if not c.isdigit()]
