"""What Ale programs mean: one table a topic, script against result."""

import pytest

from argyll.scripts import CompileError, Limits, RunError, Scripts

PATIENT = Limits(wall_ms=20_000)
SCRIPTS = Scripts()


def result(script, **args):
    outputs = SCRIPTS.compile("ale", script, list(args)).outputs(args, PATIENT)
    return outputs["result"] if set(outputs) == {"result"} else outputs


def table(text):
    """`script => expected JSON` lines."""
    import json

    rows = [line.rsplit("=>", 1) for line in text.strip().splitlines()]
    return [pytest.param(script.strip(), json.loads(expected), id=script.strip()) for script, expected in rows]


@pytest.mark.parametrize(
    ("script", "expected"),
    table(r"""
    017 => 15
    0x1F => 31
    0b11 => 3
    1e2 => 100
    -1/2 => -0.5
    #| a #| nested |# comment |# 5 => 5
    5 ; no line end => 5
    "tab\tquote\"any\q" => "tab\tquote\"anyq"
    :a/b => "a/b"
    'a'b => "a'b"
    #{} => "#{}"
    #b[1 2] => "#b[1 2]"
    '(1 . 2) => "(1 . 2)"
    '(1 . (2 3)) => [1, 2, 3]
    {:a 1 :a 2} => {"a": 1}
    {-1 :x 1/2 :y} => {"-1": "x", "0.5": "y"}
    () => null
    """),
)
def test_reads(script, expected):
    assert result(script) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    table(r"""
    (let* ([a 1] [b (inc a)]) (* a b)) => 2
    (let [x 1] (let ([x 2] [y x]) y)) => 1
    (let-rec ([a 1] [b (inc a)]) b) => 2
    (letfn [(lambda-rec even (n) (if (= n 0) true (odd (dec n)))) (lambda-rec odd (n) (if (= n 0) false (even (dec n))))] (even 10)) => true
    ((label f (lambda (n) (if (= n 0) :end (f (dec n))))) 3) => "end"
    (case 3 [1 :a] [(2 3) :b]) => "b"
    (if-let [n false] 1 2) => 2
    (when-let [n 5] (inc n)) => 6
    (unless false 1 2) => 1
    (when-not true 1) => null
    (some-> {:a null} :a :b :c) => null
    (some-> 5 inc (- 1)) => 5
    (cond->> 3 [(< 1) (- 10)] [(< 100) (- 1000)]) => 7
    (let-> [n 1] (+ n 1) (* n 10)) => 20
    (for-each ([a [1 2]] [b [3 4]]) (* a b)) => 8
    (seq->vector (for ([a [1 2]] [b [3 4]]) (* a b))) => [3, 4, 6, 8]
    ((comp inc (lambda (x) (* 2 x))) 4) => 10
    (: {:double (lambda (x) (* 2 x))} double 4) => 8
    ((lambda args args) 1 2) => [1, 2]
    ((lambda (a . rest) rest) 1) => []
    `(if ,(+ 1 1) ,@[3 4] name#) => ["ale/if", 2, 3, 4, "name-1"]
    `[1 ,@(list 2 3)] => [1, 2, 3]
    `{:a ,(inc 1)} => {"a": 2}
    ((if true + -) 1 2) => 3
    (ale/+ 1 2) => 3
    (let [and 5] (and 1 2)) => 2
    (let [if (lambda (a b c) :mine)] (if 1 2 3)) => "mine"
    """),
)
def test_evaluates_forms(script, expected):
    assert result(script) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    table(r"""
    (try 5 (finally (raise "late"))) => "error: late"
    (try (raise "a" 1) (catch [e string?] (str "caught " e))) => "caught a1"
    (try (raise "a") (catch [e number?] 1)) => "error: a"
    (try (raise "a") (catch [e (eq "a")] 1) (finally 2)) => 1
    (recover (thunk (get {} :a)) identity) => "key not found"
    (recover (thunk (/ 1 0)) identity) => "divide by zero"
    (recover (thunk (+ 1 "a")) :message) => "got string, expected number"
    (recover (thunk ((lambda (a) a))) identity) => "no matching parameter pattern: got 0 arguments"
    (recover (thunk (let-rec ([a b] [b 1]) a)) identity) => "b is used before it has a value"
    """),
)
def test_handles_failures(script, expected):
    try:
        got = result(script)
    except RunError as error:
        got = f"error: {error.message}"
    assert got == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    table(r"""
    (mod -7 3) => 2
    (mod 7 -3) => -2
    (mod 7.5 -2) => -0.5
    (+ 1/3 2/3) => 1
    (* 2 0.5) => 1
    (/ 6 3) => 2
    (/ 1.0 4) => 0.25
    (- 1/2) => -0.5
    (= 1 1.0) => true
    (eq 1 1.0) => false
    (< 2 1 "never looked at") => false
    (even? 2 4 5) => false
    (!even? 1 3) => true
    (odd? -3) => true
    [(inf? +inf) (-inf? -inf) (nan? nan)] => [true, true, true]
    (apply * (range 1 25)) => "620448401733239439360000"
    """),
)
def test_computes(script, expected):
    assert result(script) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    table(r"""
    (fold-left + []) => 0
    (fold-right cons null [1 2 3]) => [1, 2, 3]
    (reduce + [1 2 3]) => 6
    (partition 2 [1 2 3]) => [[1, 2], [3]]
    (partition 2 1 [1 2 3]) => [[1, 2], [2, 3], [3]]
    (take 3 (range)) => [0, 1, 2]
    (take-while (lambda (x) (< x 2)) (range)) => [0, 1]
    (drop 1 [1 2 3]) => [2, 3]
    (mapcat (lambda (x) [x x]) [1 2]) => [1, 1, 2, 2]
    (map + [1 2 3] [10 20]) => [11, 22]
    (map str "ab") => ["a", "b"]
    (filter :ok [{:ok 1} {:ok false}]) => [{"ok": 1}]
    (seq->vector (take 8 ((lambda-rec fibs (a b) (lazy-seq (cons a (fibs b (+ a b))))) 0 1))) => [0, 1, 1, 2, 3, 5, 8, 13]
    (assoc {:a 1} (:b . 2)) => {"a": 1, "b": 2}
    (assoc {:a 1} [:b 2]) => {"a": 1, "b": [2]}
    (assoc* {} (:a . 1) (:b . 2)) => {"a": 1, "b": 2}
    (dissoc* {:a 1 :b 2} :a :c) => {"b": 2}
    (conj (list 1) 2) => [2, 1]
    (cons* 1 2 [3]) => [1, 2, 3]
    (seq->object [:a 1] (list :b 2)) => {"a": 1, "b": 2}
    (length #{1 1 2}) => 2
    (rest {:a 1 :b 2}) => {"b": 2}
    [(rest [1]) (rest "a") (rest (list 1))] => [[], "", null]
    (caddr [1 2 3]) => 3
    (nth! (range) 5) => "error"
    (last "abc") => "c"
    (index-of "abc" "c") => 2
    (str 1.0 " " 1e21 " " 1e-5 " " 999999.5 " " 1000000.5 " " 1/3 " " [null :k "q\"" 'a/b]) => "1.0 1e+21 1e-05 999999.5 1.0000005e+06 1/3 [() :k \"q\\\"\" a/b]"
    (str #{2 1} {:b 1 :a 2}) => "#{1 2}{:a 2 :b 1}"
    (str! "a" :b) => "\"a\" :b"
    ((juxt inc dec) 5) => [6, 4]
    ((constantly 1) 2 3) => 1
    (is-a :vector [1]) => true
    (eq [1 {:a #{1}}] [1 {:a #{1}}]) => true
    (set (list 1) (list 1) [1]) => "#{(1) [1]}"
    """),
)
def test_works_on_collections(script, expected):
    if expected == "error":
        with pytest.raises(RunError):
            result(script)
    else:
        assert result(script) == expected


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("(frist xs)", "did you mean first?"),
        ("(max 1 2)", "use (if (> a b) a b)"),
        ("(println 1)", "cannot read or write"),
        ("(define x 1)", "use let"),
        ("(eval '(+ 1 2))", "fixed when a step is registered"),
        ("(current-time)", "same result for the same inputs"),
        ("(go (+ 1 2))", "runs alone"),
        ("(nth [1])", "(nth sequence index default?)"),
        ("(if)", "(if test then else?)"),
        ("(let [x 1 y 2] x)", "[name value]"),
        ("(let ([x 1] [x 2]) x)", "x is bound twice"),
        ("(lambda (x x) x)", "same name"),
        ("(lambda [(a) 1] [(b) 2])", "never be chosen"),
        ("(cond [1])", "[test value]"),
        ("[1, 2]", "commas do not separate"),
        ("foo/bar", "foo/bar"),
        ("{:a}", "even number"),
    ],
)
def test_tells_what_is_wrong_and_what_to_write(script, words):
    with pytest.raises(CompileError) as caught:
        SCRIPTS.compile("ale", script, ["xs"])
    assert words in caught.value.message
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("script", "line", "column"),
    [
        ('{:a 1\n :b (+ 1 "x")}', 2, 5),
        ("(let [f (lambda (x)\r\n  (:name x))]\r\n  (f 1))", 2, 3),
        ("(first\n\n  (get {} :a))", 3, 3),
        ("(map (lambda (x)\n (/ x 0)) [1])", 2, 2),
    ],
)
def test_places_failures_at_the_innermost_form(script, line, column):
    with pytest.raises(RunError) as caught:
        result(script)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"line {line}, column {column}: ")


@pytest.mark.parametrize(
    ("value", "inside", "outside"),
    [
        (1, "1.0", 1),
        (2**53, "9007199254740992.0", 2**53),
        (2**53 + 1, "9007199254740993", 2**53 + 1),
        (-(2**63), str(-(2**63)), -(2**63)),
        (2**63, str(2**63), str(2**63)),
        (1.5, "1.5", 1.5),
        (1e300, "1e+300", 1e300),
        ("é😀", "é😀", "é😀"),
    ],
)
def test_numbers_enter_as_doubles_unless_that_would_lose_digits(value, inside, outside):
    assert result("(str x)", x=value) == inside
    assert result("x", x=value) == outside
    assert type(result("x", x=value)) is type(outside)


@pytest.mark.parametrize("script", ["nan", "+inf", "{:a [-inf]}", "(lambda (x) x)", "{null 1}", "and"])
def test_what_json_cannot_say_cannot_leave(script):
    with pytest.raises(RunError):
        result(script)


def test_a_keyword_key_wins_over_a_string_key():
    assert result('{"a" 2 :a 1}') == {"a": 1}


def test_results_never_share_structure_with_arguments():
    given = {"x": {"list": [1.5]}}
    outputs = SCRIPTS.compile("ale", "{:r x}", ["x"]).outputs(given)
    outputs["r"]["list"].append(2)
    assert given == {"x": {"list": [1.5]}}


@pytest.mark.parametrize("name", ["1a", "a/b", ":a", "a b", "#t", "(", "", ";", "'a"])
def test_refuses_parameter_names_that_are_no_symbols(name):
    with pytest.raises(CompileError, match=r"mapping\.name"):
        SCRIPTS.compile("ale", "1", [name])


@pytest.mark.parametrize("name", ["order-id", "a.b", "é", "x?", "true", "first", "/"])
def test_accepts_every_symbol_as_parameter_name(name):
    assert SCRIPTS.compile("ale", name, [name]).outputs({name: 5}) == {"result": 5}


@pytest.mark.parametrize(
    ("script", "truth"), [("null", True), ("0", True), ('""', True), ("false", False), ("(not 1)", False)]
)
def test_only_false_is_false(script, truth):
    assert SCRIPTS.compile("ale", script).test({}) is truth


def test_a_mapping_is_unwrapped():
    def mapped(script):
        return SCRIPTS.compile("ale", script, ["value"]).map({"value": 1}, None)

    assert mapped("{}") is None
    assert mapped("{:only 7}") == 7
    assert mapped("{:value 7 :other 1}") == 7
    assert mapped("{:a 1 :b 2}") == {"a": 1, "b": 2}
    assert mapped("[value]") == [1]


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ("(let [f (lambda (x) (/ x 0))]\n (+ 1 (f 1)))", [("f", 2, 7)]),
        ("(let-rec [f (lambda (n) (if (= n 0) (first 1) (+ 1 (f (dec n)))))]\n (inc (f 2)))",
         [("f", 1, 52), ("f", 1, 52), ("f", 2, 7)]),
        ("(let [f (lambda (x) (/ x 0))]\n (seq->vector (map f [1])))", [("f", 2, 2)]),
        ("(let [f (lambda (x) (/ x 0))] (f 1))", []),
        ("(letfn [(lambda-rec g (x) (inc (h x))) (lambda-rec h (x) (inc (raise x)))] (inc (g 1)))",
         [("h", 1, 32), ("g", 1, 81)]),
        ("(inc (recover (thunk (raise 1)) (lambda (e) (inc (raise e)))))", [("lambda", 1, 6)]),
    ],
)  # fmt: skip
def test_a_failure_tells_the_calls_around_it(script, calls):
    with pytest.raises(RunError) as caught:
        result(script)
    assert [(call.name, call.line, call.column) for call in caught.value.calls] == calls
    for name, line, column in calls:
        assert f"in {name} (called at line {line}, column {column})" in str(caught.value)


def test_of_many_calls_the_innermost_are_told_and_the_others_counted():
    with pytest.raises(RunError) as caught:
        result("((lambda-rec f (n) (if (= n 0) (raise 1) (+ 1 (f (dec n))))) 100)")
    assert (len(caught.value.calls), caught.value.deeper) == (16, 84)
    assert str(caught.value).endswith("and 84 calls more")


def test_a_lazy_failure_that_is_met_twice_has_the_calls_of_each_time():
    script = "(let [xs (map (lambda (x) (/ x 0)) [1])] (recover (thunk (first xs)) (lambda (e) (inc (first xs)))))"
    with pytest.raises(RunError) as caught:
        result(script)
    assert (caught.value.message, caught.value.column) == ("divide by zero", 27)
    assert len(caught.value.calls) <= 2
