"""Init values as typed on a command line. Every text gives one value, a list too; checks nothing against a plan."""

from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from argyll.model import json
from argyll.model.json import JSON

HINT = "'--init'"


def parse_init(texts: tuple[str, ...], read: Callable[[Path], bytes] = Path.read_bytes) -> dict[str, JSON]:
    """`name=value`, `name:=json` and `name=@file` texts as values by name. Raises a usage error naming the text."""
    values: dict[str, JSON] = {}
    for text in texts:
        name, equals, written = text.partition("=")
        as_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise click.BadParameter(f"{text!r}: write NAME=VALUE, NAME:=JSON or NAME=@FILE", param_hint=HINT)
        if name in values:
            raise click.BadParameter(f"{name!r} is given twice; for a list write {name}:='[...]'", param_hint=HINT)
        values[name] = _value(name, written, as_json, read)
    return values


def _value(name: str, written: str, as_json: bool, read: Callable[[Path], bytes]) -> JSON:
    if not as_json and written.startswith("@"):
        path = Path(written[1:])
        try:
            return json.decode(read(path))
        except OSError as error:
            raise click.BadParameter(f"{name}: {path} cannot be read: {error.strerror}", param_hint=HINT) from error
        except msgspec.DecodeError as error:
            raise click.BadParameter(f"{name}: {path} holds no JSON: {error}", param_hint=HINT) from error
    try:
        return json.decode(written)
    except msgspec.DecodeError as error:
        if as_json:
            raise click.BadParameter(f"{name}: {written!r} is no JSON: {error}", param_hint=HINT) from error
        return written
