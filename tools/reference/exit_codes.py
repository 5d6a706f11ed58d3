"""The page of exit codes."""

from argyll.cli.exitcodes import MEANINGS
from tools.reference.markdown import HEAD, code, paragraphs, table


def page() -> str:
    """The whole page as Markdown."""
    rows = [(code(int(number)), words[:1].upper() + words[1:]) for number, words in MEANINGS.items()]
    return paragraphs(
        "# Exit codes",
        HEAD,
        "One table for all commands; a script may rely on it. What a command has to say about a failure goes to standard "
        "error, data goes to standard output.",
        table(("Code", "Meaning"), rows),
    )
