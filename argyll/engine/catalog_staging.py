"""Parts of large revisions on their way: kept in this node's memory until the commit names them, and bounded.

Nothing here is durable or shown; a part that is lost is sent again, because the commit then says which.
"""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from argyll.engine.catalog_errors import ChunksMissing
from argyll.engine.catalog_revisions import StepEntry
from argyll.engine.errors import InvalidRequest
from argyll.model.revision import content_hash

MAX_STAGED_APPLIES = 8
"""Revisions whose parts are kept at a time; the oldest goes first."""
MAX_STAGED_BYTES = 64 * 1024 * 1024
"""Parts of all revisions together; the oldest revision goes first."""
MAX_CHUNK_BYTES = 1024 * 1024
"""One part, without its compression."""
MAX_CHUNKS = 256
"""Parts of one revision."""

_entries = msgspec.json.Decoder(list[StepEntry])


class Staging:
    """Parts by the id of the apply they belong to."""

    def __init__(self) -> None:
        self._applies: OrderedDict[str, dict[int, tuple[str, bytes]]] = OrderedDict()
        self._size = 0

    def put(self, apply_id: str, number: int, body: bytes) -> str:
        """Keep a part, a JSON list of step entries; the same number again replaces it. Returns the part's name.

        Raises `InvalidRequest`.
        """
        if not 0 <= number < MAX_CHUNKS:
            raise InvalidRequest(f"part {number} is not within 0 and {MAX_CHUNKS - 1} (MAX_CHUNKS); make parts larger")
        try:
            _entries.decode(body)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"a part is a JSON list of step entries: {error}") from error
        name = content_hash(body)
        parts = self._applies.setdefault(apply_id, {})
        self._applies.move_to_end(apply_id)
        _, before = parts.get(number, ("", b""))
        parts[number] = (name, body)
        self._size += len(body) - len(before)
        while len(self._applies) > MAX_STAGED_APPLIES or (self._size > MAX_STAGED_BYTES and len(self._applies) > 1):
            self.drop(next(iter(self._applies)))
        return name

    def count(self, apply_id: str) -> int:
        """How many parts of an apply are here."""
        return len(self._applies.get(apply_id, ()))

    def entries(self, apply_id: str, names: Sequence[str]) -> list[StepEntry]:
        """The entries of the named parts, in that order. Raises `ChunksMissing`."""
        known = dict(self._applies.get(apply_id, {}).values())
        missing = [name for name in names if name not in known]
        if missing:
            raise ChunksMissing(missing)
        return [entry for name in names for entry in _entries.decode(known[name])]

    def drop(self, apply_id: str) -> None:
        """Forget the parts of an apply."""
        self._size -= sum(len(body) for _, body in self._applies.pop(apply_id, {}).values())
