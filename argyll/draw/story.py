"""An explanation in words: the JSON of `GET /engine/flow/{flow}/explain` told the way a colleague would.

Says only what stands in the answer. Moments are relative to the flow's start; the answer has them absolute, and with the
event that is the evidence.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from argyll.draw.phrases import INDENT, after, at, attempt_of, count, cut, duration, listed, quoted, shown
from argyll.draw.waiting import waiting
from argyll.model.wire import JSONObject


def story(answer: JSONObject) -> list[str]:
    """The lines of an answer: about one step, one attribute, both, or the whole flow."""
    head = _headline(answer)
    if not answer.get("step") and not answer.get("attribute"):
        because = _because((answer.get("outcome") or {}).get("because") or [])
        return [head, *because, *waiting(answer), *_overview(answer)]
    lines = [head, *waiting(answer)]
    for told in answer["steps"]:
        lines += ["", *_step_in_full(told)]
    for told in answer["attributes"]:
        lines += ["", *_attribute_in_full(told)]
    return lines


# The flow


def _headline(answer: JSONObject) -> str:
    flow, outcome = answer["flow_id"], answer.get("outcome")
    if outcome is None:
        goals = f"for the {'goal' if len(answer['goals']) == 1 else 'goals'} {', '.join(answer['goals'])}"
        return f"{flow} is active, {goals}; as of {after(answer['at'])} (event {answer['at']['event']})"
    when, unsettled = at(outcome["at"]), "" if answer.get("closed") else "; not everything of it has settled"
    if outcome["code"] == "goals_done":
        return f"{flow} completed{when}: {'; '.join(map(_goal_done, outcome['goals']))}{unsettled}"
    if outcome["code"] == "cancelled":
        return f"{flow} was cancelled{when}{unsettled}"
    if outcome["code"] == "goals_pruned":
        return f"{flow} failed{when}: the match of every goal turned it down{unsettled}"
    lost = [goal["goal"] for goal in outcome["goals"] if goal["status"] == "failed"]
    return f"{flow} failed{when}: it could not reach {listed(lost)}{unsettled}"


def _goal_done(goal: JSONObject) -> str:
    if goal["status"] == "satisfied":
        return f"init had supplied what {goal['goal']} gives"
    return f"{goal['goal']} {goal['status']}" + (f" ({_WHY_SKIPPED[goal['reason']]})" if goal.get("reason") else "")


_WHY_SKIPPED = {
    "match": "its match turned it down",
    "predicate": "its predicate returned false",
    "not_needed": "nobody needed its outputs",
}


def _because(causes: Sequence[JSONObject], of: str = "") -> list[str]:
    """The shortest way from the step `of` (none: the flow) to each of the causes that began it, a line a step."""
    depths: dict[str, int] = {of: 0}
    lines: list[str] = []
    for cause in _ways(causes, of):
        depth = depths[cause["reader"]]
        if cause.get("step"):
            depths[cause["step"]] = depth + 1
        lines.append(f"{INDENT * (depth + 1)}because {_cause(cause)}")
    return lines


def _ways(causes: Sequence[JSONObject], of: str) -> list[JSONObject]:
    """The causes on the shortest ways from `of` to those that nothing else caused, in the order of a walk down.

    Where many lost inputs come from one failure, the ways between say nothing that a reader wants to know.
    """
    by_reader: dict[str, list[JSONObject]] = {}
    for cause in causes:
        by_reader.setdefault(cause["reader"], []).append(cause)
    led_to: dict[str, JSONObject | None] = {of: None}
    firsts: list[JSONObject] = []
    level = [of]
    while level:
        following: list[str] = []
        for cause in (cause for reader in level for cause in by_reader.get(reader, ())):
            step = cause.get("step", "")
            if step and step in led_to:
                continue
            if step:
                led_to[step] = cause
            if step and step in by_reader:
                following.append(step)
            else:
                firsts.append(cause)
        level = following
    kept: list[JSONObject] = []
    for first in firsts:
        way: list[JSONObject] = []
        cause: JSONObject | None = first
        while cause is not None and not any(cause is known for known in kept):
            way.append(cause)
            cause = led_to[cause["reader"]]
        kept += reversed(way)
    return kept


def _overview(answer: JSONObject) -> list[str]:
    taken = [step for step in answer["steps"] if step["status"] != "left_out"]
    lines = ["", *(_step_sentence(step) for step in taken)]
    excluded = [step for step in answer["steps"] if step["status"] == "left_out"]
    if excluded:
        lines += ["", "left out of the plan:", *(f"{INDENT}{_step_sentence(step)}" for step in excluded)]
    return lines


# Causes


def _cause(cause: JSONObject) -> str:
    code, step, name, when = cause.get("code"), cause.get("step", ""), cause.get("input", ""), at(cause.get("at"))
    if code == "no_provider":
        return f"nothing provides {name}: no step of the plan gives it, and init does not supply it"
    if code == "gave_value":
        return f"{step} gave {name}{when}" if step else f"init supplies {name}"
    if code == "gave_nothing":
        return f"{step} completed{when} without giving {name}"
    if code == "work_failed":
        return f"{step} failed{when}: {_failed_item(cause)}"
    if code == "unreachable":
        return f"{step} failed{when}: not all of its own required inputs could come"
    if code == "match" and cause.get("inputs"):
        return f"{step} was skipped{when}: {'; '.join(map(_refused, cause['inputs']))}"
    if code == "predicate":
        return f"{step} was skipped{when}: its predicate{_script(cause)} returned false"
    if code in _WHY_SKIPPED:
        return f"{step} was skipped{when}: {_WHY_SKIPPED[code]}"
    if code == "cancelled":
        return f"{step} was cut short{when}: the flow had ended"
    return f"{step} {cause.get('status', '')}{when}: {quoted(cause.get('error', ''))}"


def _failed_item(fact: JSONObject) -> str:
    item = fact.get("item")
    if not item:
        return quoted(fact.get("error", ""))
    name = f"item #{item['index']}{_own(item)} failed with " if item.get("inputs") else ""
    tries = _tries(item)
    return f"{name}{quoted(item.get('error') or fact.get('error', ''))}" + (f" ({tries})" if tries else "")


def _own(item: JSONObject) -> str:
    inputs = item.get("inputs") or {}
    return f" ({', '.join(f'{name} = {shown(value)}' for name, value in inputs.items())})" if inputs else ""


def _tries(item: JSONObject) -> str:
    """`attempt 3 of 3; attempts 1 and 2: 503 bank busy`, empty when nothing was called."""
    attempts: list[JSONObject] = item.get("attempts") or []
    if not attempts:
        return ""
    parts = [attempt_of(attempts[-1]["number"], item.get("max_attempts", 0))]
    for words, run in groupby(attempts[:-1], _how_it_went):
        numbers = [attempt["number"] for attempt in run]
        parts.append(f"{_numbers(numbers)}: {words}")
    if item.get("earlier_attempts"):
        parts.insert(1, f"{count(item['earlier_attempts'], 'earlier attempt')} not shown")
    return "; ".join(parts)


def _how_it_went(attempt: JSONObject) -> str:
    if attempt["outcome"] == "taken_over":
        return "its node was gone, another call was made"
    return cut(attempt.get("error") or attempt["outcome"])


def _numbers(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"attempt {numbers[0]}"
    joint = "and" if len(numbers) == 2 else "to"
    return f"attempts {numbers[0]} {joint} {numbers[-1]}"


# Steps


def _step_sentence(step: JSONObject) -> str:
    tell = _SENTENCES.get(step["reason"]["code"], _started)
    return f"{step['step']} {tell(step, step['reason'])}"


def _started(step: JSONObject, reason: JSONObject) -> str:
    items = step.get("items") or {"total": 0}
    many = f" ({count(items['total'], 'item')})" if items["total"] != 1 else ""
    if step["status"] != "completed":
        return f"is active since {after(step['decided'])}{many}"
    took = duration(step["ended"]["after_ms"] - step["decided"]["after_ms"])
    return f"completed{at(step['ended'])} after {took}{many}"


def _waits(step: JSONObject, reason: JSONObject) -> str:
    inputs = reason.get("inputs") or []
    return "is pending: " + ("; ".join(map(_held_back, inputs)) if inputs else "the engine has yet to look at it")


def _held_back(entry: JSONObject) -> str:
    if entry.get("verdict") == "undecided":
        return f"its match decides about {_input(entry)}: {_undecided(entry)}"
    return f"it waits for {_input(entry)}{_awaited(entry)}"


def _awaited(entry: JSONObject) -> str:
    """From whom an input may still come, and how long that is waited for."""
    until = f" until {after(entry['until'])}, then it goes on without" if entry.get("until") else ""
    source = _still_to_come(entry)
    return (f" from {source}" if source else "") + until


def _undecided(entry: JSONObject) -> str:
    seen = count(len(entry["candidates"]) + entry.get("more_candidates", 0), "value")
    source = _still_to_come(entry)
    return f"{seen} so far, " + (f"more may come from {source}" if source else "no more can come")


def _still_to_come(entry: JSONObject) -> str:
    still = [p for p in entry.get("providers") or [] if p["status"] in ("pending", "active")]
    return listed([f"{p['step']} ({p['status']})" for p in still]) if still else ""


def _input(entry: JSONObject) -> str:
    kind = ", ".join(part for part in (entry["role"], entry.get("collect", "")) if part)
    return f"{entry['name']} ({kind})"


def _predicate(step: JSONObject, reason: JSONObject) -> str:
    received = ", ".join(f"{name} = {shown(value)}" for name, value in (reason.get("received") or {}).items())
    given = f" for {cut(received)}" if received else ""
    return f"was skipped{at(step.get('ended'))}: its predicate{_script(reason)} returned false{given}"


def _script(fact: JSONObject) -> str:
    return f" {cut(fact['script'])}" if fact.get("script") else ""


def _unreachable(step: JSONObject, reason: JSONObject) -> str:
    inputs: list[JSONObject] = reason.get("inputs") or []
    unwanted = [entry for entry in inputs if entry.get("collect") == "none"]
    lost = [entry for entry in inputs if entry.get("collect") != "none"]
    parts: list[str] = []
    if lost:
        noun = "its input" if len(lost) == 1 else "its inputs"
        parts.append(f"{noun} {listed([_input(entry) for entry in lost])} could no longer come")
    if unwanted:
        parts.append(f"it wants {listed([entry['name'] for entry in unwanted])} to be absent")
    return f"failed{at(step.get('ended'))}: {', and '.join(parts)}{_nearest(step, reason)}"


def _match(step: JSONObject, reason: JSONObject) -> str:
    parts = [_refused(entry) for entry in reason.get("inputs") or []]
    return f"was skipped{at(step.get('ended'))}: {'; '.join(parts)}{_nearest(step, reason)}"


def _refused(entry: JSONObject) -> str:
    values = entry.get("candidates") or []
    if not values:
        return f"no value came for the match{_script(entry)} of {_input(entry)}"
    refused = [f"{shown(value['value'])} from {value.get('step') or 'init'}" for value in values]
    if entry.get("more_candidates"):
        refused.append(f"{entry['more_candidates']} more")
    verb = "accepted" if entry.get("collect") == "none" else "did not accept"
    return f"the match{_script(entry)} of {_input(entry)} {verb} {listed(refused)}"


def _nearest(step: JSONObject, reason: JSONObject) -> str:
    """What kept the inputs from coming, in a word each; how these ended stands elsewhere."""
    ends: dict[str, str] = {}
    for cause in reason.get("because") or []:
        if cause["reader"] == step["step"]:
            ends.setdefault(cause.get("step", ""), _end(cause))
    return f", as {listed(list(ends.values()))}" if ends else ""


def _end(cause: JSONObject) -> str:
    code, step = cause.get("code"), cause.get("step", "")
    if code in ("no_provider", "gave_value", "gave_nothing"):
        return _cause(cause)
    return f"{step} was skipped" if cause.get("status") == "skipped" else f"{step} failed"


def _not_needed(step: JSONObject, reason: JSONObject) -> str:
    readers: list[JSONObject] = reason.get("readers") or []
    if not readers:
        return f"was skipped{at(step.get('ended'))}: no step of the plan reads its outputs"
    why = "; ".join(f"{reader['output']}: {_reader(reader)}" for reader in readers)
    return f"was skipped{at(step.get('ended'))}: nobody needed its outputs any more ({why})"


def _reader(reader: JSONObject) -> str:
    return {
        "ended": f"{reader['step']} had {'been ' if reader['status'] == 'skipped' else ''}{reader['status']}",
        "started": f"{reader['step']} had started without it",
        "has_value": f"{reader['step']} had a value already",
        "cannot_complete": f"{reader['step']} wants one of every provider, and one gave none",
    }[reader["why"]]


def _left_out(why: str) -> Callable[[JSONObject, JSONObject], str]:
    return lambda step, reason: why.format(names=listed(reason["names"]))


_SENTENCES: dict[str, Callable[[JSONObject, JSONObject], str]] = {
    "started": _started,
    "waits": _waits,
    "flow_ended": lambda step, reason: "never started: the flow ended before it could",
    "match": _match,
    "predicate": _predicate,
    "not_needed": _not_needed,
    "unreachable": _unreachable,
    "work_failed": lambda step, reason: f"failed{at(step.get('ended'))}: {_failed_item(reason)}",
    "script_failed": lambda step, reason: f"failed{at(step.get('ended'))}: {cut(reason['error'])}",
    "too_many_items": lambda step, reason: f"failed{at(step.get('ended'))}: {cut(reason['error'])}",
    "cancelled": lambda step, reason: f"was cut short{at(step.get('ended'))}: the flow had ended",
    "satisfied": _left_out("is not in the plan: init already supplies {names}"),
    "missing": _left_out("is not in the plan: nothing supplies {names}"),
    "blocked": _left_out("is not in the plan: init supplies {names}, which the step wants to be absent"),
}


def _step_in_full(step: JSONObject) -> list[str]:
    reason = step["reason"]
    ways = _ways(reason.get("because") or [], step["step"])
    sentence = _step_sentence({**step, "reason": {**reason, "because": []}})
    if len(ways) == 1:
        lines = [f"{sentence}: {_cause(ways[0])}"]
    else:
        lines = [sentence, *_because(ways, step["step"])]
    wanted = [f"{name} for {', '.join(readers)}" for name, readers in (step.get("wanted_for") or {}).items()]
    if wanted or step.get("goal"):
        parts = [
            *(["it is a goal"] if step.get("goal") else []),
            *([f"it gives {', '.join(wanted)}"] if wanted else []),
        ]
        lines.append(f"{INDENT}in the plan because {' and '.join(parts)}")
    if step.get("deferred"):
        lines.append(f"{INDENT}its start was put off{at(step['deferred'])}: the step was unhealthy")
    if step.get("inputs"):
        lines += [f"{INDENT}inputs:", *(f"{INDENT * 2}{_input_line(entry)}" for entry in step["inputs"])]
    return lines + _items(step.get("items"))


_WHY_WITHOUT = {
    "no_provider": "no step of the plan provides it",
    "not_waited": "it was not there when the required inputs were, and it has no deadline to wait for",
    "deadline_passed": "its deadline of {deadline} passed before it came",
    "providers_ended": "its providers ended without giving it",
    "late": "it came after its deadline of {deadline}",
}


def _why_without(entry: JSONObject) -> str:
    """Why an optional input went without its attribute's value, possibly empty."""
    return _WHY_WITHOUT.get(entry.get("why", ""), "").format(deadline=duration(entry.get("deadline_ms", 0)))


def _input_line(entry: JSONObject) -> str:
    name = _input(entry)
    inner = f", called {entry['inner']} inside" if entry.get("inner") else ""
    received = shown(entry["received"]) if "received" in entry else ""
    outcome = entry.get("outcome")
    if entry["role"] == "const":
        return f"{name}{inner}: {received}"
    if entry["role"] == "meta":
        return f"{name}{inner}: known only at each call"
    why = _why_without(entry)
    if outcome == "value":
        return f"{name}{inner}: {received}{_sources(entry)}"
    if outcome == "default":
        return f"{name}{inner}: its default {received}" + (f": {why}" if why else "")
    if outcome == "absent":
        return f"{name}{inner}: {_without(entry, why)}"
    verdict = entry.get("verdict", "")
    if verdict == "undecided":
        return f"{name}{inner}: its match decides, {_undecided(entry)}"
    if outcome == "waits" or verdict == "possible":
        return f"{name}{inner}: awaited{_awaited(entry)}"
    return f"{name}{inner}: {'there' + at(entry.get('since')) if verdict == 'fulfilled' else verdict}"


def _without(entry: JSONObject, why: str) -> str:
    if entry.get("collect") == "none" and entry.get("verdict") == "fulfilled":
        return "absent, as it should be"
    return f"not received{f': {why}' if why else ''}"


def _sources(entry: JSONObject) -> str:
    used = entry.get("used") or []
    converted = ", converted by the mapping's script" if entry.get("converted") else ""
    if not used:
        return converted
    sources = listed([f"{value.get('step') or 'init'}{at(value['set'])}" for value in used])
    others = len(entry.get("candidates") or []) + entry.get("more_candidates", 0) - len(used)
    rest = f", {count(others, 'other value')} not used" if others > 0 and entry["collect"] in ("first", "last") else ""
    return f", from {sources}{rest}{converted}"


def _items(items: JSONObject | None) -> list[str]:
    if not items or not items["total"]:
        return []
    statuses = ", ".join(f"{number} {status}" for status, number in sorted(items["by_status"].items()))
    lines = [f"{INDENT}{count(items['total'], 'work item')}: {statuses}"]
    for item in items.get("listed") or []:
        lines += _item(item)
    return lines + ([f"{INDENT * 2}and {items['more']} more"] if items.get("more") else [])


_WHY_ITEM = {
    "remembered": ": the same inputs had given these outputs before, nothing was called",
    "step_failed": ": its step had failed",
    "flow_ended": ": the flow had ended",
    "predicate": ": the predicate returned false before its retry",
    "late_result": ": its result came after it had been given up",
}


def _item(item: JSONObject) -> list[str]:
    why = _WHY_ITEM.get(item.get("why", ""), "")
    child = f", sub-flow {item['child']}" if item.get("child") else ""
    lines = [f"{INDENT * 2}#{item['index']}{_own(item)} {item['status']}{at(item.get('ended'))}{why}{child}"]
    if item.get("earlier_attempts"):
        lines.append(f"{INDENT * 3}{count(item['earlier_attempts'], 'earlier attempt')} not shown")
    lines += [f"{INDENT * 3}{_attempt(attempt, 'attempt')}" for attempt in item.get("attempts") or []]
    undo = item.get("undo") or []
    if undo:
        late = item.get("undo_why") == "late_result"
        lines.append(
            f"{INDENT * 3}undone because {'it succeeded after its step had failed' if late else 'its step failed'}:"
        )
        lines += [f"{INDENT * 4}{_attempt(attempt, 'undo attempt')}" for attempt in undo]
    return lines


_OUTCOMES = {
    "running": "not answered yet",
    "succeeded": "succeeded",
    "failed": "failed",
    "not_completed": "gave no answer that counts",
    "taken_over": "its node was gone, another call was made",
}


def _attempt(attempt: JSONObject, noun: str) -> str:
    node = f" on {attempt['node_id']}" if attempt.get("node_id") else ""
    error = f": {quoted(attempt['error'])}" if attempt.get("error") else ""
    retry = f"; again at {after(attempt['retry_at'])}" if attempt.get("retry_at") else ""
    ended = attempt.get("ended")
    when = f" at {after(ended)}" if ended else ""
    return (
        f"{noun} {attempt['number']}{at(attempt['started'])}{node}: {_OUTCOMES[attempt['outcome']]}{when}{error}{retry}"
    )


# Attributes


def _attribute_in_full(told: JSONObject) -> list[str]:
    name, values = told["name"], told.get("values") or []
    lines: list[str] = []
    for value in values:
        lines += _traced(value, 0)
    if told.get("more_values"):
        lines.append(f"and {told['more_values']} more values of {name}")
    for step, constant in (told.get("constants") or {}).items():
        lines.append(f"{name} is the constant {shown(constant)} in {step}")
    if not values and not told.get("constants"):
        lines += _valueless(told)
    if told.get("readers"):
        lines.append(f"{name} is read by {listed(told['readers'])}")
    return lines


def _valueless(told: JSONObject) -> list[str]:
    name, providers = told["name"], told.get("providers") or []
    if not providers:
        return [f"{name} has no value: no step of the plan gives it, and init does not supply it"]
    still = [p for p in providers if p["status"] in ("pending", "active")]
    source = listed([f"{p['step']} ({p['status']})" for p in (still or providers)], "or")
    lines = [f"{name} has no value yet: it can come from {source}" if still else f"{name} has no value"]
    causes: list[JSONObject] = told.get("because") or []
    return lines + _because(causes)


def _traced(value: JSONObject, depth: int) -> list[str]:
    indent = INDENT * depth
    line = f"{indent}{value['attribute']} = {shown(value['value'])}"
    if not value.get("step"):
        return [f"{line}, from init"]
    inner = f", there called {value['inner']}" if value.get("inner") else ""
    converted = ", converted by the mapping's script" if value.get("converted") else ""
    items = f", collected from {count(value['items'], 'work item')}" if value.get("items") else ""
    lines = [f"{line}, from {value['step']}{at(value['set'])} (event {value['set']['event']}){inner}{converted}{items}"]
    if value.get("seen"):
        lines[0] += ", traced above"
    if value.get("untraced"):
        lines[0] += ", not traced further; ask about it"
    item = value.get("item")
    if item and len(item.get("attempts") or []) > 1:
        lines.append(f"{indent}{INDENT}given by {_tries(item)}")
    for origin in value.get("origins") or []:
        lines += _origin(origin, depth + 1)
    return lines


def _origin(origin: JSONObject, depth: int) -> list[str]:
    indent = INDENT * depth
    values = origin.get("values") or []
    if values:
        lines = [line for value in values for line in _traced(value, depth)]
        inner = f" as {origin['inner']}" if origin.get("inner") else ""
        if inner or origin.get("converted"):
            how = ", converted by the mapping's script" if origin.get("converted") else ""
            lines[0] += f"; received{inner}{how}"
        return lines
    if origin["role"] == "meta":
        return [f"{indent}{origin['name']}: the {origin.get('key', '')} of each call"]
    received = shown(origin["received"]) if "received" in origin else ""
    if origin["role"] == "const":
        return [f"{indent}{origin['name']} = {received}, a constant of the step"]
    if origin.get("outcome") == "default":
        why = _why_without(origin)
        return [f"{indent}{origin['name']} = {received}, the default" + (f": {why}" if why else "")]
    why = _why_without(origin)
    return [f"{indent}{origin['name']}: {received or 'not received'}" + (f": {why}" if why else "")]
