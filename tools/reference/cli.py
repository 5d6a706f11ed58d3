"""The page of the command line, from the commands themselves rather than from rendered help, whose form click owns."""

from collections.abc import Iterator

import click

from argyll.cli.app import argyll
from tools.reference.markdown import HEAD, code, paragraphs, table

_INTRO = """Every command takes `-h`. Data goes to standard output and everything else to standard error, so output can be piped;
`-o json` and `-o yaml` print the shape of the API. Colours are used only on a terminal and not when `NO_COLOR` is set.
How a command ended is its [exit code](exit-codes.md)."""


def page() -> str:
    """The whole page as Markdown."""
    return paragraphs("# Command line", HEAD, _INTRO, *_sections(argyll, click.Context(argyll, info_name="argyll")))


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _sections(command, below)
        else:
            yield _section(command, below)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    words = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    rows = [_row(option, context) for option in options if "--help" not in option.opts]
    parts = [f"## {context.command_path}", f"```\n{usage}\n```", words]
    if rows:
        parts.append(table(("Option", "Meaning", "Default"), rows))
    if command.epilog:
        lines = command.epilog.replace("\b", "").strip().splitlines()
        parts.append("```sh\n" + "\n".join(line.strip() for line in lines[1:]) + "\n```")
    return paragraphs(*parts).rstrip("\n")


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(option.opts)
    value = "" if option.is_flag else " " + option.make_metavar(context)
    default = option.default if option.show_default and isinstance(option.default, str | int | float) else ""
    return code(names + value), option.help or "", code(default)
