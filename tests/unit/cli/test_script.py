"""`argyll script`: running, checking and the conversation, in this process."""

import io
import json

import pytest

from argyll.cli.script_repl import Session, converse, history_file


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-e", "(* n 2)", "-a", "n=21"], {"result": 42}),
        (["-e", "{:a n}", "-a", "n=text"], {"a": "text"}),
        (["-l", "lua", "-e", "return {a = n}", "-a", "n:=[1, 2]"], {"a": [1, 2]}),
        (["-l", "jpath", "--as", "predicate", "-e", " $.n == 1 ", "-a", "n=1"], True),
        (["-l", "jpath", "--as", "match", "-e", "$.kind", "-a", 'value={"kind": 1}'], True),
        (["--as", "match", "-e", "(= value 2)", "-a", "value=1"], False),
        (["-l", "jpath", "--as", "mapping", "-e", "$.x", "-a", 'value={"x": [1]}'], [1]),
        (["--as", "mapping", "-e", "{:only value}", "-a", "value=7"], 7),
    ],
)
def test_run_prints_the_result_as_json(run, arguments, expected):
    done = run("script", "run", *arguments)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_run_takes_the_language_from_the_name_of_the_file(run, tmp_path):
    for name, text in (("s.lua", "return n + 1"), ("s.ale", "(+ n 1)"), ("s.txt", "(+ n 1)")):
        (tmp_path / name).write_text(text)
        assert json.loads(run("script", "run", str(tmp_path / name), "-a", "n=1").stdout) == {"result": 2}
    assert json.loads(run("script", "run", "-", "-a", "n=1", input="(+ n 1)").stdout) == {"result": 2}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "-e", "(foo)"], 3, "script:1:2: error: name not declared in namespace: foo"),
        (
            ["run", "-e", "(+ 1\n  (first 5))"],
            8,
            "script:2:3: error: got integer, expected pair\n    (first 5))\n    ^",
        ),
        (["run", "-e", "(let [f (lambda (x) (/ x 0))] (+ 1 (f 1)))"], 8, "in f (called at line 1, column 36)"),
        (["run", "-e", "((lambda-rec f (n) (f n)) 1)"], 8, " limit"),  # of steps, or of time on a busy machine
        (["run"], 64, "FILE or with --text"),
        (["run", "a.ale", "-e", "1"], 64, "FILE or with --text"),
        (["run", "missing.ale"], 9, "missing.ale: cannot be read"),
        (["run", "--as", "match", "-e", "1"], 64, "called value"),
        (["run", "-e", "1", "-a", "x"], 64, "NAME=VALUE"),
        (["check", "-e", "(foo (bar x)", "-n", "x"], 3, "never closed"),
        (["check", "-l", "lua", "-e", "x = = 1"], 3, "script:1: error: unexpected symbol"),
        (["check", "-l", "jpath", "-e", "$.a ="], 3, "script:1:5: error: jpath: unexpected '='"),
        (["check", "-e", "; nothing"], 3, "the script is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(run, arguments, code, words):
    done = run("script", *arguments)
    assert done.exit_code == code
    assert words in done.stderr
    assert done.stdout == ""


def test_check_tells_everything_that_is_wrong_with_an_ale_script(run):
    told = run("script", "check", "-e", "(foo (bar x))", "-n", "x").stderr
    assert [name for name in ("foo", "bar", "x;") if f"namespace: {name}" in told] == ["foo", "bar"]
    assert "compiles as ale" in run("script", "check", "-e", "(+ x 1)", "-n", "x").stderr


def test_the_conversation_goes_through_standard_input(run):
    said = '(+ 1\n2)\n.set a={"b": 2}\n(:b a)\n.language jpath\n $.a.b \n.language lua\na.b + 1\nlocal x = 5 return x\n'
    done = run("script", "repl", input=said)
    assert (done.exit_code, done.stdout.split()) == (0, ["3", "2", "2", "3", "5"])


def talk(*lines, language="ale", **args):
    session, heard = Session(language, args), io.StringIO()
    converse(session, io.StringIO("\n".join(lines)), heard)
    return heard.getvalue()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (".help", ".set NAME=VALUE"),
        (".doc map", "(map procedure sequence sequences*)\n  The lazy sequence"),
        (".doc nothing", "no name of ale"),
        (".args", '"n": 1'),
        (".set x", "NAME=VALUE"),
        (".unset x", "no argument 'x'"),
        (".language python", "there are ale, lua, jpath"),
        (".nothing", "no command .nothing; there are .set"),
        ("(+ 1", "never closed"),
        ("(foo)", "ale:1:2: error"),
        (")", "closes nothing"),
    ],
)
def test_the_conversation_answers(line, words):
    assert words in talk(line, n=1)


def test_the_conversation_ends_when_asked_to_and_skips_empty_lines():
    assert talk("", "1", ".quit", "2") == "1\n"
    assert talk(".unset n", "n", n=1).startswith("ale:1:1: error")
    assert talk(".doc string.rep", language="lua").startswith("string.rep(s, count, separator?)\n")
    assert talk(".doc count", language="jpath").startswith("count(path)\n")


@pytest.mark.parametrize(
    ("language", "line", "expected"),
    [
        ("ale", "(fil", (1, "filter")),
        ("ale", "(+ tot", (3, "total")),
        ("ale", ".la", (0, ".language")),
        ("lua", "return string.su", (7, "string.sub")),
        ("lua", "return tot", (7, "total")),
        ("jpath", "cou", (0, "count(")),
        ("jpath", "$.to", (1, ".total")),
    ],
)
def test_completes_from_the_tables_of_the_languages(language, line, expected):
    assert Session(language, {"total": 1}).completions(line, len(line)) == [expected]


def test_completes_over_several_lines():
    session = Session("ale", {})
    assert session.feed("(let [total 1]") == ""
    assert session.prompt == "... "
    assert session.completions("  (+ tot", 8) == [(5, "total")]


def test_history_lives_with_the_state_of_the_user(tmp_path):
    assert history_file({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "argyll" / "script_history"
    assert history_file({}).parts[-4:] == (".local", "state", "argyll", "script_history")
