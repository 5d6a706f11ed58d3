"""The flow list: status, labels and error of every flow, indexed for lists that stay quick at a million flows.

Root flows stand in `listing` once under pair 0 and once per label, in the order they are listed in, so that every page
is a range of one B-tree; `counts` keeps each range's length. Runs inside the transactions of `state`.
"""

import base64
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from argyll.store.errors import InvalidCursor
from argyll.store.records import STATUSES, IndexUpdate, aggregate_name

MAX_PAGE = 1_000
MAX_PAIRS_CACHED = 16_384
FEW = 2_000
"""A prefix that matches no more flows than this is sorted by itself; a wider one is found along the list."""
_ALL = 0
_ACTIVE = 0
_UNLIMITED = 1 << 62
_LAST_ID = "\U0010ffff"
_LISTED = "root = 1 AND status IS NOT NULL"

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS flows (
    flow INTEGER PRIMARY KEY, id TEXT NOT NULL, status INTEGER, timestamp_us INTEGER NOT NULL, root INTEGER NOT NULL,
    labels TEXT, error TEXT
);
CREATE INDEX IF NOT EXISTS flows_by_id ON flows (id, status) WHERE {_LISTED};
CREATE INDEX IF NOT EXISTS flows_active ON flows (id) WHERE status = {_ACTIVE};
CREATE TABLE IF NOT EXISTS pairs (pair INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (key, value));
CREATE TABLE IF NOT EXISTS listing (
    pair INTEGER NOT NULL, status INTEGER NOT NULL, timestamp_us INTEGER NOT NULL, id TEXT NOT NULL, flow INTEGER NOT NULL,
    PRIMARY KEY (pair, status, timestamp_us, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    pair INTEGER NOT NULL, status INTEGER NOT NULL, flows INTEGER NOT NULL, PRIMARY KEY (pair, status)
) WITHOUT ROWID;
"""

Status = Literal["active", "completed", "failed"]


class FlowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which root flows, in which order. `limit` 0 means all; `labels` must all hold; no `statuses` means any."""

    id_prefix: str = ""
    labels: dict[str, str] = {}
    statuses: tuple[Status, ...] = ()
    limit: int = 0
    cursor: str | None = None
    sort: Literal["recent_asc", "recent_desc"] = "recent_asc"


class FlowRow(msgspec.Struct, frozen=True):
    """One flow as listed. `timestamp_us`: when it entered its status."""

    id: str
    status: Status
    timestamp_us: int
    labels: dict[str, str]
    error: str | None


class FlowPage(msgspec.Struct, frozen=True):
    """A page; `total` counts all matches, `next_cursor` is set when `has_more`."""

    flows: list[FlowRow]
    total: int
    has_more: bool
    next_cursor: str | None


class FlowChange(NamedTuple):
    """An index update on its way to SQLite, with the mark of the log entry it came in."""

    number: int
    flow_id: str
    timestamp_us: int
    update: IndexUpdate
    mark: int


class _Flow(NamedTuple):
    """A flow's index state."""

    id: str
    status: int | None
    timestamp_us: int
    root: bool
    labels: dict[str, str]
    error: str | None

    def changed_by(self, change: FlowChange) -> "_Flow":
        update = change.update
        labels = self.labels
        if update.labels:
            labels = {key: value for key, value in (labels | update.labels).items() if value}
        status, timestamp_us = self.status, self.timestamp_us
        if update.status is not None:
            status, timestamp_us = STATUSES.index(update.status), change.timestamp_us
        error = self.error if update.error is None else update.error
        return _Flow(self.id, status, timestamp_us, self.root and update.root, labels, error)


class _Cursor(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    group: int
    recent: int


class _Key(NamedTuple):
    timestamp_us: int
    id: str


class _Found(NamedTuple):
    status: int
    timestamp_us: int
    id: str
    labels: str | None
    error: str | None


_labels_decoder = msgspec.json.Decoder(dict[str, str])


class FlowIndex:
    """Writes index updates and answers list queries, on the connection it is given."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_SCHEMA)
        self._pairs: dict[tuple[str, str], int] = {}
        self._expected: dict[str, FlowChange] = {}

    def expect(self, change: FlowChange) -> None:
        """The change is applied and will be written later; `status` shows it already."""
        if change.update.status is not None:
            self._expected[change.flow_id] = change

    def forget_waiting(self, mark: int) -> None:
        """Changes up to this mark are written."""
        self._expected = {id_: change for id_, change in self._expected.items() if change.mark > mark}

    def status(self, flow_id: str) -> str | None:
        """A flow's indexed status, child flows too; None for a flow that was never indexed."""
        expected = self._expected.get(flow_id)
        if expected is not None:
            return expected.update.status
        row = self._db.execute(
            "SELECT status FROM aggregates JOIN flows ON flow = number WHERE name = ?",
            (aggregate_name(("flow", flow_id)),),
        ).fetchone()
        return None if row is None or row[0] is None else STATUSES[row[0]]

    def active(self) -> list[str]:
        """Ids of the active flows, child flows too, in id order. Written changes only."""
        rows = self._db.execute(f"SELECT id FROM flows WHERE status = {_ACTIVE} ORDER BY id")
        return [row[0] for row in rows]

    def write(self, changes: list[FlowChange], *, first_new: int) -> None:
        """Fold the changes into the tables; aggregates numbered from `first_new` on are not in them yet."""
        if not changes:
            return
        before: dict[int, _Flow | None] = {}
        after: dict[int, _Flow] = {}
        for change in changes:
            number = change.number
            flow = after.get(number)
            if flow is None:
                flow = before[number] = None if number >= first_new else self._flow(number)
            if flow is None:
                flow = _Flow(change.flow_id, None, change.timestamp_us, change.update.root, {}, None)
            after[number] = flow.changed_by(change)
        self._write_flows(after)
        self._write_listing(before, after)

    def query(self, query: FlowQuery) -> FlowPage:
        """A page of root flows, written changes only. Raises `InvalidCursor`; ValueError for a limit out of range."""
        if not 0 <= query.limit <= MAX_PAGE:
            raise ValueError(f"limit {query.limit} is not between 0 and {MAX_PAGE}")
        after = None if query.cursor is None else _decode_cursor(query.cursor)
        statuses = sorted({STATUSES.index(status) for status in query.statuses or STATUSES})
        pairs = self._rarest_first(query.labels)
        if pairs is None:
            return FlowPage([], 0, has_more=False, next_cursor=None)
        selection = _Selection(self._db, pairs, query.id_prefix, descending=query.sort == "recent_desc")
        wanted = query.limit + 1 if query.limit else _UNLIMITED
        if query.id_prefix and selection.is_narrow():
            found, total = selection.narrow_page(statuses, after, wanted)
        else:
            found, total = selection.page(statuses, after, wanted), selection.total(statuses)
        has_more = len(found) == wanted
        if has_more:
            del found[-1]
        next_cursor = _encode_cursor(found[-1]) if has_more else None
        return FlowPage([_row(row) for row in found], total, has_more, next_cursor)

    def _flow(self, number: int) -> _Flow | None:
        row = self._db.execute(
            "SELECT id, status, timestamp_us, root, labels, error FROM flows WHERE flow = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        id_, status, timestamp_us, root, labels, error = row
        return _Flow(id_, status, timestamp_us, bool(root), _labels_decoder.decode(labels) if labels else {}, error)

    def _write_flows(self, flows: dict[int, _Flow]) -> None:
        self._db.executemany(
            "INSERT INTO flows VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (flow) DO UPDATE SET status = excluded.status,"
            " timestamp_us = excluded.timestamp_us, root = excluded.root, labels = excluded.labels, error = excluded.error",
            [
                (
                    number,
                    flow.id,
                    flow.status,
                    flow.timestamp_us,
                    flow.root,
                    msgspec.json.encode(flow.labels).decode() if flow.labels else None,
                    flow.error,
                )
                for number, flow in flows.items()
            ],
        )

    def _write_listing(self, before: dict[int, _Flow | None], after: dict[int, _Flow]) -> None:
        removed: list[tuple[int, int, int, str]] = []
        added: list[tuple[int, int, int, str, int]] = []
        counts: Counter[tuple[int, int]] = Counter()
        for number, flow in after.items():
            old = before[number]
            if old is not None and old.root and old.status is not None:
                for pair in self._listed_under(old):
                    removed.append((pair, old.status, old.timestamp_us, old.id))
                    counts[pair, old.status] -= 1
            if flow.root and flow.status is not None:
                for pair in self._listed_under(flow):
                    added.append((pair, flow.status, flow.timestamp_us, flow.id, number))
                    counts[pair, flow.status] += 1
        if removed:
            self._db.executemany(
                "DELETE FROM listing WHERE pair = ? AND status = ? AND timestamp_us = ? AND id = ?", removed
            )
        self._db.executemany("INSERT INTO listing VALUES (?, ?, ?, ?, ?)", added)
        self._db.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET flows = flows + excluded.flows",
            [(*range_, difference) for range_, difference in counts.items() if difference],
        )

    def _listed_under(self, flow: _Flow) -> Iterable[int]:
        yield _ALL
        for key, value in flow.labels.items():
            yield self._pair(key, value)

    def _pair(self, key: str, value: str) -> int:
        pair = self._pairs.get((key, value)) or self._find_pair(key, value)
        if pair is None:
            pair = self._db.execute("INSERT INTO pairs (key, value) VALUES (?, ?)", (key, value)).lastrowid
            assert pair is not None, "an insert has a row id"
        if len(self._pairs) >= MAX_PAIRS_CACHED:
            self._pairs.clear()
        self._pairs[key, value] = pair
        return pair

    def _find_pair(self, key: str, value: str) -> int | None:
        row = self._db.execute("SELECT pair FROM pairs WHERE key = ? AND value = ?", (key, value)).fetchone()
        return None if row is None else row[0]

    def _rarest_first(self, labels: dict[str, str]) -> list[int] | None:
        """The labels' pairs, the one with fewest flows first; None when a label is on no flow."""
        sized: list[tuple[int, int]] = []
        for key, value in labels.items():
            pair = self._find_pair(key, value)
            if pair is None:
                return None
            (size,) = self._db.execute("SELECT sum(flows) FROM counts WHERE pair = ?", (pair,)).fetchone()
            sized.append((size or 0, pair))
        return [pair for _, pair in sorted(sized)] or [_ALL]


class _Selection:
    """The root flows that carry all `pairs` and whose id starts with `prefix`, read along the rarest pair's range."""

    def __init__(self, db: sqlite3.Connection, pairs: list[int], prefix: str, *, descending: bool) -> None:
        self._db = db
        self._pairs = pairs
        self._prefix = prefix
        self._descending = descending
        self._where = "l.pair = ? AND l.status = ?"
        self._filters: list[str | int] = []
        if prefix:
            self._where += " AND l.id >= ? AND l.id < ?"
            self._filters += [prefix, prefix + _LAST_ID]
        for pair in pairs[1:]:
            self._where += (
                " AND EXISTS (SELECT 1 FROM listing o WHERE o.pair = ? AND o.status = l.status"
                " AND o.timestamp_us = l.timestamp_us AND o.id = l.id)"
            )
            self._filters.append(pair)

    def total(self, statuses: list[int]) -> int:
        """How many flows match; from the counters unless a prefix or a second label filters."""
        pair = self._pairs[0]
        if self._prefix and self._pairs == [_ALL]:
            return self._prefix_total(statuses)
        if self._filters:
            sql = f"SELECT count(*) FROM listing l WHERE {self._where}"
            counts = [self._db.execute(sql, (pair, status, *self._filters)).fetchone()[0] for status in statuses]
            return sum(counts)
        rows = self._db.execute("SELECT status, flows FROM counts WHERE pair = ?", (pair,)).fetchall()
        return sum(flows for status, flows in rows if status in statuses)

    def _prefix_total(self, statuses: list[int]) -> int:
        where = f"{_LISTED} AND id >= ? AND id < ?"
        if len(statuses) < len(STATUSES):
            where += f" AND status IN ({', '.join(map(str, statuses))})"
        bounds = (self._prefix, self._prefix + _LAST_ID)
        return self._db.execute(f"SELECT count(*) FROM flows WHERE {where}", bounds).fetchone()[0]

    def page(self, statuses: list[int], cursor: _Cursor | None, wanted: int) -> list[_Found]:
        """The first `wanted` flows behind the cursor: active ones first, then ended ones, each group by time."""
        found: list[_Found] = []
        for group in (0, 1):
            if cursor is not None and group < cursor.group:
                continue
            after = _Key(cursor.recent, cursor.id) if cursor is not None and group == cursor.group else None
            missing = wanted - len(found)
            members = [status for status in statuses if _group(status) == group]
            rows = [row for status in members for row in self._status_page(status, after, missing)]
            found += sorted(rows, key=self._order)[:missing]
        return found

    def is_narrow(self) -> bool:
        """Whether the id prefix alone leaves few flows."""
        (size,) = self._db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM flows WHERE {_LISTED} AND id >= ? AND id < ? LIMIT ?)",
            (self._prefix, self._prefix + _LAST_ID, FEW + 1),
        ).fetchone()
        return size <= FEW

    def narrow_page(self, statuses: list[int], cursor: _Cursor | None, wanted: int) -> tuple[list[_Found], int]:
        """As `page`, with the total, for a prefix that few flows have: all of them are read and sorted."""
        where = f"{_LISTED} AND f.id >= ? AND f.id < ?"
        for _ in self._pairs if self._pairs != [_ALL] else ():
            where += (
                " AND EXISTS (SELECT 1 FROM listing o WHERE o.pair = ? AND o.status = f.status"
                " AND o.timestamp_us = f.timestamp_us AND o.id = f.id)"
            )
        pairs = self._pairs if self._pairs != [_ALL] else []
        rows = self._db.execute(
            f"SELECT f.status, f.timestamp_us, f.id, f.labels, f.error FROM flows f WHERE {where}",
            (self._prefix, self._prefix + _LAST_ID, *pairs),
        )
        matching = sorted((row for row in map(_Found._make, rows) if row.status in statuses), key=self._order)
        if cursor is None:
            return matching[:wanted], len(matching)
        start = (cursor.group, -cursor.recent if self._descending else cursor.recent, cursor.id)
        return [row for row in matching if self._order(row) > start][:wanted], len(matching)

    def _order(self, row: _Found) -> tuple[int, int, str]:
        return _group(row.status), -row.timestamp_us if self._descending else row.timestamp_us, row.id

    def _status_page(self, status: int, after: _Key | None, wanted: int) -> list[_Found]:
        if wanted <= 0:
            return []
        if self._descending:
            return self._descending_page(status, after, wanted)
        if after is None:
            return self._select(status, "", (), "l.timestamp_us, l.id", wanted)
        return self._select(status, "(l.timestamp_us, l.id) > (?, ?)", after, "l.timestamp_us, l.id", wanted)

    def _descending_page(self, status: int, after: _Key | None, wanted: int) -> list[_Found]:
        """Newest first, yet equal times by rising id: the range runs the other way inside one time."""
        found = [] if after is None else self._same_time(status, after, wanted)
        missing = wanted - len(found)
        if missing <= 0:
            return found
        older = ("", ()) if after is None else ("l.timestamp_us < ?", (after.timestamp_us,))
        rows = self._select(status, *older, "l.timestamp_us DESC", missing)
        if len(rows) == missing:
            # The last time may be cut: read it again from its lowest id.
            last = rows[-1].timestamp_us
            rows = [row for row in rows if row.timestamp_us > last]
            rows += self._same_time(status, _Key(last, ""), missing - len(rows))
        return found + sorted(rows, key=self._order)

    def _same_time(self, status: int, after: _Key, wanted: int) -> list[_Found]:
        return self._select(status, "l.timestamp_us = ? AND l.id > ?", after, "l.id", wanted)

    def _select(self, status: int, place: str, values: Iterable[str | int], order: str, limit: int) -> list[_Found]:
        where = f"{self._where} AND {place}" if place else self._where
        rows = self._db.execute(
            "SELECT l.status, l.timestamp_us, l.id, f.labels, f.error FROM listing l CROSS JOIN flows f ON f.flow = l.flow"
            f" WHERE {where} ORDER BY {order} LIMIT ?",
            (self._pairs[0], status, *self._filters, *values, limit),
        )
        return [_Found._make(row) for row in rows]


def _group(status: int) -> int:
    return 0 if status == _ACTIVE else 1


def _row(found: _Found) -> FlowRow:
    labels = _labels_decoder.decode(found.labels) if found.labels else {}
    return FlowRow(found.id, STATUSES[found.status], found.timestamp_us, labels, found.error)


def _encode_cursor(row: _Found) -> str:
    cursor = _Cursor(row.id, _group(row.status), row.timestamp_us)
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def _decode_cursor(text: str) -> _Cursor:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        cursor = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Cursor)
    except (ValueError, msgspec.DecodeError):
        raise InvalidCursor(text) from None
    if cursor.group not in (0, 1) or abs(cursor.recent) >= 1 << 63:
        raise InvalidCursor(text)
    return cursor
