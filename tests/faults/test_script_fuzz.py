"""Coverage-guided fuzzing of the Ale reader, the Ale front end and the jpath parser. Needs atheris (`pip install atheris`).

Each runs in a child process for `ARGYLL_FUZZ_S` seconds; a crash, a hang or an exception that is no script error fails.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.nightly

SECONDS = int(os.environ.get("ARGYLL_FUZZ_S", "60"))
LONGEST_INPUT_S = 5

TARGET = """
import sys, atheris
with atheris.instrument_imports(include=["argyll.scripts"]):
    from argyll.scripts import Limits, ScriptError, Scripts
    from argyll.scripts.ale import frontend

kind = sys.argv.pop(1)
scripts, limits = Scripts(), Limits(steps=2_000, wall_ms=1_000)
document = {"a": [1, {"b": "x"}, None], "c": {"d": [True, 1.5]}}


def check(data):
    text = atheris.FuzzedDataProvider(data).ConsumeUnicode(200)
    if kind == "frontend":
        reading = frontend.read(text, ["a"])
        reading.call_at(len(text) // 2)
        frontend.complete(text, ["a"], len(text) // 2)
        return
    try:
        compiled = scripts.compile(kind, text, ["a"])
        compiled.map({"a": 1}, document, limits)
    except ScriptError:
        pass


atheris.Setup(sys.argv, check)
atheris.Fuzz()
"""

DICTIONARY = {
    "ale": ["(", ")", "[", "]", "{", "}", "#{", "#b[", "'", "`", ",@", "#|", "|#", '"', " . ", "1/2", "0x1F", "lambda",
            "let-rec", "(let [x 1]", "(map", "(range)", "quote", "->", "cond", ":k", "ale/if"],
    "jpath": ["$", "@", "..", "[?", "]", "*", "==", "&&", "||", "!", "length(", "count(", "match(", "\\\\u0041", "1e9", "::"],
}  # fmt: skip
DICTIONARY["frontend"] = DICTIONARY["ale"]


@pytest.mark.parametrize("kind", DICTIONARY)
@pytest.mark.timeout(SECONDS * 3 + 120)
def test_fuzzing_finds_nothing(kind, tmp_path):
    pytest.importorskip("atheris")
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in DICTIONARY[kind])
    (tmp_path / "words").write_text("".join(f'"{word}"\n' for word in quoted))
    (tmp_path / "corpus").mkdir()
    arguments = [
        f"-max_total_time={SECONDS}", f"-timeout={LONGEST_INPUT_S}", "-max_len=300", f"-dict={tmp_path / 'words'}",
        f"-artifact_prefix={tmp_path}/", str(tmp_path / "corpus"),
    ]  # fmt: skip
    child = subprocess.run(
        [sys.executable, "-c", TARGET, kind, *arguments], capture_output=True, text=True, timeout=SECONDS * 3 + 60
    )
    assert child.returncode == 0, child.stderr[-3000:]
