"""What jpath queries select, compare and refuse."""

import pytest

from argyll.model.wire import step_from_json
from argyll.scripts import CompileError, RunError, Scripts

SCRIPTS = Scripts()
STORE = {
    "books": [
        {"title": "A", "price": 8, "tags": ["x"]},
        {"title": "B", "price": 12.5},
        {"title": "C", "price": 20, "isbn": None},
    ],
    "owner": {"name": "Ann", "e.mail": "ann@example.com"},
}


def mapped(query, document=STORE):
    return SCRIPTS.compile("jpath", query).map({}, document)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$.owner.name", "Ann"),
        ("$['owner']['e.mail']", "ann@example.com"),
        ("$.books[0].title", "A"),
        ("$.books[-1].title", "C"),
        ("$.books[*].title", ["A", "B", "C"]),
        ("$.books[0, -1].title", ["A", "C"]),
        ("$.books[1:].title", ["B", "C"]),
        ("$.books[::-1].title", ["C", "B", "A"]),
        ("$..price", [8, 12.5, 20]),
        ("$..[0]", [STORE["books"][0], "x"]),
        ("$.owner.*", ["ann@example.com", "Ann"]),
        ("$.books[?@.price > 10].title", ["B", "C"]),
        ("$.books[?@.isbn].title", "C"),
        ("$.books[?@.isbn == null].title", "C"),
        ("$.books[?!@.tags].title", ["B", "C"]),
        ("$.books[?@.price < 10 || @.title == 'C'].title", ["A", "C"]),
        ("$.books[?(@.price > 10) && (@.price < 15)].title", "B"),
        ("$.books[?length(@.tags) == 1].title", "A"),
        ("$.books[?count(@.*) >= 3].title", ["A", "C"]),
        ("$.books[?value(@.tags[*]) == 'x'].title", "A"),
        ('$.books[?match(@.title, "[AB]")].title', ["A", "B"]),
        ('$..[?search(@, "@ex.*[.]com$")]', "ann@example.com"),
        ("$.books[?@.price == $.books[1].price].title", "B"),
        ("$.books[?@.price >= 8 == true].title", ["A", "B", "C"]),
        ("$ .books [ 0 ] .title", "A"),
        ("($.owner.name)", "Ann"),
        ("@.name == 'Ann'", STORE["owner"]),
    ],
)
def test_selects(query, expected):
    """execution.md 13.7/75"""
    assert mapped(query) == expected


@pytest.mark.parametrize("query", ["$.nothing", "$.books.title", "$.owner[0]", "$.books[9]", "$.books[::0]", "$ == 1"])
def test_no_match_is_no_value(query):
    """execution.md 13.7/73"""
    with pytest.raises(RunError, match="no matches"):
        mapped(query)


@pytest.mark.parametrize(
    ("left", "operator", "right", "holds"),
    [
        (1, "==", 1.0, True),
        (1, "==", True, False),
        (2**53 + 1, "==", 2**53, False),
        ("1", "==", 1, False),
        ([1, {"a": 2}], "==", [1, {"a": 2.0}], True),
        ([True], "==", [1], False),
        (True, ">=", True, True),
        (None, "<=", None, True),
        ("a", "<", "b", True),
        ("a", "<", 1, False),
        ([1], "<", [2], False),
        (1, "!=", "1", True),
    ],
)
def test_compares_without_coercion(left, operator, right, holds):
    query = SCRIPTS.compile("jpath", f"$.left {operator} $.right")
    assert query.test({"left": left, "right": right}) is holds


@pytest.mark.parametrize(
    ("query", "holds"),
    [("$.a == $.b", True), ("$.a != $.b", False), ("$.a <= $.b", False), ("$.a == null", False), ("$.x != $.a", True),
     ("$.x < $.a", False), ("length($.a) == value($..zz)", True)],
)  # fmt: skip
def test_missing_values_equal_only_each_other(query, holds):
    assert SCRIPTS.compile("jpath", query).test({"x": 1}) is holds


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        ("a.c", "a\nc", False),
        ("a[.]c", "a.c", True),
        (r"a\.c", "abc", False),
        ("(?i)ABC", "abc", True),
        ("(a+)+$", "a" * 50_000 + "b", False),
        ("[", "[", False),
        ("é+", "éé", True),
        ("a", "\ud800", False),
    ],
)
def test_matches_with_re2(pattern, text, holds):
    assert SCRIPTS.compile("jpath", "match($.text, $.pattern)").test({"text": text, "pattern": pattern}) is holds


@pytest.mark.parametrize(
    ("query", "words", "column"),
    [
        ("foo", "a path ($ or @)", 1),
        (" $.a", "white space", 1),
        ("$.a ", "white space", 1),
        ("$.a = 1", "unexpected '='", 5),
        ("true", "must be compared", 1),
        ("$.* == 1", "one node", 1),
        ("$[?count(1) == 1]", "takes a path", 4),
        ("$[?length(@.*) == 1]", "one node", 4),
        ("$[?length(@.a)]", "must be compared", 4),
        ("$[?match(@.a, 'x') == true]", "test already", 4),
        ("$[?max(@.a) == 1]", "unknown function max()", 4),
        ("$[?match(@.a)]", "takes 2 arguments, got 1", 4),
        ("$[?@[?1]]", "must be compared", 7),
        ("$[01]", "expected", 3),
        ("$[-0]", "expected", 3),
        ("$[9007199254740992]", "out of range", 3),
        ("$..", "a member name", 4),
        ("$. a", "a member name", 3),
        ("$['a", "never closed", 3),
        ("$['\\ud800']", "surrogate", 4),
        ("$['\\q']", "unknown escape", 4),
        ("$['\n']", "control character", 4),
        ("$[?@ == 1e999]", "out of range", 9),
        ("$[?@ == 01]", "malformed number", 9),
        ("(" * 100 + "$" + ")" * 100, "nests deeper", 65),
    ],
)
def test_refuses_with_a_place_and_a_mend(query, words, column):
    with pytest.raises(CompileError) as caught:
        SCRIPTS.compile("jpath", query)
    assert words in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)


def test_a_match_sees_the_candidate_and_a_predicate_the_arguments():
    assert SCRIPTS.compile("jpath", "$.kind").test_value({"kind": None})
    assert not SCRIPTS.compile("jpath", "$.kind").test_value("kind")
    assert not SCRIPTS.compile("jpath", "$ == 'email'").test_value("email")
    assert SCRIPTS.compile("jpath", "$.kind", ["kind"]).test({"kind": False})


def test_deep_documents_are_walked():
    document = {"a": 1}
    for _ in range(500):
        document = {"next": document}
    assert mapped("$..a", document) == 1


def test_white_space_around_a_query_is_not_part_of_it_in_a_definition():
    step = step_from_json(
        {"id": "a", "name": "A", "type": "sync", "predicate": {"language": "jpath", "script": "\n  $.a \t"}}
    )
    assert step.predicate is not None
    assert step.predicate.script == "$.a"
    assert SCRIPTS.compile("jpath", step.predicate.script).test({"a": 1})
