"""The pages of the three script languages, from the tables that their compilers read."""

from collections.abc import Iterable, Sequence

from argyll.scripts.ale import ENTRIES, EXCLUDED, Entry
from argyll.scripts.ale.catalogue import HINTS
from argyll.scripts.jpath.catalogue import JPATH_FUNCTIONS
from argyll.scripts.lua.catalogue import LIBRARIES, LUA_ENTRIES, LuaEntry
from tools.reference.markdown import HEAD, code, paragraphs, table

_ALE = """Ale is a small Lisp: `(procedure argument argument)`. How scripts are called and what crosses is in
[Scripts](../scripts.md). Only `false` is false. A name that is neither an input nor below is an error when the step is
registered. In signatures `?` marks what may be left out, `*` any number, `+` at least one. For every `name?` below there is
`!name?`: that no argument passes."""

_LUA = """Lua 5.2 in a sandbox: one call sees its inputs as locals and the names below, and keeps nothing. How scripts are called and
what crosses is in [Scripts](../scripts.md). Numbers are doubles, text is UTF-8 bytes. There are no patterns (`match`,
`gmatch`, `gsub`), no coroutines, and nothing that reaches files, time, chance, code or other scripts."""

_JPATH = """A jpath is a JSONPath ([RFC 9535](https://www.rfc-editor.org/rfc/rfc9535)) that selects from a document, or an expression that
is true or false. How scripts are called is in [Scripts](../scripts.md)."""

_JPATH_FORMS = (
    ("$", "The document."),
    ("$.name, $['name']", "A member of an object."),
    ("$[0], $[-1]", "An element of an array, from the start or the end."),
    ("$[1:3], $[::2], $[::-1]", "A slice of an array: from, to, step."),
    ("$.*, $[*]", "All elements or members; members in ascending order of their names."),
    ("$..name, $..[0], $..*", "The same at every depth, a node before what is below it."),
    ("$['a', 'b', 0]", "Several selectors, one after the other."),
    ("$[?@.price > 10]", "The elements or members for which the expression holds; `@` is the element."),
    ("==  !=  <  <=  >  >=", "Comparison without coercion; arrays and objects are equal by content."),
    ("&&  ||  !  ( )", "And, or, not, grouping."),
    ("'text' \"text\" 1.5 true false null", "Literals."),
)

JPATH_DIFFERENCES: tuple[tuple[str, str, str], ...] = (
    (
        "An expression is a query",
        "$.total > 100",
        "`E` means `$[?E]`: it selects the members or elements for which it holds.",
    ),
    ("Any Unicode blank is a blank", "$\u00a0.a", "The RFC allows space, tab, line feed and carriage return."),
    ("Comparisons may be chained", "$[?@.a == 1 == true]", "Read from the left."),
    ("Operands may be in parentheses or negated", "$[?(@.a) == 1]", "`!@.a == 1` means `(!@.a) == 1`."),
    (
        "Two missing sides are not ordered",
        "$[?@.x <= @.y]",
        "False when both are missing; the RFC says true, as for `==`.",
    ),
    (
        "`match` and `search` take paths to many nodes",
        "$[?match(@.*, 'a')]",
        "Nothing unless exactly one node is selected; the RFC refuses the query.",
    ),
    (
        "Any expression may be an argument",
        "$[?length(@.a == 1) == 1]",
        "Of `length`, `match` and `search`; the RFC refuses some by type.",
    ),
    (
        "Regular expressions are RE2",
        "$[?search(@, '(?i)^ab\\\\d')]",
        "More than I-Regexp: flags, classes, anchors, laziness.",
    ),
    ("The order of members is fixed", "$.*", "Ascending by name; the RFC leaves it open."),
    (
        "`$` in a filter of a relative path",
        "$.a[?@.b[?$.c]]",
        "The innermost `$` is the node from which the path around its filter starts, here `@` of the outer filter.",
    ),
    ("Numbers are doubles", "$[?@ == 1e999]", "A literal outside their range is an error."),
    (
        "Function names may have capitals and other letters",
        "$[?Größe(@) == 1]",
        "Only the five functions above exist, so this is still an error.",
    ),
)
"""Where jpath differs from the RFC: the rule, a query that shows it, and what it means. Each is tested."""


def ale_page() -> str:
    """The page of Ale as Markdown."""
    return paragraphs(
        "# Ale",
        HEAD,
        _ALE,
        "## Forms",
        "What the compiler knows; a form is no value.",
        _entries(entry for entry in ENTRIES.values() if entry.kind == "form"),
        "## Procedures",
        _entries(entry for entry in ENTRIES.values() if entry.kind == "function" and not _negates(entry)),
        "## Constants",
        _entries(entry for entry in ENTRIES.values() if entry.kind == "constant"),
        "## Left out on purpose",
        table(
            ("Name", "Why"), [(_names(names), f"{why[:1].upper()}{why[1:]}.") for why, names in _by_reason(EXCLUDED)]
        ),
        "## Not there",
        "Names of other languages that people try, and what to write.",
        table(("Name", "Instead"), [(code(name), words) for name, words in HINTS.items()]),
    )


def lua_page() -> str:
    """The page of Lua as Markdown."""
    parts = ["# Lua", HEAD, _LUA, "## Base"]
    parts.append(_lua_table(entry for name, entry in LUA_ENTRIES.items() if "." not in name))
    for library in LIBRARIES:
        parts.append(f"## {library}")
        parts.append(_lua_table(entry for name, entry in LUA_ENTRIES.items() if name.startswith(f"{library}.")))
    return paragraphs(*parts)


def jpath_page() -> str:
    """The page of jpath as Markdown."""
    functions = [(code(f.signature), f.doc, "a test" if f.test else "compared") for f in JPATH_FUNCTIONS.values()]
    return paragraphs(
        "# jpath",
        HEAD,
        _JPATH,
        "## Queries",
        table(("Written", "Selects or means"), [(code(form), words) for form, words in _JPATH_FORMS]),
        "## Functions",
        table(("Function", "What", "Use"), functions),
        "## Differences from RFC 9535",
        "jpath takes every query of the RFC and answers as it does, but for these points.",
        table(("Point", "Example", "Meaning"), [(p, code(q), words) for p, q, words in JPATH_DIFFERENCES]),
    )


def _entries(entries: Iterable[Entry]) -> str:
    rows: list[tuple[str, str]] = []
    for entry in entries:
        if entry.alias_of is not None:
            continue
        aliases = [code(other.name) for other in ENTRIES.values() if other.alias_of == entry.name]
        also = f" Also {', '.join(aliases)}." if aliases else ""
        rows.append((_code(entry.signature), entry.doc + also))
    return table(("Name", "Meaning"), rows)


def _negates(entry: Entry) -> bool:
    return entry.name.startswith("!") and entry.name.endswith("?")


def _lua_table(entries: Iterable[LuaEntry]) -> str:
    return table(("Name", "Meaning"), [(code(entry.signature), entry.doc) for entry in entries])


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else code(text)


def _names(names: Sequence[str]) -> str:
    return ", ".join(code(name) for name in names)


def _by_reason(reasons: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [(why, [name for name in reasons if reasons[name] == why]) for why in dict.fromkeys(reasons.values())]
