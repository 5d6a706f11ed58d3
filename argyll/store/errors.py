"""Every way the store can say no, one type per kind a caller treats differently.

Each text names the place (file, offset, aggregate, limit) and the way out. Nothing here decides anything.
"""

from pathlib import Path


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class Conflict(StoreError):
    """The append was decided on an outdated history; it was not recorded. Reload from `actual` and decide again."""

    def __init__(self, aggregate: tuple[str, ...], expected: int, actual: int) -> None:
        super().__init__(
            f"{'/'.join(aggregate)}: expected sequence {expected}, next is {actual}; reload the aggregate and decide again"
        )
        self.aggregate = aggregate
        self.expected = expected
        self.actual = actual


class StoreClosed(StoreError):
    """The store is closing or closed; an append was not recorded."""

    def __init__(self) -> None:
        super().__init__("the store is closed: nothing is read or recorded; open it again")


class StoreFailed(StoreError):
    """The disk refused a write or a sync. Nothing is acknowledged any more until the store is opened again.

    An append that was being written when the disk failed may be found after the restart or not; one that was made
    later was not recorded.
    """

    def __init__(self, doing: str, cause: BaseException) -> None:
        super().__init__(
            f"{doing} failed: {cause}; nothing is acknowledged any more. Free space or replace the disk, then restart "
            "this node: it continues from the last acknowledged append"
        )
        self.cause = cause


class Overloaded(StoreError):
    """Too much waits for the disk; the append was not recorded. Try again later."""

    def __init__(self, limit: str, value: int, wanted: int) -> None:
        super().__init__(f"{wanted} would wait for the log, {limit} allows {value}; try again later")
        self.limit = limit


class EntryTooLarge(StoreError):
    """One append is larger than the log takes; it was not recorded."""

    def __init__(self, aggregate: tuple[str, ...], size: int, limit: int) -> None:
        super().__init__(
            f"{'/'.join(aggregate)}: an append of {size} bytes, max_append_bytes allows {limit}; "
            "pass large values by reference or raise the limit"
        )
        self.size = size
        self.limit = limit


class OutcomeUnknown(StoreError):
    """The append may or may not be committed (leader lost, time-out). Read the aggregate before deciding again."""


class BarrierTimeout(StoreError):
    """This node has not applied the wanted entry in time; read elsewhere or try again."""

    def __init__(self, index: int, applied: int, timeout_ms: int) -> None:
        super().__init__(f"entry {index} not applied within {timeout_ms} ms (applied: {applied}); try again")


class NoLeader(StoreError):
    """No leader was found in time (an election, or no quorum); what was asked was not done and not recorded."""

    def __init__(self, waited_ms: int, quorum: str) -> None:
        super().__init__(f"no leader within {waited_ms} ms ({quorum}); nothing was recorded, try again")


class NotLeader(StoreError):
    """Only the leader can do this; nothing was done. `leader` is its id, None while there is none."""

    def __init__(self, leader: str | None) -> None:
        super().__init__(f"this node is not the leader; ask {leader or 'again once there is one'}")
        self.leader = leader


class TransferFailed(StoreError):
    """Leadership stayed where it was."""

    def __init__(self, to: str, why: str) -> None:
        super().__init__(f"leadership was not handed to {to}: {why}; try again or name another node")


class SafetyStop(StoreError):
    """A rule of Raft would have been broken: this node stops rather than lose what was acknowledged."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"stopped to protect acknowledged data: {found}. Report this with the logs of all nodes; the other nodes go "
            "on without this one"
        )


class NoOtherNode(StoreError):
    """Leadership cannot move: this log has one node."""

    def __init__(self) -> None:
        super().__init__("an embedded log has no other node to lead; configure a cluster to transfer leadership")


class InvalidCursor(StoreError):
    """A page cursor that this store did not make."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"not a cursor of this list: {cursor[:80]!r}; start again without a cursor")


class OpenError(StoreError):
    """The directory cannot be opened as a store; nothing that was acknowledged is touched."""


class OpenFailed(OpenError):
    """The operating system did not let the store read or write its files."""

    def __init__(self, directory: Path, cause: BaseException) -> None:
        super().__init__(
            f"opening {directory} failed: {cause}; check its permissions and the free space, then start again"
        )
        self.cause = cause


class ListenFailed(OpenError):
    """The node's address cannot be listened on."""

    def __init__(self, node_id: str, address: str, cause: BaseException) -> None:
        super().__init__(
            f"node {node_id} cannot listen on {address}: {cause}; stop what uses the port, or give an address of this machine"
        )
        self.cause = cause


class DirectoryLocked(OpenError):
    """Another process has the directory open."""

    def __init__(self, directory: Path, pid: int | None, since: str | None) -> None:
        holder = f"process {pid} (since {since})" if pid else "another process"
        super().__init__(f"{directory} is in use by {holder}; stop it first or choose another data directory")
        self.pid = pid


class NewerFormat(OpenError):
    """The directory was written by a newer release."""

    def __init__(self, directory: Path, found: int, known: int, created_by: str) -> None:
        super().__init__(
            f"{directory} has store format {found} (created by {created_by}), this release reads up to {known}; "
            "run the newer release"
        )
        self.found = found
        self.known = known


class NotAStore(OpenError):
    """The directory holds something else."""

    def __init__(self, directory: Path, found: str) -> None:
        super().__init__(f"{directory} is not a store: {found}; choose an empty directory or restore the missing file")


class DamagedLog(OpenError):
    """The write-ahead log is damaged where a torn write cannot explain it: acknowledged events would be lost."""

    def __init__(self, file: Path, offset: int, found: str) -> None:
        super().__init__(
            f"{file} at offset {offset}: {found}. Acknowledged events may be behind this place, so the store does not "
            "start. Restore the data directory from a backup, or copy it from a healthy node; keep the damaged files "
            "until then"
        )
        self.file = file
        self.offset = offset


class DamagedState(OpenError):
    """state.db cannot be used."""

    def __init__(self, file: Path, found: str) -> None:
        super().__init__(
            f"{file}: {found}. Restore the data directory from a backup; if the log still begins at entry 1, moving "
            "state.db aside is enough: it is rebuilt from the log"
        )
        self.file = file


class UnreadableEntry(OpenError):
    """An intact log entry that this release cannot apply."""

    def __init__(self, directory: Path, index: int, found: str) -> None:
        super().__init__(f"{directory}: entry {index} cannot be applied: {found}")
        self.index = index
