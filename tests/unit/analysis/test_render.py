"""Findings as people read them."""

import re
from itertools import pairwise

from argyll.analysis import check_files, render, summary
from argyll.analysis.render import columns
from argyll.scripts import Scripts


def rendered(scripts: Scripts, colour: bool = False, **files: str) -> str:
    contents = {f"{name}.yaml": text.encode() for name, text in files.items()}
    report = check_files(contents, scripts=scripts)
    return render(report.diagnostics, contents, colour=colour, least="warning")


def test_a_finding_shows_its_line_and_its_mend(scripts: Scripts):
    text = "id: a\nname: A\ntype: sync\natributes: {}\nhttp:\n  endpoint: http://h/{user}\n"
    assert rendered(scripts, a=text) == (
        "error[ARG101]: `atributes` is not a key of a step\n"
        " --> a.yaml:4:1\n"
        "  |\n"
        "4 | atributes: {}\n"
        "  | ^^^^^^^^^\n"
        "  |\n"
        "  = help: did you mean `attributes`?\n"
        "\n"
        "error[ARG401]: `{user}` is not a required input of the step\n"
        " --> a.yaml:6:22\n"
        "  |\n"
        "6 |   endpoint: http://h/{user}\n"
        "  |                      ^^^^^^\n"
        "  |\n"
        "  = help: add the attribute `user: {role: required}`\n"
        "\n"
        "2 errors, 1 note in 1 file (1 not shown)\n"
    )


def test_other_places_are_shown_with_their_file(scripts: Scripts):
    http = "http: {endpoint: 'http://h/p'}\n"
    provider = f"id: a\nname: A\ntype: sync\n{http}attributes:\n  x: {{role: output, type: string}}\n"
    consumer = (
        f"id: b\nname: B\ntype: sync\n{http}attributes:\n  y: {{role: output}}\n  x: {{role: required, type: number}}\n"
    )
    assert rendered(scripts, a=provider, b=consumer).startswith(
        "error[ARG603]: `x` is string from `a`, but number for `b`\n"
        " --> b.yaml:7:29\n"
        "  |\n"
        "7 |   x: {role: required, type: number}\n"
        "  |                             ^^^^^^ `b` expects number\n"
        " ::: a.yaml:6:27\n"
        "  |\n"
        "6 |   x: {role: output, type: string}\n"
        "  |                           ------ `a` provides string\n"
        "  |\n"
    )


def test_markers_stand_under_wide_text(scripts: Scripts):
    text = "id: a\nname: A\ntype: sync\nhttp: {endpoint: 'http://h/p'}\nlabels: {漢字: yes, 'e\u0301': no}\n"
    lines = rendered(scripts, a=text).split("\n")
    for shown, marker in pairwise(lines):
        if marker.strip(" |^") == "" and "^" in marker:
            before = marker.index("^")
            cells = 0
            for position, character in enumerate(shown):
                if cells == before:
                    assert shown[position:].startswith(("yes", "no"))
                    break
                cells += columns(character)


def test_control_characters_do_not_reach_the_terminal(scripts: Scripts):
    output = rendered(scripts, a="id: \x1b[31m\n")
    assert "\x1b" not in output
    assert "\N{REPLACEMENT CHARACTER}" in output


def test_colour_changes_nothing_but_colour(scripts: Scripts):
    text = "id: a\nnam: A\n\ttype: sync\n"
    plain, coloured = rendered(scripts, a=text), rendered(scripts, colour=True, a=text)
    assert plain != coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_a_summary_counts(scripts: Scripts):
    assert summary([]) == "no problems found"
    report = check_files({"a.yaml": b"id: a\nzz: 1\n", "b.yaml": b"id: ["}, scripts=scripts)
    assert summary(report.diagnostics).endswith("in 2 files")


def test_the_end_of_a_file_can_be_shown(scripts: Scripts):
    assert "--> a.yaml:1:" in rendered(scripts, a='id: "')
    assert "--> a.yaml:1:1" in rendered(scripts, a="5")
