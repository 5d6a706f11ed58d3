"""The command tree. Groups know their commands by name and import them when called, so `argyll --help` is instant."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from argyll.cli.errors import CliError, as_cli_error, did_you_mean, silence_broken_pipe
from argyll.cli.exitcodes import MEANINGS, ExitCode


class Lazy(NamedTuple):
    """Where a command is (`module:attribute`) and its one line in the help of its group."""

    target: str
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, not when they are listed."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = self._lazy.get(cmd_name)
        if lazy is None:
            return None
        module, _, attribute = lazy.target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self._lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._lazy and not args[0].startswith("-"):
            known = f"one of {', '.join(self._lazy)}"
            hint = did_you_mean(args[0], self._lazy) or f"; it takes {known}"
            raise click.UsageError(f"{ctx.command_path} has no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


class Root(LazyGroup):
    """The outermost group: turns every way a command can end into an exit code of the one table."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        try:
            code = super().main(
                args=args,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except click.UsageError as error:
            error.show()
            code = ExitCode.USAGE
        except click.ClickException as error:
            _complain(error.format_message())
            code = error.code if isinstance(error, CliError) else error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            code = ExitCode.INTERRUPTED
        except BrokenPipeError:
            silence_broken_pipe()
            code = ExitCode.OK
        except Exception as error:
            known = as_cli_error(error)
            if known is None:
                raise
            _complain(known.message)
            code = known.code
        sys.exit(code if isinstance(code, int) else ExitCode.OK)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), words) for code, words in MEANINGS.items()])
        with formatter.section("Begin with"):
            formatter.write_dl([("argyll demo", "see everything once, in a directory of its own")])


def _complain(message: str) -> None:
    from argyll.cli.output import printable, styled

    click.echo(f"{styled('error', 'failed', sys.stderr)}: {printable(message)}", err=True)


_COMMANDS = {
    "demo": Lazy("argyll.cli.demo:demo", "Show what Argyll does with a small shop, from git to a finished flow."),
    "serve": Lazy("argyll.cli.serve:serve", "Run an engine node."),
    "cluster": Lazy("argyll.cli.cluster:cluster", "Run several nodes on this machine, and look after a cluster."),
    "sync": Lazy("argyll.cli.sync:sync", "Make the engine's steps those of a directory or git repository."),
    "check": Lazy("argyll.cli.check:check", "Find what is wrong with step files; needs no engine."),
    "render": Lazy("argyll.cli.render:render", "Print the steps that step files give in an environment."),
    "diff": Lazy("argyll.cli.diff:diff", "Show what a change of step files does to steps, plans and flows."),
    "export": Lazy("argyll.cli.export:export", "Write the engine's steps as step files."),
    "plan": Lazy("argyll.cli.plan:plan", "Show what would run to reach goals, and why."),
    "flow": Lazy("argyll.cli.flow:flow", "Start, list, follow and cancel flows."),
    "source": Lazy("argyll.cli.source:source", "Configure, watch, stop and roll back the sources that own steps."),
    "step": Lazy("argyll.cli.step:step", "List, show, register, update and delete single steps."),
    "script": Lazy("argyll.cli.script:script", "Try scripts: run, check, or line by line."),
    "health": Lazy("argyll.cli.health:health", "Show the health of the engine and its steps."),
    "schema": Lazy("argyll.cli.schema:schema", "Print the JSON Schema of a step file."),
    "version": Lazy("argyll.cli.version:version", "Print the version."),
}

argyll = Root(
    name="argyll",
    lazy=_COMMANDS,
    help="Declare steps in YAML, name goals, and let the engine plan and run what reaches them.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=True,
)
