"""What a flow waits for, in words: who has to answer, since when, and when time alone ends the wait."""

from collections.abc import Callable

from argyll.draw.phrases import INDENT, after, at, attempt_of, duration, listed, quoted
from argyll.model.wire import JSONObject


def waiting(answer: JSONObject) -> list[str]:
    """What the flow waits for, a line each; nothing when it waits for nothing."""
    waits = answer["waiting"]
    if not waits:
        return []
    return ["", "it waits for:", *(f"{INDENT}{_wait(wait, answer['flow_id'])}" for wait in waits)]


def _wait(wait: JSONObject, flow_id: str) -> str:
    if wait["kind"] == "engine":
        subject = f"{wait['step']}: " if wait.get("step") else ""
        return f"{subject}nothing outside: the engine goes on by itself"
    if wait["kind"] == "deadline":
        sources = [f"{p['step']} ({p['status']})" for p in wait.get("providers") or []]
        source = f" from {listed(sources, 'or')}" if sources else ""
        return f"{wait['step']}: its optional input {wait['input']}{source} until {after(wait['due'])}, then it goes on without"
    first: JSONObject = (wait.get("items") or [{}])[0]
    many = f" ({wait['count']} items, the first of them told)" if wait.get("count", 1) > 1 else ""
    return f"{wait['step']}: {_WAITS[wait['kind']](wait, first, flow_id)}{many}"


def _webhook(wait: JSONObject, item: JSONObject, flow_id: str) -> str:
    token = item.get("token")
    path = f"; POST /webhook/{flow_id}/{wait['step']}/{token} ends it" if token else ""
    return f"the webhook of {wait['endpoint']}, called{at(item['since'])} ({_attempt(item)}){path}"


def _answer(wait: JSONObject, item: JSONObject, flow_id: str) -> str:
    most = f", at most {duration(wait['timeout_ms'])}" if wait.get("timeout_ms") else ""
    return f"the answer of {wait['endpoint']}, called{at(item['since'])} ({_attempt(item)}){most}"


def _attempt(item: JSONObject, more: int = 0) -> str:
    return attempt_of(item.get("attempt", 0) + more, item.get("max_attempts", 0))


def _retry(wait: JSONObject, item: JSONObject, flow_id: str) -> str:
    last = f"; {attempt_of(item['attempt'], 0)}: {quoted(item['error'])}" if item.get("error") else ""
    return f"its retry, due{at(item['due'])} ({_attempt(item, 1)}){last}"


def _undo_retry(wait: JSONObject, item: JSONObject, flow_id: str) -> str:
    last = f"; the last one: {quoted(item['error'])}" if item.get("error") else ""
    return f"the next attempt to undo its work, due{at(item['due'])}{last}"


_WAITS: dict[str, Callable[[JSONObject, JSONObject, str], str]] = {
    "webhook": _webhook,
    "answer": _answer,
    "retry": _retry,
    "undo_retry": _undo_retry,
    "script": lambda wait, item, flow_id: f"its script, running{at(item['since'])} in a worker",
    "child": lambda wait, item, flow_id: f"its sub-flow {item.get('child', '')}, started{at(item['since'])}",
    "slot": lambda wait, item, flow_id: "a free place among its work items (parallelism)",
    "health": lambda wait, item, flow_id: (
        f"its health: put off{at(item['since'])} while it is unhealthy, though not for ever"
    ),
    "claim": lambda wait, item, flow_id: f"a node to take it up, since {after(item['since'])}",
    "undo": lambda wait, item, flow_id: f"its work to be undone by {wait['endpoint']}, called{at(item['since'])}",
}
