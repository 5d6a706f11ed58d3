"""A file that cannot be read as it is blocks the revision; it never removes the steps that it held."""

import os
from pathlib import Path

import pytest

from argyll.gitops import DirectorySource
from argyll.gitops.source import SourceError


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.symlink_to(path.parent / "nowhere.yaml"), "leads nowhere"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, make, said: str) -> None:
    (tmp_path / "a.yaml").write_text("id: a\n")
    make(tmp_path / "b.yaml")
    with pytest.raises(SourceError, match=said):
        DirectorySource(tmp_path).read()
