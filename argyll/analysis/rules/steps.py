"""Rules about a step as a whole: its id, its blocks, memoization, retries and parallelism (1xx lint, 2xx)."""

from collections.abc import Iterator

from argyll.analysis.diagnostics import Diagnostic, finding
from argyll.analysis.draft import Draft
from argyll.model.ids import sanitize_id
from argyll.model.shape import BLOCK_OF_TYPE

_UNIQUE_META = frozenset({"flow_id", "receipt_token", "webhook_url", "parent_flow_id", "parent_work_item_token"})
"""Meta keys whose value differs from flow to flow."""


def step_rules(draft: Draft) -> Iterator[Diagnostic]:
    """Findings about the step itself."""
    yield from _id(draft)
    yield from _blocks(draft)
    yield from _memoization(draft)
    yield from _work(draft)
    yield from _goals(draft)


def _id(draft: Draft) -> Iterator[Diagnostic]:
    step_id = draft.step.id
    sane = sanitize_id(step_id)
    if sane != step_id:
        hint = f"write `{sane}`" if sane else "use `a-z`, `0-9`, `_`, `.`, `+` and `-`"
        yield finding("ARG201", f"`{step_id}` is not an id that steps can have", ("id",), hint=hint)


def _blocks(draft: Draft) -> Iterator[Diagnostic]:
    step_type = draft.step.type
    needed = BLOCK_OF_TYPE.get(step_type)
    if needed is None:
        return
    # An absent block may be written as null over the API.
    if draft.value.get(needed) is None and needed not in draft.broken_keys:
        yield finding("ARG202", f"a {step_type} step needs `{needed}`", ("type",), hint=f"add the block `{needed}:`")
    for block in ("http", "script", "flow"):
        if block != needed and draft.value.get(block) is not None:
            owners = [name for name, owned in BLOCK_OF_TYPE.items() if owned == block]
            hint = f"remove it, or change the type to {' or '.join(owners)}"
            yield finding("ARG203", f"`{block}` does not belong to a {step_type} step", (block,), hint=hint, at="key")


def _memoization(draft: Draft) -> Iterator[Diagnostic]:
    step = draft.step
    if not step.memoizable:
        return
    here = ("memoizable",)
    if step.http is not None and step.http.compensate:
        hint = "remove `memoizable` or `http.compensate`"
        yield finding("ARG204", "a memoizable step cannot be compensated", here, hint=hint, at="key")
    unique = [name for name, spec in step.attributes.items() if spec.role == "meta" and spec.key in _UNIQUE_META]
    if step.type == "async":
        message = "results of an async step arrive by webhook, and are hardly ever reused"
        yield finding("ARG205", message, here, hint="remove `memoizable`", at="key")
    elif unique:
        message = f"`{unique[0]}` differs for every piece of work, so no result is ever reused"
        yield finding("ARG205", message, here, hint=f"remove `memoizable` or `{unique[0]}`", at="key")
    elif step.type == "flow" or (step.http is not None and step.http.method in ("PUT", "DELETE")):
        what = "child flow" if step.type == "flow" or step.http is None else step.http.method
        message = f"a reused result skips the {what} and whatever it changes"
        yield finding("ARG206", message, here, hint="remove `memoizable` unless nothing is changed", at="key")


def _work(draft: Draft) -> Iterator[Diagnostic]:
    work = draft.step.work
    written = {} if "work_config" in draft.broken_keys else draft.value.get("work_config") or {}
    if 0 < work.max_backoff_ms < work.init_backoff_ms:
        message = f"`max_backoff` ({work.max_backoff_ms} ms) is below `init_backoff` ({work.init_backoff_ms} ms)"
        yield finding("ARG108", message, ("work_config", "max_backoff"), hint="swap the two, or remove one")
    if written.get("max_retries") == 0:
        hint = "write `max_attempts: 1` for no retries, or remove the key"
        yield finding(
            "ARG109", "`max_retries: 0` means the engine's default", ("work_config", "max_retries"), hint=hint
        )
    each = [name for name, spec in draft.step.inputs.items() if spec.for_each]
    if work.parallelism and not each and draft.whole:
        hint = "remove it, or add `for_each: true` to an input"
        yield finding(
            "ARG207",
            "`parallelism` without a `for_each` input has no effect",
            ("work_config", "parallelism"),
            hint=hint,
        )
    if len(each) > 1:
        names = ", ".join(f"`{name}`" for name in each)
        message = f"the step runs for every combination of {names}"
        hint = "give one of them to a step of its own if pairs are not wanted"
        yield finding("ARG209", message, draft.setting(each[1], "for_each"), hint=hint, at="key")


def _goals(draft: Draft) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for index, goal in enumerate(draft.step.flow_goals):
        if goal in seen:
            yield finding(
                "ARG706", f"goal `{goal}` is given twice", ("flow", "goals", index), hint="remove one of them"
            )
        seen.add(goal)
