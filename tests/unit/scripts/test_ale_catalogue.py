"""The table of the language is complete and true: it drives documentation, hover and completion."""

import pytest

from argyll.scripts import CompileError, Scripts
from argyll.scripts.ale import ENTRIES, EXCLUDED
from argyll.scripts.ale.catalogue import GLOBALS, HINTS, arity
from argyll.scripts.ale.expander import FORMS


def test_every_name_is_in_the_table_once():
    assert set(ENTRIES) == set(GLOBALS) | set(FORMS)
    assert not set(ENTRIES) & (set(EXCLUDED) | set(HINTS))


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_every_entry_is_fit_to_be_shown(entry):
    assert entry.tier in (1, 2, 3)
    assert entry.doc.endswith(".")
    assert entry.doc[0].isupper() or entry.doc[0] in "`'"
    assert entry.signature.startswith("(" + entry.name) or entry.kind == "constant"
    assert entry.alias_of is None or entry.alias_of in ENTRIES


@pytest.mark.parametrize(
    ("parameters", "expected"), [("", (0, 0)), ("a b?", (1, 2)), ("a*", (0, None)), ("a b+", (2, None))]
)
def test_arity_is_read_from_the_signature(parameters, expected):
    assert arity(parameters) == expected


@pytest.mark.parametrize("name", [*EXCLUDED, *HINTS])
def test_names_left_out_are_compile_errors_with_a_reason(name):
    with pytest.raises(CompileError) as caught:
        Scripts().compile("ale", f"({name} 1)")
    assert EXCLUDED.get(name, HINTS.get(name)) in caught.value.message
