"""What memoizable steps gave for the same inputs before: one bounded memory a node, never failures (execution.md 7.6)."""

import hashlib
from collections import OrderedDict
from typing import cast

from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import step_to_json

Values = dict[str, JSON]


def definition_hash(step: Step) -> str:
    """Equal for steps that behave alike: id, name and labels do not count (execution.md 1.7)."""
    kept = cast(dict[str, str], step.__dict__)
    if "definition_hash" not in kept:
        behaviour = {k: v for k, v in step_to_json(step).items() if k not in ("id", "name", "labels")}
        kept["definition_hash"] = hashlib.sha256(json.canonical(behaviour)).hexdigest()
    return kept["definition_hash"]


class Memo:
    """Outputs by definition and inputs, least recently used first out."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._outputs: OrderedDict[tuple[str, bytes], Values] = OrderedDict()

    def recall(self, step: Step, inputs: Values) -> Values | None:
        """The remembered outputs, if any."""
        key = (definition_hash(step), json.canonical(inputs))
        outputs = self._outputs.get(key)
        if outputs is not None:
            self._outputs.move_to_end(key)
        return outputs

    def remember(self, step: Step, inputs: Values, outputs: Values) -> None:
        """Keep outputs; the first for the same inputs stays."""
        key = (definition_hash(step), json.canonical(inputs))
        self._outputs.setdefault(key, outputs)
        self._outputs.move_to_end(key)
        if len(self._outputs) > self._entries:
            self._outputs.popitem(last=False)
