"""The table of every finding that a rule can raise: title, severity, class and explanation.

`docs/diagnostics.md` is generated from it. A code keeps its meaning for ever; a retired number is not used again.
"""

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "info", "hint"]


class Entry(Struct, frozen=True):
    """What a code stands for. `rejects` (class R): engines refuse it, and nothing can lower or suppress it."""

    code: str
    title: str
    severity: Severity
    rejects: bool
    explanation: str


def _refused(code: str, title: str, explanation: str) -> Entry:
    return Entry(code, title, "error", True, explanation)


def _lint(code: str, severity: Severity, title: str, explanation: str) -> Entry:
    return Entry(code, title, severity, False, explanation)


_FILE = (
    _refused(
        "ARG001",
        "The file is not YAML",
        "Nothing in the file can be trusted until it parses, so this is the first thing to mend. For a quote or bracket "
        "that was never closed the place shown is where it was opened.",
    ),
    _refused(
        "ARG002",
        "A key stands twice in one mapping",
        "YAML readers silently keep one of the two values. Remove one of them.",
    ),
    _refused(
        "ARG004",
        "A document is not a mapping",
        "A step is a mapping of keys to values: `id: ...`, `name: ...`, `type: ...`.",
    ),
    _refused(
        "ARG005",
        "A key is not a plain string",
        "Keys are names. A number, `true`, `null`, a list or a mapping as key must be quoted or rewritten. An unquoted "
        "`{{ x }}` is such a key, too.",
    ),
    _refused("ARG006", "A tab is used for indentation", "YAML indents with spaces only. Replace the tab by spaces."),
    _refused(
        "ARG007",
        "A merge key",
        "`<<` hides where a setting comes from, and YAML 1.2 dropped it. Write the merged keys out.",
    ),
    _refused(
        "ARG008",
        "An unknown tag",
        "Tags such as `!env` or `!!binary` have no meaning in a step. Remove the tag and write the value itself.",
    ),
    _refused(
        "ARG009",
        "The file is not UTF-8 text",
        "Files are UTF-8 without control characters. Save the file as UTF-8; write control characters as escapes "
        r'(`"\u0007"`).',
    ),
    _lint(
        "ARG010",
        "warning",
        "An invisible line separator",
        "U+0085, U+2028 and U+2029 end a line in YAML but not in most editors, so line numbers and text differ between "
        "tools. Replace the character by a space or a line feed.",
    ),
    _refused(
        "ARG011",
        "A limit on size is exceeded",
        "A file may have 1 MiB, a document 100 levels, aliases of a document may expand to 1,000 nodes, and a step may "
        "have 512 KiB as JSON. Split what is larger.",
    ),
    _lint(
        "ARG012",
        "warning",
        "Text that other YAML readers take for something else",
        "`yes`, `off`, `True`, `0777`, `12:30` or `2020-01-01` are booleans, numbers or dates in YAML 1.1. Here they are "
        "text. Quote the text, or write `true`, `false` or a decimal number.",
    ),
    _refused(
        "ARG014",
        "Git conflict markers",
        "A merge was not finished: the file holds `<<<<<<<` lines. Choose a side; nothing else is checked before.",
    ),
    _lint(
        "ARG015",
        "info",
        "A document that is no step",
        "A document without `id`, `type`, `attributes` or a block that runs something is passed over. Move the file "
        "out of the directories of the steps.",
    ),
    _lint(
        "ARG090",
        "info",
        "A suppression without effect",
        "The comment `# argyll: ignore[...]` names a code that is not found here, that does not exist, or that engines "
        "refuse and that can therefore not be suppressed. Remove it.",
    ),
)

_FIELDS = (
    _refused(
        "ARG101",
        "An unknown key",
        "Nothing is silently ignored: a misspelt key would switch a setting off without a word. Keys are case-sensitive.",
    ),
    _refused("ARG102", "A required key is missing", "Add the key with a value."),
    _refused(
        "ARG103",
        "A value of the wrong type",
        "The value is a number where text is expected, a list where a mapping is expected, and so on. Labels are text: "
        'quote numbers and booleans (`version: "2"`).',
    ),
    _refused("ARG104", "An unknown step type", "A step is `sync`, `async`, `script` or `flow`."),
    _refused(
        "ARG105",
        "A value that is not one of the choices",
        "Role, attribute type, `collect`, method, backoff type and language are closed sets.",
    ),
    _refused("ARG106", "An empty value", "The key is there but holds nothing. Give it a value or remove it."),
    _lint("ARG107", "warning", "A timeout without effect", "Zero or less means the engine's default. Remove the key."),
    _refused(
        "ARG108",
        "A number out of bounds",
        "Backoff and parallelism are not negative, `max_attempts` is at least 1, and `max_backoff` is not below "
        "`init_backoff`.",
    ),
    _lint(
        "ARG109",
        "warning",
        "`max_retries: 0` means the default",
        "Zero is the same as no setting, so the engine's default of 10 retries applies. Write `max_attempts: 1` for no "
        "retries, or remove the key.",
    ),
    _refused(
        "ARG112",
        "One setting given in two ways",
        "A setting stands beside `role` and again under the role's name, or `max_attempts` stands with `max_retries`. "
        "Keep one of them.",
    ),
)

_STEP = (
    _refused(
        "ARG201",
        "An id that would be changed",
        "Ids consist of `a-z`, `0-9`, `_`, `.`, `+` and `-`, without `-` at either end. The engine would rewrite any "
        "other id, and references to the written one would miss.",
    ),
    _refused(
        "ARG202",
        "The block that says how the step runs is missing",
        "Sync and async steps have `http`, script steps `script`, flow steps `flow`.",
    ),
    _refused(
        "ARG203",
        "A block that does not belong to the step's type",
        "A step runs in one way. Remove the block or change `type`.",
    ),
    _refused(
        "ARG204",
        "A memoizable step with compensation",
        "A reused result has no call of its own that could be undone. Choose `memoizable` or `compensate`.",
    ),
    _lint(
        "ARG205",
        "warning",
        "Memoization that can hardly ever help",
        "The result of an async step arrives by webhook, and meta inputs such as `receipt_token` differ for every work "
        "item, so that no two calls have equal inputs. Remove `memoizable` or the input.",
    ),
    _lint(
        "ARG206",
        "warning",
        "Memoization of a step with side effects",
        "PUT and DELETE change something, and so may a child flow; a reused result skips it. Remove `memoizable` if so.",
    ),
    _lint(
        "ARG207",
        "warning",
        "Parallelism without `for_each`",
        "`parallelism` bounds the work items of a step that runs for each element of an input; without `for_each` there "
        "is one item. Remove it, or add `for_each` to an input.",
    ),
    _lint(
        "ARG209",
        "warning",
        "Several `for_each` inputs",
        "The step runs once for every combination: 100 by 100 elements are 10,000 work items, which is the limit.",
    ),
    _lint(
        "ARG210", "info", "The file is not called like its step", "A step is found faster in a file named by its id."
    ),
    _lint(
        "ARG211",
        "info",
        "A step that nothing can need",
        "The step has no outputs and no flow step names it as a goal, so only a caller who names it runs it.",
    ),
)

_ATTRIBUTES = (
    _refused(
        "ARG301",
        "A setting of another role",
        "For example `default` belongs to optional inputs and `match` to required ones. Change the role, or remove the "
        "setting.",
    ),
    _refused(
        "ARG302",
        "`for_each` over something that is no array",
        "The declared type must be `array` or `any`, or be left out.",
    ),
    _lint(
        "ARG303",
        "warning",
        "A string that looks like JSON text",
        "In YAML `default` and `value` are the value itself. Over the REST API they are JSON text, so a definition that "
        "was copied from there has one pair of quotes too many.",
    ),
    _refused(
        "ARG304",
        "A value that does not fit the declared type",
        "`default` or `value` is not of the attribute's `type`. Over the REST API a string is read as JSON text, so text "
        'is written with its quotes: `"\\"en-US\\""`.',
    ),
    _refused("ARG305", "A deadline out of bounds", "A deadline is between 0 and 31,536,000,000 ms (365 days)."),
    _refused(
        "ARG306",
        "A deadline on an attribute that is not optional",
        "Only an optional input can be given up on. Make it optional, or remove the deadline.",
    ),
    _lint(
        "ARG307",
        "warning",
        "A deadline without a default",
        "When the deadline passes, the input is left out of the call. Add a `default` if the step needs a value.",
    ),
    _refused("ARG308", "A constant without value, or a meta attribute without key", "Add `value` or `key`."),
    _lint(
        "ARG309",
        "warning",
        "An unknown meta key",
        "Known are `flow_id`, `step_id`, `receipt_token`, `webhook_url`, `parent_flow_id`, `parent_step_id` and "
        "`parent_work_item_token`. The input will be absent.",
    ),
    _lint(
        "ARG310",
        "warning",
        "A webhook URL on a step that is not async",
        "`webhook_url` is set for async steps only; elsewhere the input will be absent.",
    ),
    _refused(
        "ARG311",
        "A mapping on a constant or meta attribute",
        "These are already under the step's own control: give the attribute the inner name, and remove the mapping.",
    ),
    _refused("ARG312", "A mapping that maps nothing", "A mapping has a `name`, a `script` or both."),
    _refused(
        "ARG313",
        "Two attributes with one inner name",
        "The step could not tell them apart: two of its inputs, or two of its outputs, are called the same inside it. "
        "An attribute without mapping is called by its own name.",
    ),
    _lint(
        "ARG314", "warning", "A mapping to the same name", "Without `mapping.name` the attribute is called the same."
    ),
    _lint(
        "ARG316",
        "warning",
        "`collect` delivers an array, the type says otherwise",
        "`collect: some` and `collect: all` deliver the list of the values. Declare `type: array`, or leave it out.",
    ),
    Entry(
        "ARG317",
        "A setting that can never act",
        "error",
        False,
        "`collect: none` waits for the absence of a value, so there is nothing to iterate over, to match or to convert.",
    ),
)

_HTTP = (
    _refused(
        "ARG401",
        "A placeholder that is no required input",
        "Only required inputs are sure to be there when the URL is built. Use the name of one, or make the attribute "
        "required.",
    ),
    _refused(
        "ARG402",
        "A placeholder with an unknown or outer name",
        "A compensation URL may use inputs and outputs. An attribute with `mapping.name` is called by that inner name in "
        "every URL.",
    ),
    _refused(
        "ARG404", "A brace without partner", "A placeholder is `{name}`. Write a literal brace as `%7B` or `%7D`."
    ),
    _refused(
        "ARG406",
        "Not an http(s) URL",
        "Services are called over HTTP: `http://host/path` or `https://host/path`, without spaces.",
    ),
    _lint(
        "ARG407",
        "warning",
        "Inputs that a GET does not send",
        "A GET has no body, so an input that is not in the URL never reaches the service. Add it to the URL, or use POST.",
    ),
    _lint(
        "ARG408",
        "warning",
        "A placeholder that is no simple value",
        "An object, array or null goes into the URL as JSON text, which few services expect.",
    ),
    _lint(
        "ARG411",
        "warning",
        "A health check with placeholders",
        "Health is checked outside of any flow, so that there is nothing to put in. Remove the placeholder.",
    ),
)

_SCRIPTS = (
    _refused("ARG501", "The Ale script does not compile", "The message says what the compiler expected, and where."),
    _refused("ARG502", "The Lua script does not compile", "The message says what the compiler expected, and where."),
    _refused("ARG503", "The jpath query does not compile", "The message says what the compiler expected, and where."),
    _refused(
        "ARG504",
        "A language in the wrong place",
        "`jpath` selects values, so it can be a predicate, a match or a mapping, but not the program of a script step.",
    ),
)

_WIRING = (
    _refused("ARG600", "One id, two steps", "Ids are unique in the catalog. Rename one of the steps."),
    _lint(
        "ARG601",
        "hint",
        "An input that no step provides",
        "Whoever starts a flow with this step must supply the value. Names in `external_inputs` of `argyll.yaml` are "
        "known to come from outside.",
    ),
    _lint(
        "ARG602",
        "hint",
        "An output that no step reads",
        "Fine for what callers want to know in the end; otherwise it can be removed.",
    ),
    _refused(
        "ARG603",
        "Provider and consumer disagree on a type",
        "Both sides declare a type, and the types differ. A step that runs for each element provides an array of "
        "results whatever type it declares.",
    ),
    _refused(
        "ARG605",
        "Steps that wait for each other",
        "Each step of the circle needs an attribute that only comes after it. Rename an output, or take an input out.",
    ),
    _lint(
        "ARG607",
        "warning",
        "A race between providers",
        "Several steps always provide the attribute, and `collect: first` takes whichever is quicker. Choose `collect`, "
        "or give the providers predicates that exclude each other.",
    ),
    _lint(
        "ARG608",
        "hint",
        "A required input that may never arrive",
        "Every provider has a predicate or a match and may be skipped; then this step is skipped, too. If that is not "
        "meant, make the input optional, or give it a provider without condition.",
    ),
    _lint(
        "ARG610",
        "info",
        "An input almost called like an output",
        "No step provides the input, but one provides a name that is very similar.",
    ),
    Entry(
        "ARG700",
        "A goal that is no step",
        "error",
        False,
        "The goal of a flow step is the id of a step. Engines accept a goal that is registered later; a repository "
        "is complete, so here it is an error.",
    ),
    _refused(
        "ARG701",
        "Flow steps that contain each other",
        "A flow step whose goals lead back to itself would start child flows without end.",
    ),
    _lint("ARG706", "warning", "A goal given twice", "Remove one of the two."),
    _lint(
        "ARG804",
        "warning",
        "`argyll.yaml` is not as expected",
        "An unknown key or rule, or a value of the wrong type. The setting is passed over.",
    ),
    _refused(
        "ARG810",
        "A faulty expression",
        "The text between `${{` and `}}` is an expression over `values`, `env` and `file.path`: names, members, numbers, "
        "text, comparisons, `a if b else c`, and filters such as `default`. Nothing can be called, and keys are never "
        "expressions. `x-gitops: {expressions: false}` takes a file as it stands.",
    ),
    _refused(
        "ARG811",
        "An expression names a value that does not exist",
        "Add it to the values files that `argyll.yaml` lists, or give a default: `${{ values.host | default('localhost') }}`.",
    ),
    _refused(
        "ARG812",
        "The values of the environment cannot be had",
        "A values file that `argyll.yaml` lists is missing, is no mapping, or contradicts another one; or the list "
        "depends on an environment and none was chosen. A missing file is never taken for an empty one.",
    ),
    _refused(
        "ARG813",
        "An expression gives what cannot stand there",
        "A list or mapping inside text, a number too large for JSON, or more text than the limit.",
    ),
)

CATALOGUE: dict[str, Entry] = {
    entry.code: entry for entry in (*_FILE, *_FIELDS, *_STEP, *_ATTRIBUTES, *_HTTP, *_SCRIPTS, *_WIRING)
}
"""Every code, ascending."""
