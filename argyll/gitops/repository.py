"""A git repository as a source, read through the git command at a resolved commit.

Never checks out, never writes to a repository of the user, runs no hook, asks no question on the terminal. A remote
repository is fetched into a bare cache of its own.
"""

import asyncio
import hashlib
import os
import re
import subprocess
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

from argyll.gitops.source import MAX_FILE_BYTES, Budget, Snapshot, SourceError, belongs

GIT_TIMEOUT_S = 120.0
"""For one git command, fetches included."""

LOCAL_POLL_S = 5.0
REMOTE_POLL_S = 30.0
"""A remote is somebody's server."""

_REGULAR_FILE_MODES = frozenset(("100644", "100755"))
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"[^-+:\s][^:\s]*")
"""What may name a commit: no option, no refspec."""
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
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


class GitSource:
    """The step files below `path` of `repository` at `ref` (a branch, tag or commit)."""

    def __init__(
        self, repository: str, ref: str = "HEAD", path: str = "", *, cache: Path, timeout_s: float = GIT_TIMEOUT_S
    ) -> None:
        """`cache` is the directory that holds copies of remote repositories.

        Raises `UnknownRef` for a `ref` that cannot be one and `SourceError` for a `path` that leaves the repository.
        """
        if not _REF.fullmatch(ref):
            raise UnknownRef(f"{ref!r} is no name of a branch, tag or commit, such as main")
        self._repository = repository
        self._ref = ref
        self._path = _normal_path(path)
        self._cache = cache
        self._timeout_s = timeout_s
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
        directory = self._fetch() if self._remote else self._local()
        commit = self._resolve(directory, "FETCH_HEAD" if self._remote else self._ref)
        entries = list(self._entries(directory, commit))
        budget = Budget(f"{self._place} at {commit[:12]}")
        for _, size, _ in entries:
            budget.take(size)
        contents = self._contents(directory, [blob for blob, _, _ in entries])
        files = {path: content for (_, _, path), content in zip(entries, contents, strict=True)}
        return Snapshot(commit, files, f"{self._ref}@{commit[:12]}")

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

    def _fetch(self) -> Path:
        # One cache a ref: two agents that follow different branches must not see each other's FETCH_HEAD.
        key = hashlib.sha256(f"{self._repository}\0{self._ref}".encode()).hexdigest()[:32]
        directory = self._cache / key
        directory.mkdir(parents=True, exist_ok=True)
        self._check(self._run(directory, "init", "--quiet", "--bare", "."))
        fetch = ("fetch", "--quiet", "--no-tags", "--depth=1", "--force", "--end-of-options")
        done = self._run(directory, *fetch, self._repository, self._ref)
        if done.returncode != 0:
            message = self._message(done)
            if "couldn't find remote ref" in message or "not our ref" in message:
                raise UnknownRef(f"{self._place}: no branch or tag {self._ref!r}; see `git ls-remote`")
            raise NotARepository(f"{self._place}: cannot be fetched: {message}; check the URL and your access")
        return directory

    def _resolve(self, directory: Path, ref: str) -> str:
        done = self._run(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        commit = done.stdout.decode().strip().splitlines()[-1:] or [""]
        if done.returncode != 0 or not _SHA.fullmatch(commit[0]):
            known = self._run(directory, "for-each-ref", "--count=8", "--format=%(refname:short)", "refs/heads")
            names = ", ".join(known.stdout.decode(errors="replace").split())
            hint = f"its branches: {names}" if names else "it has no commit yet"
            raise UnknownRef(f"{self._place}: no commit for ref {self._ref if ref == 'FETCH_HEAD' else ref!r}; {hint}")
        return commit[0]

    def _entries(self, directory: Path, commit: str) -> Iterable[tuple[str, int, str]]:
        """(blob id, bytes, path below the root) of every step file and of the project file."""
        tree = f"{commit}:{self._path}"
        done = self._run(directory, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", tree)
        if done.returncode != 0:
            raise UnknownPath(f"{self._place}: no directory {self._path!r} at {self._ref} ({commit[:12]})")
        for record in done.stdout.split(b"\0")[:-1]:
            head, _, name = record.partition(b"\t")
            mode, _, blob, size = head.decode().split()
            path = name.decode("utf-8", "surrogateescape")
            if mode in _REGULAR_FILE_MODES and belongs(path):
                if not size.isdigit():
                    raise GitFailed(f"{self._place}: object {blob} of {path} is missing; run `git fsck` there")
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
                raise GitFailed(f"{self._place}: object {blob} is missing; run `git fsck` there")
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
        command = ("git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", *arguments)
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
