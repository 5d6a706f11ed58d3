"""Commands as the payload of one log entry, and back. The bytes of a command are only copied, never looked into."""

from collections.abc import Sequence
from struct import Struct

from argyll.store.log import Command

_COUNT = Struct("<I")
_COMMAND = Struct("<I16s")


def encode_commands(commands: Sequence[Command]) -> bytes:
    """Commands as one entry's payload."""
    parts = [_COUNT.pack(len(commands))]
    pack = _COMMAND.pack
    for command in commands:
        parts += (pack(len(command.body), command.id), command.body)
    return b"".join(parts)


def decode_commands(payload: bytes) -> list[Command]:
    """The commands of one entry's payload; their contexts died with the process that proposed them."""
    (count,) = _COUNT.unpack_from(payload)
    commands: list[Command] = []
    offset = _COUNT.size
    for _ in range(count):
        size, command_id = _COMMAND.unpack_from(payload, offset)
        start = offset + _COMMAND.size
        offset = start + size
        commands.append(Command(command_id, payload[start:offset], None))
    return commands
