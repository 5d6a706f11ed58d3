"""A git repository as a source, read through the git command at a resolved commit.

Never checks out, never writes to a repository of the user, runs no hook, asks no question on the terminal. A remote
repository is fetched into a bare mirror of its own; commits are read by id, never by a name that may move.
"""

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath

from argyll.gitops.source import MAX_FILE_BYTES, Budget, Lineage, Snapshot, SourceError, belongs

GIT_TIMEOUT_S = 120.0
"""For one git command, fetches included."""

LOCAL_POLL_S = 5.0
REMOTE_POLL_S = 30.0
"""A remote is somebody's server."""

STALE_LOCK_S = 600.0
"""A lock file in a mirror that is older belongs to a git process that was killed."""

_SAFE = tuple(
    word
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "protocol.ext.allow=never",
        "fetch.fsckObjects=true",
        "gc.auto=0",
        "maintenance.auto=false",
    )
    for word in ("-c", setting)
)
_REGULAR_FILE_MODES = frozenset(("100644", "100755"))
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"[^-+:\s][^:\s]*")
"""What may name a commit: no option, no refspec."""
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DAMAGE = re.compile(
    r"corrupt|bad object|object file|unable to read|unresolved deltas|not a git repository|bad tree|loose object"
)
"""What git says of a mirror that lost something, as after a full disk or a crash of the machine."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|[^/]+@[^/]+:|[^/]+:[^/\\]", re.IGNORECASE)


class GitMissing(SourceError):
    """There is no git command."""


class NotARepository(SourceError):
    """The path or URL holds no git repository, or one that may not be read."""


class UnknownRef(SourceError):
    """The repository has no such branch, tag or commit, or no such directory in it."""


class UnknownPath(UnknownRef):
    """The commit has no such directory."""


class GitFailed(SourceError):
    """A git command failed for a reason of its own; the text quotes it."""


class GitDamaged(GitFailed):
    """The repository lost objects that its commits need."""


class GitSource:
    """The step files below `path` of `repository` at `ref` (a branch, tag or commit)."""

    def __init__(
        self,
        repository: str,
        ref: str = "HEAD",
        path: str = "",
        *,
        cache: Path,
        timeout_s: float = GIT_TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`cache` is the directory that holds mirrors of remote repositories. `clock` gives seconds since the epoch.

        Raises `UnknownRef` for a `ref` that cannot be one, `SourceError` for a `path` that leaves the repository and
        for a `repository` that cannot be the name of one.
        """
        if repository.startswith("-") or _CONTROL.search(repository):
            raise SourceError(f"--git {repository!r}: give the path or the URL of a repository")
        if not _REF.fullmatch(ref):
            raise UnknownRef(f"{ref!r} is no name of a branch, tag or commit, such as main")
        self._repository = repository
        self._ref = ref
        self._path = _normal_path(path)
        self._cache = cache
        self._timeout_s = timeout_s
        self._clock = clock
        self._last: Snapshot | None = None
        self._blobs: dict[str, bytes] = {}
        """The contents of the last commit read, by blob id."""
        self._remote = _URL.match(repository) is not None and not Path(repository).exists()
        self._place = _CREDENTIALS.sub(r"\1", repository)
        """The repository as it may be shown and recorded: without a user name or password in its URL."""

    @classmethod
    def of_directory(cls, directory: Path, ref: str = "HEAD") -> "GitSource":
        """A directory of a work tree as it was at a commit. Raises `NotARepository` outside of one."""
        inside = cls(str(directory), ref, cache=directory)
        prefix = inside._check(inside._run(inside._local(), "rev-parse", "--show-prefix")).stdout
        return cls(str(directory), ref, prefix.decode("utf-8", "surrogateescape").rstrip("\n"), cache=directory)

    def merge_base(self, other: str) -> str:
        """The commit at which the ref and another one parted. Raises `UnknownRef` when they share none."""
        directory = self._local()
        commits = [self._resolve(directory, ref) for ref in (self._ref, other)]
        done = self._run(directory, "merge-base", "--end-of-options", *commits)
        if done.returncode != 0:
            hint = "fetch more of the history (git fetch --unshallow)"
            raise UnknownRef(f"{self._place}: {self._ref!r} and {other!r} have no commit in common; {hint}")
        return done.stdout.decode().split()[0]

    @property
    def name(self) -> str:
        place = self._place if self._remote else Path(self._repository).absolute()
        return f"git:{place}" + (f"#{self._path}" if self._path else "")

    @property
    def poll_s(self) -> float:
        return REMOTE_POLL_S if self._remote else LOCAL_POLL_S

    def read(self) -> Snapshot:
        """The files of the commit; only blobs that the last commit did not have are read."""
        if not self._remote:
            directory = self._local()
            return self._read(directory, self._resolve(directory, self._ref))
        commit = self._advertised()
        directory = self._mirror()
        if commit is None or not self._has(directory, commit):
            commit = self._fetch(directory)
        try:
            return self._read(directory, commit)
        except GitDamaged:
            # An object is missing: the mirror is only a copy.
            shutil.rmtree(directory)
            return self._read(directory, self._fetch(self._mirror()))

    def lineage(self, earlier: str, later: str) -> Lineage:
        """How a commit follows another one; a commit that is not known any more belongs to another history."""
        if earlier == later:
            return "same"
        directory = self._mirror() if self._remote else self._local()
        if self._is_ancestor(directory, earlier, later):
            return "forward"
        return "rewound" if self._is_ancestor(directory, later, earlier) else "rewritten"

    def _is_ancestor(self, directory: Path, earlier: str, later: str) -> bool:
        commits = (earlier, later)
        if not all(_SHA.fullmatch(commit) for commit in commits):
            return False
        return self._run(directory, "merge-base", "--is-ancestor", "--end-of-options", *commits).returncode == 0

    def _read(self, directory: Path, commit: str) -> Snapshot:
        if self._last is not None and self._last.revision == commit:
            return self._last
        unread: dict[str, str] = {}
        entries = list(self._entries(directory, commit, unread))
        budget = Budget(f"{self._place} at {commit[:12]}")
        for _, size, _ in entries:
            budget.take(size)
        missing = list(dict.fromkeys(blob for blob, _, _ in entries if blob not in self._blobs))
        known = self._blobs | dict(zip(missing, self._contents(directory, missing), strict=True))
        self._blobs = {blob: known[blob] for blob, _, _ in entries}
        files = {path: self._blobs[blob] for blob, _, path in entries}
        for path, content in files.items():
            if content.startswith(_LFS_POINTER):
                unread[path] = "kept in Git LFS; keep step files in git itself"
        self._last = Snapshot(commit, files, f"{self._ref}@{commit[:12]}", unread)
        return self._last

    @asynccontextmanager
    async def hints(self, changed: asyncio.Event) -> AsyncGenerator[None]:
        """A repository gives none: it is asked again at every interval."""
        yield

    def _local(self) -> Path:
        directory = Path(self._repository)
        if not directory.is_dir():
            raise NotARepository(f"{self._place}: no such directory; give --git a repository's path or URL")
        done = self._run(directory, "rev-parse", "--git-dir")
        if done.returncode != 0:
            message = self._message(done)
            if "dubious ownership" in message:
                raise NotARepository(
                    f"{self._place}: belongs to another user; allow it with "
                    f"`git config --global --add safe.directory {directory.resolve()}`"
                )
            raise NotARepository(f"{self._place}: not a git repository; run `git init` there, or use --dir")
        return directory

    def _advertised(self) -> str | None:
        """The commit that the remote has under the ref, asked without fetching; None when only a fetch can tell."""
        if _SHA.fullmatch(self._ref):
            return self._ref
        names = (self._ref, f"refs/heads/{self._ref}", f"refs/tags/{self._ref}")
        # An annotated tag is an object of its own; with `^{}` it is the commit it stands for.
        wanted = tuple(form for name in names for form in (f"{name}^{{}}", name))
        done = self._run(self._cache_root(), "ls-remote", "--end-of-options", self._repository, *wanted)
        if done.returncode != 0:
            raise NotARepository(
                f"{self._place}: cannot be fetched: {self._message(done)}; check the URL and your access"
            )
        refs: dict[str, str] = {}
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            commit, _, name = line.partition("\t")
            refs[name] = commit
        found = next((refs[name] for name in wanted if name in refs), None)
        if found is None:
            raise UnknownRef(f"{self._place}: no branch or tag {self._ref!r}; see `git ls-remote`")
        return found

    def _has(self, directory: Path, commit: str) -> bool:
        return self._run(directory, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    def _cache_root(self) -> Path:
        self._cache.mkdir(parents=True, exist_ok=True)
        return self._cache

    def _mirror(self) -> Path:
        """The bare copy of a remote, made when it is not there."""
        directory = self._cache_root() / hashlib.sha256(self._repository.encode()).hexdigest()[:32]
        if not (directory / "HEAD").exists():
            directory.mkdir(exist_ok=True)
            self._check(self._run(directory, "init", "--quiet", "--bare", "."))
        return directory

    def _fetch(self, directory: Path, *, again: bool = False) -> str:
        """Bring the ref with its history into the mirror, and return its commit."""
        for lock in directory.rglob("*.lock"):
            with suppress(FileNotFoundError):
                if self._clock() - lock.stat().st_mtime > STALE_LOCK_S:
                    lock.unlink()
        # One name a ref: agents that follow different branches share a mirror.
        kept = f"refs/argyll/{hashlib.sha256(self._ref.encode()).hexdigest()[:16]}"
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--end-of-options")
        done = self._run(directory, "fetch", *options, self._repository, f"{self._ref}:{kept}")
        if done.returncode == 0:
            return self._resolve(directory, kept)
        message = self._message(done)
        if _DAMAGE.search(done.stderr.decode("utf-8", "replace")) and not again:
            shutil.rmtree(directory)
            return self._fetch(self._mirror(), again=True)
        if "couldn't find remote ref" in message or "not our ref" in message:
            raise UnknownRef(f"{self._place}: no branch or tag {self._ref!r}; see `git ls-remote`")
        raise NotARepository(f"{self._place}: cannot be fetched: {message}; check the URL and your access")

    def _resolve(self, directory: Path, ref: str) -> str:
        done = self._run(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        commit = done.stdout.decode().strip().splitlines()[-1:] or [""]
        if done.returncode != 0 or not _SHA.fullmatch(commit[0]):
            known = self._run(directory, "for-each-ref", "--count=8", "--format=%(refname:short)", "refs/heads")
            names = ", ".join(known.stdout.decode(errors="replace").split())
            hint = f"its branches: {names}" if names else "it has no commit yet"
            raise UnknownRef(f"{self._place}: no commit for ref {ref!r}; {hint}")
        return commit[0]

    def _entries(self, directory: Path, commit: str, unread: dict[str, str]) -> Iterable[tuple[str, int, str]]:
        """(blob id, bytes, path below the root) of every step file and of the project file.

        What is called like one but cannot be read is put into `unread` with the reason.
        """
        tree = f"{commit}:{self._path}"
        done = self._run(directory, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", tree)
        if done.returncode != 0:
            if _DAMAGE.search(done.stderr.decode("utf-8", "replace")):
                raise GitDamaged(f"{self._place}: {self._message(done)}; run `git fsck` there")
            raise UnknownPath(f"{self._place}: no directory {self._path!r} at {self._ref} ({commit[:12]})")
        for record in done.stdout.split(b"\0")[:-1]:
            head, _, name = record.partition(b"\t")
            mode, _, blob, size = head.decode().split()
            path = name.decode("utf-8", "backslashreplace")
            if not belongs(path):
                continue
            if mode not in _REGULAR_FILE_MODES:
                unread[path] = "a symbolic link; put the file itself there" if mode == "120000" else "no file"
            elif path.encode() != name:
                unread[path] = "its name is not UTF-8; rename it"
            else:
                if not size.isdigit():
                    raise GitDamaged(f"{self._place}: object {blob} of {path} is missing; run `git fsck` there")
                yield blob, int(size), path

    def _contents(self, directory: Path, blobs: Sequence[str]) -> list[bytes]:
        """The contents of blobs, in order, through one git process."""
        if not blobs:
            return []
        done = self._check(self._run(directory, "cat-file", "--batch", stdin="\n".join(blobs).encode() + b"\n"))
        contents: list[bytes] = []
        position = 0
        for blob in blobs:
            end_of_head = done.stdout.index(b"\n", position)
            head = done.stdout[position:end_of_head].split()
            if len(head) != 3:
                raise GitDamaged(f"{self._place}: object {blob} is missing; run `git fsck` there")
            start, size = end_of_head + 1, int(head[2])
            contents.append(done.stdout[start : start + min(size, MAX_FILE_BYTES + 1)])
            position = start + size + 1
        return contents

    def _check(self, done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[bytes]:
        if done.returncode != 0:
            raise GitFailed(f"{self._place}: git: {self._message(done)}")
        return done

    def _message(self, done: subprocess.CompletedProcess[bytes]) -> str:
        """The first line of what git said, without credentials."""
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[0].removeprefix("fatal: ").replace(self._repository, self._place) if lines else "no message"

    def _run(self, directory: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ("git", *_SAFE, *arguments)
        try:
            return subprocess.run(
                command, cwd=directory, input=stdin, capture_output=True, timeout=self._timeout_s, env=_environment()
            )
        except FileNotFoundError as error:
            raise GitMissing("git: command not found; install git, or use --dir with a work tree") from error
        except subprocess.TimeoutExpired as error:
            raise GitFailed(
                f"{self._place}: git {arguments[0]} took longer than {self._timeout_s:g} s (GIT_TIMEOUT_S)"
            ) from error


def _environment() -> dict[str, str]:
    """The caller's environment without what would point git elsewhere, and with no way to ask a question."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    return kept | {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _normal_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts:
        raise SourceError(f"--path {path}: give a directory inside the repository, relative to its root")
    return "/".join(part for part in parts if part != ".")
