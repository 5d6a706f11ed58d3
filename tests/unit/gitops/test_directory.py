"""A directory source reads step files, and only those, as one revision."""

import asyncio
import os
from pathlib import Path

import pytest

from argyll.gitops import DirectorySource, SourceError, SourceTooLarge
from argyll.gitops import source as limits


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_step_files_of_any_depth_are_read_and_nothing_else(tmp_path: Path):
    write(
        tmp_path,
        {
            "a.yaml": "1",
            "deep/er/b.yml": "2",
            "argyll.yaml": "project",
            "deep/argyll.yaml": "x",
            "notes.md": "x",
            ".hidden.yaml": "x",
            ".git/c.yaml": "x",
            "deep/.cache/d.yaml": "x",
        },
    )
    snapshot = DirectorySource(tmp_path).read()
    assert snapshot.files == {"a.yaml": b"1", "deep/er/b.yml": b"2", "argyll.yaml": b"project"}


def test_the_revision_follows_names_and_contents_and_nothing_else(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, {"a.yaml": "1", "b.yaml": "2"})
    write(two, {"b.yaml": "2", "a.yaml": "1", "readme.md": "x"})
    revision = DirectorySource(one).read().revision
    assert DirectorySource(two).read().revision == revision
    write(two, {"b.yaml": "3"})
    assert DirectorySource(two).read().revision != revision
    (one / "b.yaml").rename(one / "c.yaml")
    assert DirectorySource(one).read().revision != revision


@pytest.mark.parametrize(("make_file", "words"), [(False, "no such directory"), (True, "is a file")])
def test_a_missing_directory_is_an_error_that_names_it(tmp_path: Path, make_file: bool, words: str):
    place = tmp_path / "steps"
    if make_file:
        place.write_text("")
    with pytest.raises(SourceError, match=words) as caught:
        DirectorySource(place).read()
    assert str(place) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_stops_the_read_instead_of_looking_deleted(tmp_path: Path):
    write(tmp_path, {"a.yaml": "1"})
    (tmp_path / "a.yaml").chmod(0)
    with pytest.raises(SourceError, match="permissions"):
        DirectorySource(tmp_path).read()


@pytest.mark.parametrize(("name", "value"), [("MAX_SOURCE_FILES", 1), ("MAX_SOURCE_BYTES", 5)])
def test_a_source_over_a_limit_is_refused_with_the_limits_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
):
    write(tmp_path, {"a.yaml": "1234", "b.yaml": "5678"})
    monkeypatch.setattr(limits, name, value)
    with pytest.raises(SourceTooLarge, match=name):
        DirectorySource(tmp_path).read()


async def test_saving_a_file_hints_at_once(tmp_path: Path):
    write(tmp_path, {"a.yaml": "1"})
    changed = asyncio.Event()
    async with DirectorySource(tmp_path).hints(changed):
        async with asyncio.timeout(20):
            number = 0
            while not changed.is_set():  # the watch may not have begun at the first write
                number += 1
                write(tmp_path, {"a.yaml": str(number)})
                try:
                    await asyncio.wait_for(changed.wait(), 0.2)
                except TimeoutError:
                    continue


async def test_a_directory_that_comes_later_does_not_end_the_watch(tmp_path: Path):
    changed = asyncio.Event()
    async with DirectorySource(tmp_path / "later", rewatch_s=0.01).hints(changed):
        async with asyncio.timeout(20):
            await changed.wait()
            changed.clear()
            await changed.wait()
