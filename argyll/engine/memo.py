"""What memoizable steps gave for the same inputs before: one bounded memory a node, never failures (execution.md 7.6)."""

import hashlib
from collections import OrderedDict
from typing import cast

from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import step_to_json

Values = dict[str, JSON]

MEMO_CACHE_BYTES = 128 * 1024 * 1024
"""What remembered inputs and outputs may hold together, counted as JSON text."""


def definition_hash(step: Step) -> str:
    """Equal for steps that behave alike: id, name and labels do not count (execution.md 1.7)."""
    kept = cast(dict[str, str], step.__dict__)
    if "definition_hash" not in kept:
        behaviour = {k: v for k, v in step_to_json(step).items() if k not in ("id", "name", "labels")}
        kept["definition_hash"] = hashlib.sha256(json.canonical(behaviour)).hexdigest()
    return kept["definition_hash"]


class Memo:
    """Outputs by definition and inputs, least recently used first out."""

    def __init__(self, entries: int, max_bytes: int = MEMO_CACHE_BYTES) -> None:
        self._entries, self._max_bytes = entries, max_bytes
        self._bytes = 0
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
        if key in self._outputs:
            self._outputs.move_to_end(key)
            return
        self._outputs[key] = outputs
        self._bytes += _size(key, outputs)
        while len(self._outputs) > self._entries or self._bytes > self._max_bytes:
            self._bytes -= _size(*self._outputs.popitem(last=False))


def _size(key: tuple[str, bytes], outputs: Values) -> int:
    """About what an entry holds, by its JSON text."""
    return len(key[1]) + len(json.encode(outputs))
