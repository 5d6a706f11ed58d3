"""A comparison as text: lines for a terminal, Markdown for a comment on a pull request."""

import json
from collections.abc import Iterable, Iterator, Sequence

from msgspec import UNSET, UnsetType

from argyll.gitops.comparison import Action, Comparison, FieldChange, StepChange
from argyll.model.json import JSON
from argyll.planning.impact import Fate, Impact, PlanImpact

MAX_VALUE_CHARS = 60
"""A longer value is cut in a line; the JSON form has it whole."""
MAX_NAMES = 8
"""Names listed in one line before the rest is only counted."""
MARKDOWN_CHARS = 60_000
"""Forges refuse comments of more than 65,536 characters."""

SIGNS: dict[Action, str] = {"create": "+", "update": "~", "delete": "-"}
_FATES: dict[Fate, str] = {
    "new": "is new",
    "gone": "is gone",
    "broken": "can be planned no more",
    "mended": "can be planned again",
    "changed": "has another plan",
}


def comparison_text(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    lines = [f"{comparison.before} -> {comparison.after}"]
    for change in comparison.steps:
        place = f"  {change.place}" if change.place else ""
        lines.append(f"  {SIGNS[change.action]} {change.action:<6}  {change.id}{place}")
        lines += [f"        {_field(field)}" for field in change.fields]
    if not comparison.steps:
        lines.append(f"  nothing differs, {count(comparison.unchanged, 'step')}")
        return "\n".join(lines)
    lines += _impact_lines(comparison.impact)
    lines += [f"  {line}" for line in _flow_lines(comparison)]
    lines.append(totals(comparison))
    return "\n".join(lines)


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as a comment on a pull request; cut where forges would refuse it."""
    text = "\n".join(_markdown(comparison))
    if len(text) <= MARKDOWN_CHARS:
        return text
    cut = text[:MARKDOWN_CHARS].rpartition("\n")[0]
    # A fence or a folded section left open would swallow the last sentence.
    closing = ("\n```" if cut.count("```") % 2 else "") + "\n</details>" * (
        cut.count("<details>") - cut.count("</details>")
    )
    return f"{cut}{closing}\n\n... cut here; `argyll diff --output json` has everything."


def totals(comparison: Comparison) -> str:
    """`1 to create, 2 to update, 0 to delete, 7 unchanged; 3 plans change`."""
    counts = {action: sum(change.action == action for change in comparison.steps) for action in SIGNS}
    parts = [f"{number} to {action}" for action, number in counts.items()]
    plans = len(comparison.impact.plans)
    return f"{', '.join(parts)}, {comparison.unchanged} unchanged; {count(plans, 'plan')} {_verb(plans, 'change')}"


def count(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _impact_lines(impact: Impact) -> Iterator[str]:
    if impact.plans:
        yield "plans"
    for plan in impact.plans:
        yield f"  {plan.goal} {_FATES[plan.fate]}"
        yield from (f"      {words}: {names}" for words, names in _details(plan))
    for lost in impact.lost:
        yield f"  lost: {lost.name} was written by {_some(lost.providers)}; still read by {_some(lost.consumers)}"
    if impact.examined < impact.reached:
        yield f"  {impact.reached - impact.examined} more goals are reached; name them with --goal to see their plans"


def _details(plan: PlanImpact) -> Iterator[tuple[str, str]]:
    """What is to be said of a plan: words and names."""
    for words, names in (
        ("steps added", plan.added),
        ("steps removed", plan.removed),
        ("steps changed", plan.changed),
        ("callers must now give", plan.newly_required),
        ("callers need not give any more", plan.no_longer_required),
    ):
        if names:
            yield words, _some(names)
    if plan.error:
        yield "because", plan.error


def _flow_lines(comparison: Comparison) -> Iterator[str]:
    flows = comparison.flows
    if flows is None:
        return
    for step_id, using in flows.by_step.items():
        yield (
            f"{count(len(using), 'active flow')} {_verb(len(using), 'hold')} {step_id}, which goes away, "
            f"and {_verb(len(using), 'keep')} it to the end: {_some(using)}"
        )
    if not flows.complete:
        yield "there are more active flows than were looked into"


def _verb(number: int, verb: str) -> str:
    return f"{verb}s" if number == 1 else verb


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _field(field: FieldChange) -> str:
    name = field.pointer.lstrip("/").replace("/", ".").replace("~1", "/").replace("~0", "~")
    return f"{name}: {_value(field.before)} -> {_value(field.after)}"


def _value(value: JSON | UnsetType) -> str:
    if value is UNSET:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"


def _markdown(comparison: Comparison) -> Iterator[str]:
    yield f"### Argyll: {_code(comparison.before)} → {_code(comparison.after)}"
    yield ""
    if not comparison.steps:
        yield f"Nothing differs ({count(comparison.unchanged, 'step')})."
        return
    yield f"**{totals(comparison)}**"
    yield from _markdown_impact(comparison.impact)
    warnings = list(_flow_lines(comparison))
    if warnings:
        yield ""
        yield from (f"> :warning: {_escaped(line)}" for line in warnings)
    yield ""
    yield "<details><summary>Steps</summary>"
    yield ""
    yield "```diff"
    for change in comparison.steps:
        yield from _markdown_step(change)
    yield "```"
    yield ""
    yield "</details>"


def _markdown_impact(impact: Impact) -> Iterator[str]:
    if impact.plans:
        yield ""
        yield "| Goal | Plan | What changes |"
        yield "| --- | --- | --- |"
        for plan in impact.plans:
            details = "<br>".join(f"{words}: {_escaped(names)}" for words, names in _details(plan))
            yield f"| {_code(plan.goal)} | {_FATES[plan.fate]} | {details} |"
    if impact.lost:
        yield ""
        for lost in impact.lost:
            yield (
                f"> :warning: nothing writes {_code(lost.name)} any more (it was {_escaped(_some(lost.providers))}); "
                f"still read by {_escaped(_some(lost.consumers))}"
            )
    if impact.examined < impact.reached:
        yield ""
        yield f"{impact.reached - impact.examined} more goals are reached and were not compared."


def _markdown_step(change: StepChange) -> Iterable[str]:
    sign = "!" if change.action == "update" else SIGNS[change.action]
    yield f"{sign} {change.action} {change.id}" + (f"  ({change.place})" if change.place else "")
    for field in change.fields:
        yield f"    {_field(field)}".replace("```", "'''")


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def _escaped(text: str) -> str:
    """Text of others as text in Markdown: no markup, no table cell, no mention of a user."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, "\\" + character)
    return text.replace("@", "@\N{ZERO WIDTH SPACE}").replace("\n", " ")
