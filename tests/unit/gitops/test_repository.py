"""A git source reads the step files of one commit, whatever the work tree looks like."""

import os
from pathlib import Path
from typing import Any

import pytest

from argyll.gitops import GitFailed, GitMissing, GitSource, NotARepository, SourceError, UnknownRef
from argyll.gitops.source import MAX_FILE_BYTES

pytestmark = pytest.mark.system

Repository = Any


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_the_files_of_the_commit_are_read_not_those_of_the_work_tree(repository: Repository, cache: Path):
    commit = repository.commit({"steps/a.yaml": "1", "steps/x/b.yml": "2", "readme.md": "x", "argyll.yaml": "p"})
    (repository.path / "steps/a.yaml").write_text("uncommitted")
    (repository.path / "steps/new.yaml").write_text("untracked")
    snapshot = GitSource(str(repository.path), cache=cache).read()
    assert snapshot.revision == commit
    assert snapshot.files == {"steps/a.yaml": b"1", "steps/x/b.yml": b"2", "argyll.yaml": b"p"}


def test_a_path_makes_a_directory_of_the_repository_the_root(repository: Repository, cache: Path):
    repository.commit({"steps/a.yaml": "1", "steps/argyll.yaml": "inner", "argyll.yaml": "outer", "other/b.yaml": "2"})
    snapshot = GitSource(str(repository.path), "main", "./steps/", cache=cache).read()
    assert snapshot.files == {"a.yaml": b"1", "argyll.yaml": b"inner"}


def test_branches_tags_and_commits_are_refs(repository: Repository, cache: Path):
    first = repository.commit({"a.yaml": "1"})
    repository.git("tag", "-a", "v1", "-m", "v1")
    second = repository.commit({"a.yaml": "2"})
    revisions = {
        ref: GitSource(str(repository.path), ref, cache=cache).read().revision for ref in ("v1", first, "main")
    }
    assert revisions == {"v1": first, first: first, "main": second}


def test_reading_leaves_the_repository_untouched(repository: Repository, cache: Path):
    repository.commit({"a.yaml": "1"})
    before = {path: path.stat().st_mtime_ns for path in repository.path.rglob("*")}
    GitSource(str(repository.path), cache=cache).read()
    assert {path: path.stat().st_mtime_ns for path in repository.path.rglob("*")} == before
    assert not cache.exists()


def test_links_are_not_followed_and_odd_names_and_bytes_survive(repository: Repository, cache: Path):
    (repository.path / "link.yaml").symlink_to("/etc/hostname")
    repository.commit({"ü b\n.yaml": b"\xff\x00", "empty.yaml": ""})
    assert GitSource(str(repository.path), cache=cache).read().files == {"ü b\n.yaml": b"\xff\x00", "empty.yaml": b""}


def test_an_oversize_file_is_cut_just_above_the_limit_so_that_the_check_reports_it(repository: Repository, cache: Path):
    repository.commit({"big.yaml": b"x" * (MAX_FILE_BYTES + 500), "small.yaml": "y"})
    files = GitSource(str(repository.path), cache=cache).read().files
    assert (len(files["big.yaml"]), files["small.yaml"]) == (MAX_FILE_BYTES + 1, b"y")


def test_a_remote_is_fetched_into_the_cache_and_followed(repository: Repository, cache: Path):
    first = repository.commit({"a.yaml": "1"})
    source = GitSource(f"file://{repository.path}", "main", cache=cache)
    assert source.read().revision == first
    second = repository.commit({"a.yaml": "2"})
    assert (source.read().revision, source.read().files) == (second, {"a.yaml": b"2"})


def test_a_rewritten_remote_branch_is_followed(repository: Repository, cache: Path):
    source = GitSource(f"file://{repository.path}", "main", cache=cache)
    repository.commit({"a.yaml": "1"})
    source.read()
    repository.git("checkout", "--quiet", "--orphan", "other")
    rewritten = repository.commit({"a.yaml": "3"})
    repository.git("branch", "--force", "main", "other")
    assert source.read().revision == rewritten


@pytest.mark.parametrize(("scheme", "mend"), [("", "its branches: main"), ("file://", "git ls-remote")])
def test_an_unknown_ref_is_named_with_a_way_to_find_the_right_one(
    repository: Repository, cache: Path, scheme: str, mend: str
):
    repository.commit({"a.yaml": "1"})
    with pytest.raises(UnknownRef, match=mend) as caught:
        GitSource(f"{scheme}{repository.path}", "nope", cache=cache).read()
    assert "'nope'" in str(caught.value)


@pytest.mark.parametrize("ref", ["--upload-pack=touch /tmp/x", "main:refs/heads/x", "+main", "", "a b"])
def test_a_ref_can_be_neither_an_option_nor_a_refspec(repository: Repository, cache: Path, ref: str):
    with pytest.raises(UnknownRef, match="such as main"):
        GitSource(str(repository.path), ref, cache=cache)


def test_a_repository_without_a_commit_says_so(repository: Repository, cache: Path):
    with pytest.raises(UnknownRef, match="no commit yet"):
        GitSource(str(repository.path), cache=cache).read()


def test_a_directory_that_is_not_in_the_commit_is_named(repository: Repository, cache: Path):
    repository.commit({"a.yaml": "1"})
    with pytest.raises(UnknownRef, match="'steps'"):
        GitSource(str(repository.path), path="steps", cache=cache).read()


def test_what_is_no_repository_is_named(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    plain = tmp_path / "plain"
    plain.mkdir()
    for place, words in ((plain, "not a git repository"), (tmp_path / "gone", "no such directory")):
        with pytest.raises(NotARepository, match=words):
            GitSource(str(place), cache=cache).read()
    with pytest.raises(NotARepository, match="cannot be fetched"):
        GitSource(f"file://{tmp_path}/gone", "main", cache=cache).read()


@pytest.mark.parametrize("path", ["/etc", "../up", "a/../../b"])
def test_a_path_that_leaves_the_repository_is_refused(repository: Repository, cache: Path, path: str):
    with pytest.raises(SourceError, match="inside the repository"):
        GitSource(str(repository.path), path=path, cache=cache)


def test_a_machine_without_git_is_told_to_install_it(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitMissing, match="install git"):
        GitSource(str(repository.path), cache=cache).read()


def test_a_lost_object_is_an_error_not_a_missing_file(repository: Repository, cache: Path):
    repository.commit({"a.yaml": "1"})
    blob = repository.git("rev-parse", "HEAD:a.yaml")
    lost = repository.path / ".git" / "objects" / blob[:2] / blob[2:]
    lost.unlink()
    with pytest.raises(GitFailed):
        GitSource(str(repository.path), cache=cache).read()


def test_credentials_in_a_url_are_never_shown_or_recorded(cache: Path):
    source = GitSource("http://bot:s3cret@127.0.0.1:9/shop.git", "main", "steps", cache=cache)
    assert source.name == "git:http://127.0.0.1:9/shop.git#steps"
    with pytest.raises(NotARepository, match="cannot be fetched") as caught:
        source.read()
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)


def test_two_branches_of_one_remote_do_not_disturb_each_other(repository: Repository, cache: Path):
    first = repository.commit({"a.yaml": "1"})
    repository.git("branch", "stable")
    second = repository.commit({"a.yaml": "2"})
    url = f"file://{repository.path}"
    assert GitSource(url, "stable", cache=cache).read().revision == first
    assert GitSource(url, "main", cache=cache).read().revision == second
    assert len(list(cache.iterdir())) == 1, "one mirror for all branches"


@pytest.mark.parametrize("remote", [False, True])
def test_lineage_tells_how_commits_follow_each_other(repository: Repository, cache: Path, remote: bool):
    url = f"file://{repository.path}" if remote else str(repository.path)
    source = GitSource(url, "main", cache=cache)
    first = repository.commit({"a.yaml": "1"})
    second = repository.commit({"a.yaml": "2"})
    source.read()
    repository.git("checkout", "--quiet", "--orphan", "other")
    other = repository.commit({"a.yaml": "3"})
    repository.git("branch", "--force", "main", "other")
    source.read()
    assert [source.lineage(first, second), source.lineage(second, first), source.lineage(first, first)] == [
        "forward",
        "rewound",
        "same",
    ]
    assert source.lineage(second, other) == "rewritten"
    assert source.lineage("0" * 40, other) == source.lineage("--output=x", other) == "rewritten"


def test_an_unchanged_remote_is_not_fetched_again(repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch):
    repository.commit({"a.yaml": "1"})
    source = GitSource(f"file://{repository.path}", "main", cache=cache)
    first = source.read()

    def never(*_: object, **__: object) -> str:
        raise AssertionError("fetched")

    monkeypatch.setattr(source, "_fetch", never)
    assert source.read() is first


def test_only_new_blobs_are_read(repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch):
    repository.commit({"a.yaml": "1", "b.yaml": "2"})
    source = GitSource(str(repository.path), "main", cache=cache)
    source.read()
    asked: list[int] = []
    original = source._contents
    monkeypatch.setattr(source, "_contents", lambda where, blobs: asked.append(len(blobs)) or original(where, blobs))
    repository.commit({"b.yaml": "3", "c.yaml": "1"})
    assert source.read().files == {"a.yaml": b"1", "b.yaml": b"3", "c.yaml": b"1"}
    assert asked == [1]


def test_a_tag_is_followed_to_its_commit(repository: Repository, cache: Path):
    commit = repository.commit({"a.yaml": "1"})
    repository.git("tag", "-a", "v1", "-m", "v1")
    repository.git("tag", "plain")
    repository.commit({"a.yaml": "2"})
    revisions = [
        GitSource(f"file://{repository.path}", ref, cache=cache).read().revision
        for ref in ("v1", "plain", "refs/tags/v1")
    ]
    assert revisions == [commit] * 3


def test_a_deleted_branch_is_an_error_and_what_was_fetched_stays(repository: Repository, cache: Path):
    repository.commit({"a.yaml": "1"})
    repository.git("branch", "feature")
    source = GitSource(f"file://{repository.path}", "feature", cache=cache)
    source.read()
    repository.git("branch", "-D", "feature")
    with pytest.raises(UnknownRef, match="no branch or tag 'feature'"):
        source.read()


def test_a_damaged_mirror_is_made_anew(repository: Repository, cache: Path):
    repository.commit({"a.yaml": "1"})
    url = f"file://{repository.path}"
    GitSource(url, "main", cache=cache).read()
    blob = repository.git("rev-parse", "HEAD:a.yaml")
    for thing in next(cache.iterdir()).joinpath("objects").rglob("*"):
        if thing.is_file() and (thing.suffix in (".pack", ".idx", ".rev") or blob.startswith(thing.parent.name)):
            thing.unlink()
    assert GitSource(url, "main", cache=cache).read().files == {"a.yaml": b"1"}


def test_a_lock_of_a_killed_git_does_not_stop_the_next_one(repository: Repository, cache: Path):
    repository.commit({"a.yaml": "1"})
    url = f"file://{repository.path}"
    GitSource(url, "main", cache=cache).read()
    (kept,) = next(cache.iterdir()).joinpath("refs", "argyll").iterdir()
    lock = kept.with_name(kept.name + ".lock")
    lock.touch()
    os.utime(lock, (0, 0))
    second = repository.commit({"a.yaml": "2"})
    assert GitSource(url, "main", cache=cache).read().revision == second


def test_step_files_that_cannot_be_read_are_told_with_the_reason(repository: Repository, cache: Path):
    (repository.path / "link.yaml").symlink_to("/etc/hostname")
    (repository.path / "not-yaml").symlink_to("/etc/hostname")
    repository.commit({"lfs.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a.yaml": "1"})
    unread = GitSource(str(repository.path), cache=cache).read().unread
    assert set(unread) == {"link.yaml", "lfs.yaml"}
    assert "put the file itself there" in unread["link.yaml"]


@pytest.mark.parametrize("repository_", ["--upload-pack=touch x", "a\nb"])
def test_a_repository_can_be_no_option(cache: Path, repository_: str):
    with pytest.raises(SourceError, match="the path or the URL"):
        GitSource(repository_, cache=cache)
