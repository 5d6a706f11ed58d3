"""Options that several commands share, and the connection they describe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from argyll.cli.exitcodes import ExitCode

if TYPE_CHECKING:
    from argyll.client import AsyncClient, Client

DEFAULT_ENGINE = "http://127.0.0.1:8080"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Connection:
    """How to reach the engine. Nothing is connected until a call is made."""

    url: str
    token: str | None

    def client(self) -> "Client":
        """A blocking client. Raises `CliError` for a URL that is none."""
        from argyll.client import Client

        return self._make(Client)

    def async_client(self) -> "AsyncClient":
        """An asyncio client. Raises `CliError` for a URL that is none."""
        from argyll.client import AsyncClient

        return self._make(AsyncClient)

    def _make(self, kind: Callable[..., Any]) -> Any:
        try:
            return kind(self.url, self.token)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="'--engine'") from error


def engine_options(command: Command) -> Command:
    """Adds `--engine` and `--token`; the command gets them as `connection`."""

    @click.option("--engine", envvar="ARGYLL_ENGINE", default=DEFAULT_ENGINE, show_default=True, metavar="URL",
                  help="The engine to talk to; also ARGYLL_ENGINE.")  # fmt: skip
    @click.option("--token", envvar="ARGYLL_TOKEN", metavar="TEXT", help="Bearer token; better given as ARGYLL_TOKEN.")
    @wraps(command)
    def connected(*args: Any, engine: str, token: str | None, **kwargs: Any) -> Any:
        return command(*args, connection=Connection(engine, token), **kwargs)

    return connected  # pyright: ignore[reportReturnType]


output_option = click.option(
    "-o", "--output", "fmt", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
    help="How to print: for people, or in the API's shape.",
)  # fmt: skip

env_option = click.option(
    "--env", default="", metavar="NAME", help="The environment whose values fill in the expressions of step files."
)

init_option = click.option(
    "--init", "-i", "init_pairs", multiple=True, metavar="NAME=VALUE",
    help="A value to start from; repeat it. VALUE is JSON if it reads as JSON, else text; NAME:=JSON insists on JSON, "
    "NAME=@FILE reads a JSON file. A list is one value.",
)  # fmt: skip


def example(text: str) -> str:
    """An epilog with examples, kept line by line."""
    lines = "\n".join(f"  {line}" for line in text.strip().splitlines())
    return f"\b\nExample:\n{lines}"


def pairs(what: str, texts: tuple[str, ...]) -> Mapping[str, str]:
    """`NAME=VALUE` texts as a mapping. Raises a usage error for one without `=`, an empty or a repeated name."""
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r}: write NAME=VALUE", param_hint=f"'{what}'")
        if name in result:
            raise click.BadParameter(f"{name!r} is given twice", param_hint=f"'{what}'")
        result[name] = value
    return result


def finish(code: ExitCode) -> None:
    """End the command with a code; nothing more is printed."""
    click.get_current_context().exit(code)
