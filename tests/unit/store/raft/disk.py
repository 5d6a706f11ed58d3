"""A simulated disk under the real write-ahead log: what is not synced may be lost or torn when the power goes."""

import errno
import random
from pathlib import Path

from argyll.store.wal import Files


class PowerCut(Exception):
    """The machine stops in the middle of an operation."""


class _File:
    def __init__(self) -> None:
        self.now = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes]] = []

    def write(self, offset: int, data: bytes) -> None:
        put(self.now, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        for offset, data in self.pending:
            put(self.durable, offset, data)
        self.pending.clear()


def put(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset:
        target += bytes(offset - len(target))
    target[offset : offset + len(data)] = data


class SimDisk(Files):
    """One node's disk. `crash` is a killed process or a power cut; `cut_after` arms a cut in the middle of later work."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.names: dict[str, _File] = {}
        self.durable_names: dict[str, _File] = {}
        self.descriptors: dict[int, _File] = {}
        self.opened = 2
        self.cut_after: int | None = None
        self.full = False
        self.lies = False
        """Syncs return at once and do nothing."""
        self.state: tuple[int, int, tuple[bytes, ...]] = (0, 0, ())
        """What the state machine has made durable: index, term, commands."""
        self.name_changes: list[dict[str, _File]] = []

    def list(self, directory: Path) -> list[Path]:
        return sorted(Path(name) for name in self.names if name.endswith(".wal"))

    def read(self, path: Path) -> bytes:
        return bytes(self.names[str(path)].now)

    def open(self, path: Path) -> int:
        return self._descriptor(self.names[str(path)])

    def create(self, path: Path) -> int:
        self.step()
        file = self.names[str(path)] = _File()
        self.name_changes.append(dict(self.names))
        return self._descriptor(file)

    def size(self, descriptor: int) -> int:
        return len(self.descriptors[descriptor].now)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        self.step()
        if self.full:
            self.descriptors[descriptor].write(offset, data[: self.chance.randrange(len(data) + 1)])
            raise OSError(errno.ENOSPC, "no space left on the simulated disk")
        self.descriptors[descriptor].write(offset, data)

    def sync(self, descriptor: int) -> None:
        self.step()
        if not self.lies:
            self.descriptors[descriptor].sync()

    def sync_whole(self, descriptor: int) -> None:
        self.sync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        self.step()
        self.durable_names = dict(self.names)
        self.name_changes.clear()

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        self.names[str(new)] = self.names.pop(str(old))
        self.name_changes.append(dict(self.names))

    def remove(self, path: Path) -> None:
        if str(path) in self.names:
            del self.names[str(path)]
            self.name_changes.append(dict(self.names))

    def close(self, descriptor: int) -> None:
        del self.descriptors[descriptor]

    def step(self) -> None:
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                raise PowerCut

    def crash(self, *, power: bool) -> None:
        """The process is gone; with `power`, so is what was not synced: each write of it whole, in part, or not at all."""
        self.cut_after, self.full = None, False
        self.descriptors.clear()
        if not power:
            return
        choices = [self.durable_names, *self.name_changes]
        self.names = dict(choices[self.chance.randrange(len(choices))])
        self.durable_names = dict(self.names)
        self.name_changes.clear()
        for file in self.names.values():
            for offset, data in file.pending:
                fate = self.chance.random()
                if fate < 0.4:
                    put(file.durable, offset, data[: self.chance.randrange(len(data) + 1)])
                elif fate < 0.6:
                    put(file.durable, offset, data)
            file.pending.clear()
            file.now = bytearray(file.durable)

    def wipe(self) -> None:
        """A new, empty disk."""
        self.__init__(self.chance)

    def _descriptor(self, file: _File) -> int:
        self.opened += 1
        self.descriptors[self.opened] = file
        return self.opened
