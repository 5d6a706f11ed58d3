"""Where a value comes from: the step and work item that gave it, what that step had received, and so on down to init."""

from argyll.flow.explain.answer import (
    MAX_ORIGINS_DEPTH,
    MAX_ORIGINS_LISTED,
    MAX_VALUES_LISTED,
    AttributeStory,
    Input,
    Origin,
    Traced,
    moment,
    shown,
)
from argyll.flow.explain.causes import causes_of, end_of
from argyll.flow.explain.items import Telling, item_story
from argyll.flow.explain.verdicts import providers
from argyll.flow.work import is_fan_out


class UnknownAttribute(Exception):
    """The flow has no such attribute; `str()` is its name."""


def attribute_names(telling: Telling) -> list[str]:
    """Every attribute that the flow's steps or init speak of, ascending."""
    plan = telling.flow.plan
    names = {name for step in plan.steps.values() for name in step.attributes}
    return sorted(names | plan.attributes.keys() | telling.flow.attributes.keys())


def attribute_story(telling: Telling, name: str) -> AttributeStory:
    """One attribute with the whole origin of its values. Raises `UnknownAttribute`."""
    plan = telling.flow.plan
    if name not in attribute_names(telling):
        raise UnknownAttribute(name)
    tracing = _Tracing(telling)
    values = telling.flow.attributes.get(name, ())
    story = AttributeStory(
        name,
        [tracing.value(name, index) for index in range(min(len(values), MAX_VALUES_LISTED))],
        max(len(values) - MAX_VALUES_LISTED, 0),
        providers(telling.flow, name),
        sorted(step_id for step_id, step in plan.steps.items() if name in step.inputs),
        {
            step_id: shown(step.attributes[name].value)
            for step_id, step in sorted(plan.steps.items())
            if name in step.attributes and step.attributes[name].role == "const"
        },
    )
    if not values:
        for provider in plan.providers(name):
            if telling.history.steps[provider].ended is not None:
                execution, notes = telling.flow.executions[provider], telling.history.steps[provider]
                ended = end_of(telling, provider)
                ended.input = name
                if execution.status == "completed":
                    ended.code = "gave_nothing"
                story.because.append(ended)
                before = notes.decided.event if notes.decided is not None else 0
                story.because += causes_of(telling, provider, execution.unsatisfied, before)
    return story


def attribute_overview(telling: Telling, name: str) -> AttributeStory:
    """One attribute with its values and their producers, no further."""
    values = telling.flow.attributes.get(name, ())
    tracing = _Tracing(telling)
    return AttributeStory(
        name,
        [tracing.bare(name, index) for index in range(min(len(values), MAX_VALUES_LISTED))],
        max(len(values) - MAX_VALUES_LISTED, 0),
    )


class _Tracing:
    """Follows values upstream, each once."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._seen: set[tuple[str, int]] = set()

    def bare(self, name: str, index: int) -> Traced:
        """A value and its producer."""
        flow = self._telling.flow
        value = flow.attributes[name][index]
        event = self._telling.history.value_events[name][index]
        return Traced(name, index, shown(value.value), moment(value.set_at, flow.created_at, event), value.step)

    def value(self, name: str, index: int, depth: int = 0) -> Traced:
        """A value with all that it was made from."""
        traced = self.bare(name, index)
        if not traced.step:
            return traced
        if (name, index) in self._seen:
            traced.seen = True
            return traced
        if len(self._seen) >= MAX_ORIGINS_LISTED or depth >= MAX_ORIGINS_DEPTH:
            traced.untraced = True
            return traced
        self._seen.add((name, index))
        self._producer(traced, depth)
        return traced

    def _producer(self, traced: Traced, depth: int) -> None:
        telling, flow = self._telling, self._telling.flow
        step, execution = flow.plan.steps[traced.step], flow.executions[traced.step]
        spec = step.outputs[traced.attribute]
        inner = spec.inner_name(traced.attribute)
        traced.inner = inner if inner != traced.attribute else ""
        traced.converted = spec.mapping is not None and spec.mapping.script is not None
        if is_fan_out(step):
            traced.items = len(execution.work_items)
        elif execution.work_items:
            traced.item = item_story(telling, step.id, next(iter(execution.work_items)))
        inputs = telling.history.steps[step.id].inputs or ()
        traced.origins = [self._origin(step.id, entry, depth + 1) for entry in inputs]

    def _origin(self, step_id: str, entry: Input, depth: int) -> Origin:
        spec = self._telling.flow.plan.steps[step_id].attributes[entry.name]
        return Origin(
            entry.name,
            entry.role,
            entry.outcome,
            entry.inner,
            entry.converted,
            entry.why,
            entry.received,
            spec.key,
            entry.deadline_ms,
            [self.value(entry.name, used.index, depth) for used in entry.used],
        )
