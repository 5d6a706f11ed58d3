"""YAML with its traps: what is read, what is refused, and where things stand."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.analysis.examples import EXAMPLES
from argyll.analysis.source import (
    MAX_ALIAS_NODES,
    MAX_FILE_BYTES,
    MAX_FINDINGS_PER_FILE,
    Source,
    read_source,
    read_text,
)

STEPS = sorted((Path(__file__).parents[3] / "examples" / "steps").glob("*.yaml"))


def codes(source: Source) -> list[str]:
    return [found.code for found in source.findings]


def value_of(text: str) -> object:
    source = read_text("a.yaml", text)
    assert not [found for found in source.findings if found.severity == "error"], source.findings
    return source.documents[0].value()


def marked(source: Source, index: int = 0) -> str:
    span = source.findings[index].span
    assert span is not None
    return source.text[span.start : span.end]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("0", 0),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("0x1F", 31),
        ("0o17", 15),
        ("12345678901234567890", 12345678901234567890),
        ("'5'", "5"),
        ('"true"', "true"),
        ("! 5", "5"),
        ("!!str 5", "5"),
        ("http://x:80/{a}", "http://x:80/{a}"),
        ("a b", "a b"),
        ("1.2.3", "1.2.3"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_plain_scalars_follow_the_core_schema(written: str, value: object):
    source = read_text("a.yaml", f"v: {written}\n")
    assert source.documents[0].value() == {"v": value}
    assert type(source.documents[0].value()["v"]) is type(value)
    assert not source.findings


@pytest.mark.parametrize(
    "written",
    [
        "yes",
        "No",
        "on",
        "OFF",
        "True",
        "NULL",
        "0777",
        "00",
        "1_000",
        "12:30",
        "12:30:45",
        "0b11",
        "2020-01-01",
        "-0x1F",
    ],
)
def test_what_yaml_1_1_reads_otherwise_is_text_with_a_warning(written: str):
    source = read_text("a.yaml", f"v: {written}\n")
    assert source.documents[0].value() == {"v": written}
    assert codes(source) == ["ARG012"]
    assert marked(source) == written


@pytest.mark.parametrize("written", [".inf", "-.INF", ".nan", "1e999", "9" * 5000])
def test_a_number_that_json_cannot_hold_is_an_error(written: str):
    source = read_text("a.yaml", f"v: {written}\n")
    assert codes(source) == ["ARG103"]


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", "ARG002", "a"),
        ("a: {x: 1, y: 2, x: 3}\n", "ARG002", "x"),
        ("1: a\n", "ARG005", "1"),
        ("true: a\n", "ARG005", "true"),
        ("~: a\n", "ARG005", "~"),
        ("? [a, b]\n: c\n", "ARG005", "[a, b]"),
        ("v: {{ x }}\n", "ARG005", "{ x }"),
        ("a: 1\n\tb: 2\n", "ARG006", "\t"),
        ("a:\n\tb: 2\n", "ARG006", "\t"),
        ("b: &x {c: 1}\na:\n  <<: *x\n", "ARG007", "<<"),
        ("a: !env X\n", "ARG008", "!env"),
        ("a: !!binary aGk=\n", "ARG008", "!!binary"),
        ("a: !!python/object:os.system {}\n", "ARG008", "!!python/object:os.system"),
        ("a: \x07\n", "ARG009", "\x07"),
        ("a: 'x\x00'\n", "ARG009", "\x00"),
        ("a: 'x\u2028y'\n", "ARG010", "\u2028"),
        ("a: [1\nb: 2\n", "ARG001", "["),
        ('a: "x\nb: 2\n', "ARG001", '"'),
        ("a: 'x\nb: 2\n", "ARG001", "'"),
        ("a: b: c\n", "ARG001", ":"),
        ("a: @x\n", "ARG001", "@"),
        ("a: *nobody\n", "ARG001", "*nobody"),
        ("a: &x [*x]\n", "ARG011", "*x"),
        ("id: a\n<<<<<<< HEAD\nx: 1\n=======\n>>>>>>> main\n", "ARG014", "<<<<<<<"),
    ],
)
def test_a_trap_is_one_finding_at_its_place(text: str, code: str, where: str):
    source = read_text("a.yaml", text)
    assert codes(source) == [code]
    assert marked(source) == where


def test_the_first_of_two_equal_keys_counts_and_is_shown():
    source = read_text("a.yaml", "a: 1\nb: 2\na: 3\n")
    assert source.documents[0].value() == {"a": 1, "b": 2}
    related = source.findings[0].related[0].span
    assert related is not None
    assert (related.line, related.column) == (1, 1)


def test_a_quoted_merge_key_is_a_name():
    assert value_of('"<<": 1\n') == {"<<": 1}


def test_aliases_mean_their_anchor_and_keep_their_own_place():
    source = read_text("a.yaml", "a: &x {b: 1}\nc: *x\n")
    assert source.documents[0].value() == {"a": {"b": 1}, "c": {"b": 1}}
    span = source.documents[0].locate(("c",))
    assert (span.line, span.column) == (2, 4)


def test_anchors_end_with_their_document():
    assert codes(read_text("a.yaml", "a: &x 1\n---\nb: *x\n")) == ["ARG001"]


def test_aliases_are_bounded_by_nodes():
    many = ", ".join(["*x"] * MAX_ALIAS_NODES)
    assert not read_text("a.yaml", f"a: &x 1\nb: [{many}]\n").findings
    assert codes(read_text("a.yaml", f"a: &x 1\nb: [{many}, *x]\n")) == ["ARG011"]


def test_aliases_are_bounded_by_characters_and_depth():
    assert codes(read_text("a.yaml", f"a: &x {'y' * 600_000}\nb: [*x, *x]\n")) == ["ARG011"]
    deep = f"a: &x {'[' * 60}{']' * 60}\nb: {'[' * 60}*x{']' * 60}\n"
    assert codes(read_text("a.yaml", deep)) == ["ARG011"]


def test_a_billion_laughs_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert codes(read_text("a.yaml", "\n".join(lines))) == ["ARG011"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_bounded_whatever_is_nested(opening: str):
    source = read_text("a.yaml", opening * (900_000 // len(opening)))
    assert codes(source) == ["ARG011"]


def test_a_hundred_levels_are_allowed():
    assert not read_text("a.yaml", "[" * 100 + "]" * 100).findings
    assert codes(read_text("a.yaml", "[" * 101 + "]" * 101)) == ["ARG011"]


def test_size_is_bounded():
    assert not read_source("a.yaml", b"a: 1 #" + b"x" * (MAX_FILE_BYTES - 6)).findings
    source = read_source("a.yaml", b"a: 1 #" + b"x" * (MAX_FILE_BYTES - 5))
    assert codes(source) == ["ARG011"]
    assert "1,048,577" in source.findings[0].message


def test_a_file_full_of_problems_stops_counting():
    text = "".join(f"k{n}: yes\n" for n in range(MAX_FINDINGS_PER_FILE * 2))
    assert len(read_text("a.yaml", text).findings) == MAX_FINDINGS_PER_FILE


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"a: 1\nb: \xff\n", 2), ("a: é\n".encode("latin-1"), 1), ("a: 1\n".encode("utf-16"), 1)],
)
def test_other_encodings_are_refused(content: bytes, line: int):
    source = read_source("a.yaml", content)
    assert codes(source) == ["ARG009"]
    assert source.findings[0].span is not None
    assert source.findings[0].span.line == line


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "---\n---\n", "---\n# x\n...\n", "\ufeff"])
def test_empty_documents_are_left_out(text: str):
    source = read_source("a.yaml", text.encode())
    assert source.documents == []
    assert source.findings == []


def test_several_documents_keep_their_places():
    source = read_text("a.yaml", "id: a\n---\n---\nid: b\n")
    assert [document.value() for document in source.documents] == [{"id": "a"}, {"id": "b"}]
    assert source.documents[1].locate(("id",)).line == 4


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_places_do_not_depend_on_line_ends_and_byte_order_mark(end: str, mark: str):
    text = mark + end.join(["id: a", "name: '漢字'", "labels:", "  x: 'é'  ", "  y: 2", ""])
    source = read_source("a.yaml", text.encode())
    document = source.documents[0]
    x, y = document.locate(("labels", "x")), document.locate(("labels", "y"), "key")
    assert (x.line, x.column, x.end_line, x.end_column) == (4, 6, 4, 9)
    assert (y.line, y.column) == (5, 3)


def test_a_pointer_to_something_absent_is_at_its_owner():
    document = read_text("a.yaml", "http:\n  method: GET\n").documents[0]
    assert document.locate(("http", "endpoint")).line == 1
    assert document.locate(("http", "endpoint", "x")).column == 1
    assert document.locate(("nothing",)) == document.locate(())


def test_a_stretch_inside_a_block_scalar_has_its_own_line():
    document = read_text("a.yaml", "script: |\n  (+ 1\n    nope)\n").documents[0]
    start = "(+ 1\n  nope)".index("nope")
    span = document.locate(("script",), within=(start, start + 4))
    assert (span.line, span.column, span.end_column) == (3, 5, 9)


def test_what_came_before_a_syntax_error_is_kept():
    source = read_text("a.yaml", "id: a\nattributes:\n  x: {role: required}\n  y: {role: [\n")
    assert not source.complete
    assert source.documents[0].value() == {"id": "a", "attributes": {"x": {"role": "required"}, "y": {"role": []}}}


def corpus() -> list[str]:
    texts = [text for files in EXAMPLES.values() for text in files.values() if len(text) < 400]
    return texts + [path.read_text("utf-8") for path in STEPS]


def test_no_prefix_of_a_file_crashes_the_reader():
    for text in dict.fromkeys(corpus()):
        for end in range(len(text)):
            source = read_text("a.yaml", text[:end])
            for document in source.documents:
                document.value()
                document.locate(("attributes", "x"))


@given(st.text(alphabet=st.sampled_from(list("ab:{}[]-?&*!|>'\"#%@\n\t \\<~,.0é漢\u2028\ufeff")), max_size=60))
@settings(max_examples=400, deadline=None)
def test_no_text_crashes_the_reader(text: str):
    source = read_text("a.yaml", text)
    for document in source.documents:
        document.value()
    for found in source.findings:
        assert found.span is not None
        assert 0 <= found.span.start <= found.span.end <= len(text)


@given(st.binary(max_size=60))
def test_no_bytes_crash_the_reader(content: bytes):
    read_source("a.yaml", content)


# Beyond U+FFFF, JSON escapes in pairs that YAML does not know.
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS, children, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, JSON_VALUES, min_size=1, max_size=4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_json_is_read_as_itself(value: dict[str, object], pretty: bool):
    text = json.dumps(value, indent=2 if pretty else None)
    source = read_text("a.yaml", text)
    assert source.documents[0].value() == value
    assert not [found for found in source.findings if found.severity == "error"]


def test_the_pure_loader_gives_the_same_tree(monkeypatch: pytest.MonkeyPatch):
    with_c = [read_text("a.yaml", text) for text in corpus()]
    monkeypatch.delattr(yaml, "CSafeLoader")
    without = [read_text("a.yaml", text) for text in corpus()]
    for fast, slow in zip(with_c, without, strict=True):
        assert [document.root for document in fast.documents if fast.complete] == [
            d.root for d in slow.documents if slow.complete
        ]
        assert codes(fast) == codes(slow)
