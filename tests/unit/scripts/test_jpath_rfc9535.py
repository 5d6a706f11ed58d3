"""jpath beside RFC 9535: the examples of its tables, and each documented difference."""

import json

import pytest

from argyll.scripts import CompileError, Scripts, conformance
from argyll.scripts.conformance import run_rfc9535_case
from tools.reference.scripts import JPATH_DIFFERENCES

SCRIPTS = Scripts()

STORE = {
    "store": {
        "book": [
            {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
            {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99},
            {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings", "isbn": "0-395-19395-8", "price": 22.99},
        ],
        "bicycle": {"color": "red", "price": 399},
    }
}  # fmt: skip
BOOKS = STORE["store"]["book"]
LETTERS = ["a", "b", "c", "d", "e", "f", "g"]
FILTERED = {
    "a": [3, 5, 1, 2, 4, 6, {"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}],
    "o": {"p": 1, "q": 2, "r": 3, "s": 5, "t": {"u": 6}},
    "e": "f",
}
DEEP = {"o": {"j": 1, "k": 2}, "a": [5, 3, [{"j": 4}, {"k": 6}]]}
COMPARED = {"obj": {"x": "y"}, "arr": [2, 3]}
NULLS = {"a": None, "b": [None], "c": [{}], "null": 1}
KEYS = {"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}


EXAMPLES = [
    # 1.5: the store
    ("$.store.book[*].author", STORE, [book["author"] for book in BOOKS]),
    ("$..author", STORE, [book["author"] for book in BOOKS]),
    ("$.store.*", STORE, [STORE["store"]["bicycle"], BOOKS]),
    ("$.store..price", STORE, [399, 8.95, 12.99, 8.99, 22.99]),
    ("$..book[2]", STORE, [BOOKS[2]]),
    ("$..book[2].author", STORE, ["Herman Melville"]),
    ("$..book[2].publisher", STORE, []),
    ("$..book[-1]", STORE, [BOOKS[3]]),
    ("$..book[0,1]", STORE, BOOKS[:2]),
    ("$..book[:2]", STORE, BOOKS[:2]),
    ("$..book[?@.isbn]", STORE, BOOKS[2:]),
    ("$..book[?@.price<10]", STORE, [BOOKS[0], BOOKS[2]]),
    # 2.2: root; 2.3.1: names
    ("$", {"k": "v"}, [{"k": "v"}]),
    ("$.o['j j']", KEYS, [{"k.k": 3}]),
    ("$.o['j j']['k.k']", KEYS, [3]),
    ('$.o["j j"]["k.k"]', KEYS, [3]),
    ('$["\'"]["@"]', KEYS, [2]),
    # 2.3.2: wildcards
    ("$[*]", {"o": {"j": 1, "k": 2}, "a": [5, 3]}, [[5, 3], {"j": 1, "k": 2}]),
    ("$.o[*]", {"o": {"j": 1, "k": 2}, "a": [5, 3]}, [1, 2]),
    ("$.o[*, *]", {"o": {"j": 1, "k": 2}, "a": [5, 3]}, [1, 2, 1, 2]),
    ("$.a[*]", {"o": {"j": 1, "k": 2}, "a": [5, 3]}, [5, 3]),
    # 2.3.3: indexes; 2.3.4: slices
    ("$[1]", ["a", "b"], ["b"]),
    ("$[-2]", ["a", "b"], ["a"]),
    ("$[1:3]", LETTERS, ["b", "c"]),
    ("$[5:]", LETTERS, ["f", "g"]),
    ("$[1:5:2]", LETTERS, ["b", "d"]),
    ("$[5:1:-2]", LETTERS, ["f", "d"]),
    ("$[::-1]", LETTERS, LETTERS[::-1]),
    # 2.3.5: filters
    ("$.a[?@.b == 'kilo']", FILTERED, [{"b": "kilo"}]),
    ("$.a[?(@.b == 'kilo')]", FILTERED, [{"b": "kilo"}]),
    ("$.a[?@>3.5]", FILTERED, [5, 4, 6]),
    ("$.a[?@.b]", FILTERED, [{"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}]),
    ("$[?@.*]", FILTERED, [FILTERED["a"], FILTERED["o"]]),
    ("$[?@[?@.b]]", FILTERED, [FILTERED["a"]]),
    ("$.o[?@<3, ?@<3]", FILTERED, [1, 2, 1, 2]),
    ('$.a[?@<2 || @.b == "k"]', FILTERED, [1, {"b": "k"}]),
    ('$.a[?match(@.b, "[jk]")]', FILTERED, [{"b": "j"}, {"b": "k"}]),
    ('$.a[?search(@.b, "[jk]")]', FILTERED, [{"b": "j"}, {"b": "k"}, {"b": "kilo"}]),
    ("$.o[?@>1 && @<4]", FILTERED, [2, 3]),
    ("$.o[?@.u || @.x]", FILTERED, [{"u": 6}]),
    ("$.a[?@.b == $.x]", FILTERED, [3, 5, 1, 2, 4, 6]),
    ("$.a[?@ == @]", FILTERED, FILTERED["a"]),
    # 2.5.1: child segments; 2.5.2: descendants
    ("$[0, 3]", LETTERS, ["a", "d"]),
    ("$[0:2, 5]", LETTERS, ["a", "b", "f"]),
    ("$[0, 0]", LETTERS, ["a", "a"]),
    ("$..j", DEEP, [4, 1]),
    ("$..[0]", DEEP, [5, {"j": 4}]),
    ("$..o", DEEP, [{"j": 1, "k": 2}]),
    ("$.o..[*, *]", DEEP, [1, 2, 1, 2]),
    ("$.a..[0, 1]", DEEP, [5, 3, {"j": 4}, {"k": 6}]),
    # 2.6: null
    ("$.a", NULLS, [None]),
    ("$.a[0]", NULLS, []),
    ("$.a.d", NULLS, []),
    ("$.b[0]", NULLS, [None]),
    ("$.b[*]", NULLS, [None]),
    ("$.b[?@]", NULLS, [None]),
    ("$.b[?@==null]", NULLS, [None]),
    ("$.c[?@.d==null]", NULLS, []),
    ("$.null", NULLS, [1]),
]


@pytest.mark.parametrize(("query", "document", "expected"), EXAMPLES)
def test_answers_as_the_examples_of_the_rfc(query, document, expected):
    case = {"name": query, "selector": query, "document": document, "result": expected}
    assert run_rfc9535_case(SCRIPTS, case) is None


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [
        ("$.absent1 == $.absent2", True), ("$.absent == 'g'", False), ("$.absent1 != $.absent2", False),
        ("$.absent != 'g'", True), ("1 <= 2", True), ("1 > 2", False), ("13 == '13'", False), ("'a' <= 'b'", True),
        ("'a' > 'b'", False), ("$.obj == $.arr", False), ("$.obj != $.arr", True), ("$.obj == $.obj", True),
        ("$.obj != $.obj", False), ("$.arr == $.arr", True), ("$.arr != $.arr", False), ("$.obj == 17", False),
        ("$.obj != 17", True), ("$.obj <= $.arr", False), ("$.obj < $.arr", False), ("$.obj <= $.obj", True),
        ("$.arr <= $.arr", True), ("1 <= $.arr", False), ("1 >= $.arr", False), ("1 > $.arr", False),
        ("1 < $.arr", False), ("true <= true", True), ("true > true", False),
    ],
)  # fmt: skip
def test_compares_as_the_table_of_the_rfc(comparison, holds):
    assert SCRIPTS.compile("jpath", comparison).test_value(COMPARED) is holds


@pytest.mark.parametrize(
    ("query", "sound"),
    [
        ("$[?length(@) < 3]", True), ("$[?length(@.*) < 3]", False), ("$[?count(@.*) == 1]", True),
        ("$[?count(1) == 1]", False), ("$[?count(foo(@.*)) == 1]", False), ("$[?match(@.timezone, 'Europe/.*')]", True),
        ("$[?match(@.timezone, 'Europe/.*') == true]", False), ("$[?value(@..color) == 'red']", True),
        ("$[?value(@..color)]", False), ("$[?bar(@.a)]", False), ("$[?bnl(@.*)]", False), ("$[?blt(1==1)]", False),
    ],
)  # fmt: skip
def test_types_functions_as_the_table_of_the_rfc(query, sound):
    if sound:
        SCRIPTS.compile("jpath", query)
    else:
        with pytest.raises(CompileError):
            SCRIPTS.compile("jpath", query)


DIFFERENT = {
    "$.total > 100": ({"a": 1, "total": 101}, [1, 101]),
    "$\u00a0.a": ({"a": 1}, [1]),
    "$[?@.a == 1 == true]": ([{"a": 1}, {"a": 2}], [{"a": 1}]),
    "$[?(@.a) == 1]": ([{"a": 1}, {"a": True}], [{"a": 1}]),
    "$[?@.x <= @.y]": ([{}, {"x": 1, "y": 1}], [{"x": 1, "y": 1}]),
    "$[?match(@.*, 'a')]": ([["a"], ["a", "a"]], [["a"]]),
    "$[?length(@.a == 1) == 1]": ([{"a": 1}], []),
    "$[?search(@, '(?i)^ab\\\\d')]": (["AB1", "xab1"], ["AB1"]),
    "$.*": ({"b": 1, "a": 2}, [2, 1]),
    "$.a[?@.b[?$.c]]": ({"a": [{"b": [1], "c": 1}, {"b": [1]}]}, [{"b": [1], "c": 1}]),
    "$[?@ == 1e999]": None,
    "$[?Größe(@) == 1]": None,
}
"""The example of each difference: a document and what is selected, or None for an error."""


@pytest.mark.parametrize("query", [query for _, query, _ in JPATH_DIFFERENCES])
def test_differs_only_as_documented(query):
    if DIFFERENT[query] is None:
        with pytest.raises(CompileError):
            SCRIPTS.compile("jpath", query)
    else:
        document, expected = DIFFERENT[query]
        case = {"name": query, "selector": query, "document": document, "result": expected}
        assert run_rfc9535_case(SCRIPTS, case) is None


def test_a_compliance_suite_is_run_like_any_file_of_cases(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(conformance, "configure_process", lambda _limit: None)
    suite = [
        {"name": "one", "selector": "$.a", "document": {"a": 1}, "result": [1]},
        {"name": "either order", "selector": "$.*", "document": {"a": 1, "b": 2}, "results": [[2, 1], [1, 2]]},
        {"name": "no query", "selector": "$.", "invalid_selector": True},
        {"name": "wrong on purpose", "selector": "$.a", "document": {"a": 1}, "result": [2]},
    ]
    (tmp_path / "cts.json").write_text(json.dumps({"description": "a suite", "tests": suite}))
    assert conformance.main([str(tmp_path / "cts.json")]) == 1
    said = capsys.readouterr()
    assert "scripts: 3 of 4 passed" in said.out
    assert "wrong on purpose" in said.out
