"""The smallest files that raise each finding: shown in `docs/diagnostics.md`, and proven by the tests."""

from collections.abc import Mapping

_HTTP = "http: {endpoint: 'http://localhost:9710/run'}\n"
_TOTAL = "  total: {role: output, type: number}\n"


def _sync(step_id: str, attributes: str, http: str = _HTTP, more: str = "") -> str:
    return f"id: {step_id}\nname: Example\ntype: sync\nattributes:\n{attributes}{http}{more}"


def _a(attributes: str = _TOTAL, http: str = _HTTP, more: str = "") -> dict[str, str]:
    return {"a.yaml": _sync("a", attributes, http, more)}


def _script(language: str, text: str, attributes: str = _TOTAL) -> dict[str, str]:
    text = "".join(f"    {line}\n" for line in text.splitlines())
    step = f"id: a\nname: Example\ntype: script\nattributes:\n{attributes}"
    return {"a.yaml": f"{step}script:\n  language: {language}\n  script: |\n{text}"}


def _flow(step_id: str, goals: str) -> str:
    return f"id: {step_id}\nname: Example\ntype: flow\nflow:\n  goals: {goals}\n"


_FILE: dict[str, Mapping[str, str]] = {
    "ARG001": _a("  total: {role: output, type: 'number}\n"),
    "ARG002": _a(more="memoizable: false\nmemoizable: true\n"),
    "ARG004": {"a.yaml": "- id: a\n- id: b\n"},
    "ARG005": _a(more="labels:\n  1: first\n"),
    "ARG006": {"a.yaml": "id: a\nname: Example\ntype: sync\nhttp:\n\tendpoint: http://localhost:9710/run\n"},
    "ARG007": _a(more="labels: &common {team: shop}\nwork_config:\n  <<: *common\n"),
    "ARG008": _a(more="labels: {team: !env TEAM}\n"),
    "ARG009": _a(more="labels: {team: 'ring \a bell'}\n"),
    "ARG010": _a(more="labels: {team: 'one \u2028 two'}\n"),
    "ARG011": _a(more="labels:\n  deep: " + "[" * 101 + "]" * 101 + "\n"),
    "ARG012": _a(more="labels: {fragile: yes}\n"),
    "ARG014": {"a.yaml": "id: a\n<<<<<<< HEAD\nname: Ours\n=======\nname: Theirs\n>>>>>>> main\n"},
    "ARG015": {"a.yaml": "replicas: 3\nimage: shop\n"},
    "ARG090": _a(more="memoizable: true  # argyll: ignore[ARG205]\n"),
}

_FIELDS: dict[str, Mapping[str, str]] = {
    "ARG101": _a("  total: {role: output, tpye: number}\n"),
    "ARG102": {"a.yaml": f"id: a\ntype: sync\n{_HTTP}attributes:\n{_TOTAL}"},
    "ARG103": _a(
        more='work_config: {parallelism: "4"}\n', attributes="  xs: {role: required, for_each: true}\n" + _TOTAL
    ),
    "ARG104": {"a.yaml": f"id: a\nname: Example\ntype: http\nattributes:\n{_TOTAL}"},
    "ARG105": _a("  user: {role: input}\n" + _TOTAL),
    "ARG106": _a(http="http: {endpoint: ''}\n"),
    "ARG107": _a(http="http: {endpoint: 'http://localhost:9710/run', timeout: 0}\n"),
    "ARG108": _a(more="work_config: {init_backoff: 5000, max_backoff: 1000}\n"),
    "ARG109": _a(more="work_config: {max_retries: 0}\n"),
    "ARG112": _a("  user:\n    role: optional\n    default: guest\n    optional: {default: nobody}\n" + _TOTAL),
}

_STEP: dict[str, Mapping[str, str]] = {
    "ARG201": {"a.yaml": _sync("Charge Card", _TOTAL)},
    "ARG202": {"a.yaml": f"id: a\nname: Example\ntype: sync\nattributes:\n{_TOTAL}"},
    "ARG203": _a(more="script: {language: ale, script: '{:total 1}'}\n"),
    "ARG204": _a(
        http="http: {endpoint: 'http://localhost:9710/run', compensate: 'http://localhost:9710/undo'}\n",
        more="memoizable: true\n",
    ),
    "ARG205": _a("  token: {role: meta, key: receipt_token}\n" + _TOTAL, more="memoizable: true\n"),
    "ARG206": _a(http="http: {endpoint: 'http://localhost:9710/run', method: DELETE}\n", more="memoizable: true\n"),
    "ARG207": _a(more="work_config: {parallelism: 4}\n"),
    "ARG209": _a("  xs: {role: required, for_each: true}\n  ys: {role: required, for_each: true}\n" + _TOTAL),
    "ARG210": {"b.yaml": _sync("a", _TOTAL)},
    "ARG211": _a("  user: {role: required}\n"),
}

_ATTRIBUTES: dict[str, Mapping[str, str]] = {
    "ARG301": _a("  user: {role: required, default: guest}\n" + _TOTAL),
    "ARG302": _a("  user: {role: required, type: object, for_each: true}\n" + _TOTAL),
    "ARG303": _a('  user: {role: optional, default: \'{"name": "guest"}\'}\n' + _TOTAL),
    "ARG304": _a("  user: {role: optional, type: string, default: 5}\n" + _TOTAL),
    "ARG305": _a("  user: {role: optional, default: guest, deadline: -1}\n" + _TOTAL),
    "ARG306": _a("  user: {role: required, deadline: 500}\n" + _TOTAL),
    "ARG307": _a("  user: {role: optional, deadline: 500}\n" + _TOTAL),
    "ARG308": _a("  currency: {role: const}\n" + _TOTAL),
    "ARG309": _a("  flow: {role: meta, key: flowid}\n" + _TOTAL),
    "ARG310": _a("  callback: {role: meta, key: webhook_url}\n" + _TOTAL),
    "ARG311": _a("  currency: {role: const, value: EUR, mapping: {name: unit}}\n" + _TOTAL),
    "ARG312": _a("  user: {role: required, mapping: {}}\n" + _TOTAL),
    "ARG313": _a("  email: {role: required}\n  user_email: {role: required, mapping: {name: email}}\n" + _TOTAL),
    "ARG314": _a("  user: {role: required, mapping: {name: user}}\n" + _TOTAL),
    "ARG316": _a("  price: {role: required, type: number, collect: all}\n" + _TOTAL),
    "ARG317": _a("  price: {role: required, collect: none, for_each: true}\n" + _TOTAL),
}

_HTTP_EXAMPLES: dict[str, Mapping[str, str]] = {
    "ARG401": _a("  user_id: {role: required}\n" + _TOTAL, "http: {endpoint: 'http://localhost:9710/{user}'}\n"),
    "ARG402": _a(
        "  user_id: {role: required, mapping: {name: id}}\n" + _TOTAL,
        "http: {endpoint: 'http://localhost:9710/{user_id}'}\n",
    ),
    "ARG404": _a("  user: {role: required}\n" + _TOTAL, "http: {endpoint: 'http://localhost:9710/{user'}\n"),
    "ARG406": _a(http="http: {endpoint: 'localhost:9710/run'}\n"),
    "ARG407": _a("  user: {role: required}\n" + _TOTAL, "http: {endpoint: 'http://localhost:9710/run', method: GET}\n"),
    "ARG408": _a(
        "  user: {role: required, type: object}\n" + _TOTAL, "http: {endpoint: 'http://localhost:9710/{user}'}\n"
    ),
    "ARG411": _a(
        http="http: {endpoint: 'http://localhost:9710/run', health_check: 'http://localhost:9710/{x}/health'}\n"
    ),
}

_SCRIPT_EXAMPLES: dict[str, Mapping[str, str]] = {
    "ARG501": _script("ale", "{:total (+ price tax)}", "  price: {role: required}\n" + _TOTAL),
    "ARG502": _script("lua", "return {total = }"),
    "ARG503": _a("  user: {role: required, mapping: {script: {language: jpath, script: '$.users[*'}}}\n" + _TOTAL),
    "ARG504": _script("jpath", "$.total"),
}

_WIRING: dict[str, Mapping[str, str]] = {
    "ARG600": {"a.yaml": _sync("a", _TOTAL), "b.yaml": _sync("a", _TOTAL)},
    "ARG601": _a("  user: {role: required}\n" + _TOTAL),
    "ARG602": _a(),
    "ARG603": {"a.yaml": _sync("a", _TOTAL), "b.yaml": _sync("b", "  total: {role: required, type: string}\n")},
    "ARG605": {
        "a.yaml": _sync("a", "  x: {role: required}\n  y: {role: output}\n"),
        "b.yaml": _sync("b", "  y: {role: required}\n  x: {role: output}\n"),
    },
    "ARG607": {
        "a.yaml": _sync("a", "  price: {role: output}\n"),
        "b.yaml": _sync("b", "  price: {role: output}\n"),
        "c.yaml": _sync("c", "  price: {role: required}\n" + _TOTAL),
    },
    "ARG608": {
        "a.yaml": _sync("a", "  price: {role: output}\n", more="predicate: {language: ale, script: 'true'}\n"),
        "b.yaml": _sync("b", "  price: {role: required}\n" + _TOTAL),
    },
    "ARG610": {
        "a.yaml": _sync("a", "  customer_id: {role: output}\n"),
        "b.yaml": _sync("b", "  costumer_id: {role: required}\n" + _TOTAL),
    },
    "ARG700": {"a.yaml": _sync("a", _TOTAL), "b.yaml": _flow("b", "[a, score]")},
    "ARG701": {"a.yaml": _flow("a", "[b]"), "b.yaml": _flow("b", "[a]")},
    "ARG706": {"a.yaml": _sync("a", _TOTAL), "b.yaml": _flow("b", "[a, a]")},
    "ARG804": {"argyll.yaml": "check:\n  rules:\n    ARG101: off\n"},
    "ARG810": {"a.yaml": _sync("a", _TOTAL, more='labels: {team: "${{ values.team.upper() }}"}\n')},
    "ARG811": {
        "argyll.yaml": "values: [values.yaml]\n",
        "values.yaml": "team: pay\n",
        "a.yaml": _sync("a", _TOTAL, more='labels: {team: "${{ values.taem }}"}\n'),
    },
    "ARG812": {"argyll.yaml": "values: [values.yaml]\n", "a.yaml": _sync("a", _TOTAL)},
    "ARG813": {
        "argyll.yaml": "values: [values.yaml]\n",
        "values.yaml": "teams: [pay, risk]\n",
        "a.yaml": _sync("a", _TOTAL, more='labels: {team: "team ${{ values.teams }}"}\n'),
    },
}

EXAMPLES: dict[str, Mapping[str, str]] = {
    **_FILE,
    **_FIELDS,
    **_STEP,
    **_ATTRIBUTES,
    **_HTTP_EXAMPLES,
    **_SCRIPT_EXAMPLES,
    **_WIRING,
}
"""By code, the texts of files by path. Findings of severity error and warning are of that code only."""
