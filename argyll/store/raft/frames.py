"""Messages between nodes and their bytes. Binary and checked: nothing read here is ever executed or unpickled.

A frame is a header (length, CRC, kind, group, the sender's term) and a body. Every frame carries the sender's term, so that
a node that was away learns of a newer one from whatever reaches it first.
"""

import struct
import zlib
from struct import Struct
from typing import NamedTuple, TypeAlias

LogEntry: TypeAlias = tuple[bytes, int, int]
"""Payload, index, term."""

HEADER = Struct("<IIBHQ")
"""Body bytes, CRC of what follows it, kind, group, sender's term."""
_CHECKED = Struct("<BHQ")
GROUP = 0
"""The only Raft group so far; the field leaves room for more on the same connections."""
WIRE_VERSION = 1


class FrameError(Exception):
    """Bytes that are no frame of this release; the connection they came on is of no further use."""


class Hello(NamedTuple):
    """The first frame each way: who speaks, to whom, and whether both belong to the same cluster."""

    version: int
    node_id: str
    to: str
    members: int
    """Checksum of the members' ids."""
    last_index: int
    """Where its log ends; 0 for a node that holds nothing. The header has its term."""


class Append(NamedTuple):
    """Entries that follow (`prev_index`, `prev_term`), or none. `round` comes back in the answer."""

    round: int
    commit: int
    prev_index: int
    prev_term: int
    entries: list[LogEntry]


class Beat(NamedTuple):
    """The leader lives; says nothing about the log."""

    round: int


class Answer(NamedTuple):
    """To `Append` (with `next_index`) and `Beat` (without: 0). On refusal `next_index` is where to try again."""

    round: int
    accepted: bool
    next_index: int


class VoteRequest(NamedTuple):
    """With `probe`, asks whether a vote would be given: nobody's term moves."""

    term: int
    last_index: int
    last_term: int
    probe: bool


class Vote(NamedTuple):
    term: int
    probe: bool


class Hint(NamedTuple):
    """Carries nothing but the header's term."""


class TimeoutNow(NamedTuple):
    """Stand for election at once: the leader hands over."""

    term: int


class Forward(NamedTuple):
    """Commands for the leader of `term`, numbered from `first` in the sender's stream."""

    term: int
    stream: bytes
    first: int
    commands: list[tuple[bytes, bytes]]
    """Pairs of id and body."""


class ReadRequest(NamedTuple):
    """Asks the leader from which entry on a read is linearizable."""

    number: int


class ReadIndex(NamedTuple):
    """The answer: a read sees enough once this entry is applied."""

    number: int
    read_index: int


class Chunk(NamedTuple):
    """A piece of the state after entry `last_index` of `last_term`."""

    round: int
    transfer: int
    """Which transfer of this leader; pieces of another one do not belong to it."""
    last_index: int
    last_term: int
    size: int
    offset: int
    data: bytes


class ChunkAnswer(NamedTuple):
    """`offset`: the next byte wanted; the whole size once the state is in place."""

    round: int
    transfer: int
    offset: int


class Ping(NamedTuple):
    """Keeps an idle connection known to be alive."""


Message: TypeAlias = (
    Hello
    | Append
    | Beat
    | Answer
    | VoteRequest
    | Vote
    | Hint
    | TimeoutNow
    | Forward
    | ReadRequest
    | ReadIndex
    | Chunk
    | ChunkAnswer
    | Ping
)

_HELLO = Struct("<HHHIQ")
_APPEND = Struct("<QQQQI")
_ENTRY = Struct("<QQI")
_FORWARD = Struct("<Q16sQI")
_COMMAND = Struct("<16sI")
_CHUNK = Struct("<QQQQQQ")

STREAM_BYTES = 16


def _pack_hello(m: Hello) -> bytes:
    node_id, to = m.node_id.encode(), m.to.encode()
    return _HELLO.pack(m.version, len(node_id), len(to), m.members, m.last_index) + node_id + to


def _unpack_hello(body: bytes) -> Hello:
    version, id_bytes, to_bytes, members, last_index = _HELLO.unpack_from(body)
    middle = _HELLO.size + id_bytes
    node_id, to = body[_HELLO.size : middle].decode(), body[middle : middle + to_bytes].decode()
    return Hello(version, node_id, to, members, last_index)


def _pack_append(m: Append) -> bytes:
    parts = [_APPEND.pack(m.round, m.commit, m.prev_index, m.prev_term, len(m.entries))]
    pack = _ENTRY.pack
    for payload, index, term in m.entries:
        parts += (pack(index, term, len(payload)), payload)
    return b"".join(parts)


def _unpack_append(body: bytes) -> Append:
    round_, commit, prev_index, prev_term, count = _APPEND.unpack_from(body)
    entries: list[LogEntry] = []
    offset = _APPEND.size
    for expected in range(prev_index + 1, prev_index + 1 + count):
        index, term, size = _ENTRY.unpack_from(body, offset)
        start = offset + _ENTRY.size
        offset = start + size
        if offset > len(body) or index != expected:
            raise FrameError(f"entry {index} where {expected} belongs")
        entries.append((body[start:offset], index, term))
    return Append(round_, commit, prev_index, prev_term, entries)


def _pack_forward(m: Forward) -> bytes:
    parts = [_FORWARD.pack(m.term, m.stream, m.first, len(m.commands))]
    pack = _COMMAND.pack
    for command_id, body in m.commands:
        parts += (pack(command_id, len(body)), body)
    return b"".join(parts)


def _unpack_forward(body: bytes) -> Forward:
    term, stream, first, count = _FORWARD.unpack_from(body)
    commands: list[tuple[bytes, bytes]] = []
    offset = _FORWARD.size
    for _ in range(count):
        command_id, size = _COMMAND.unpack_from(body, offset)
        start = offset + _COMMAND.size
        offset = start + size
        if offset > len(body):
            raise FrameError("a command reaches beyond its frame")
        commands.append((command_id, body[start:offset]))
    return Forward(term, stream, first, commands)


def _pack_chunk(m: Chunk) -> bytes:
    return _CHUNK.pack(*m[:6]) + m.data


def _unpack_chunk(body: bytes) -> Chunk:
    round_, transfer, index, term, size, offset = _CHUNK.unpack_from(body)
    return Chunk(round_, transfer, index, term, size, offset, body[_CHUNK.size :])


_HELLO_KIND, _APPEND_KIND, _FORWARD_KIND, _CHUNK_KIND = 1, 2, 3, 4
_FIXED: dict[int, tuple[type[Message], Struct]] = {
    5: (Beat, Struct("<Q")),
    6: (Answer, Struct("<Q?Q")),
    7: (VoteRequest, Struct("<QQQ?")),
    8: (Vote, Struct("<Q?")),
    9: (Hint, Struct("<")),
    10: (TimeoutNow, Struct("<Q")),
    11: (ReadRequest, Struct("<Q")),
    12: (ReadIndex, Struct("<QQ")),
    13: (ChunkAnswer, Struct("<QQQ")),
    14: (Ping, Struct("<")),
}
"""Kinds whose fields have fixed sizes."""
_FIXED_KINDS = {type_: (kind, layout) for kind, (type_, layout) in _FIXED.items()}


def _pack(message: Message) -> tuple[int, bytes]:
    match message:
        case Append():
            return _APPEND_KIND, _pack_append(message)
        case Forward():
            return _FORWARD_KIND, _pack_forward(message)
        case Chunk():
            return _CHUNK_KIND, _pack_chunk(message)
        case Hello():
            return _HELLO_KIND, _pack_hello(message)
        case _:
            kind, layout = _FIXED_KINDS[type(message)]
            return kind, layout.pack(*message)


def _unpack(kind: int, body: bytes) -> Message:
    if kind == _APPEND_KIND:
        return _unpack_append(body)
    if kind == _FORWARD_KIND:
        return _unpack_forward(body)
    if kind == _CHUNK_KIND:
        return _unpack_chunk(body)
    if kind == _HELLO_KIND:
        return _unpack_hello(body)
    type_, layout = _FIXED[kind]
    return type_(*layout.unpack(body))


def encode(message: Message, term: int) -> bytes:
    """A whole frame; `term` is the sender's."""
    kind, body = _pack(message)
    checksum = zlib.crc32(body, zlib.crc32(_CHECKED.pack(kind, GROUP, term)))
    return HEADER.pack(len(body), checksum, kind, GROUP, term) + body


class Received(NamedTuple):
    """A message and the term its sender had."""

    term: int
    message: Message


class FrameReader:
    """Cuts a stream of bytes into messages. `limit` bounds the body of one frame, in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Received]:
        """Every message complete with `data`. Raises `FrameError`: then nothing more can be read from this stream."""
        buffer = self._buffer
        buffer += data
        received: list[Received] = []
        offset = 0
        while len(buffer) - offset >= HEADER.size:
            size, checksum, kind, group, term = HEADER.unpack_from(buffer, offset)
            if size > self.limit:
                raise FrameError(f"a frame of {size} bytes, {self.limit} is the most here")
            start = offset + HEADER.size
            if len(buffer) - start < size:
                break
            body = bytes(buffer[start : start + size])
            received.append(Received(term, _decode(checksum, kind, group, term, body)))
            offset = start + size
        if offset:
            del buffer[:offset]
        return received


def _decode(checksum: int, kind: int, group: int, term: int, body: bytes) -> Message:
    if zlib.crc32(body, zlib.crc32(_CHECKED.pack(kind, group, term))) != checksum:
        raise FrameError("a frame that fails its checksum")
    if group != GROUP or (kind > _CHUNK_KIND and kind not in _FIXED) or not kind:
        raise FrameError(f"a frame of kind {kind} for group {group}, unknown to this release")
    try:
        return _unpack(kind, body)
    except (struct.error, UnicodeDecodeError) as error:
        raise FrameError(f"a frame of kind {kind} that cannot be read: {error}") from error
