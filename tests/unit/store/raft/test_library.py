"""The Raft library under the cluster's log is the very source that the log was proven with."""

import hashlib
import inspect
import re
import tomllib
from pathlib import Path

import pysyncobj.config
import pysyncobj.journal
import pysyncobj.node
import pysyncobj.syncobj
import pysyncobj.transport
import pytest
from pysyncobj import SyncObj

from argyll.store.raft import host as host_module
from argyll.store.raft.host import RELEASE, Host, check_release

REPOSITORY = Path(__file__).resolve().parents[4]

# Called, overridden, or relied upon by `argyll/store/raft/host.py`.
SOURCES = {
    "_SyncObj__applyLogEntries": "073db677773b5a2d",
    "_SyncObj__connectedToAnyone": "acd40e9e3ac6c4cc",
    "_SyncObj__deleteEntriesFrom": "3b23c411bb903d36",
    "_SyncObj__doApplyCommand": "1ea7aa506e950d0a",
    "_SyncObj__generateRaftTimeout": "92ed37d3620e781a",
    "_SyncObj__getCurrentLogIndex": "e5af22ca246686bd",
    "_SyncObj__getCurrentLogTerm": "1cb8867e6a13d397",
    "_SyncObj__getEntries": "e29c4b33293b2101",
    "_SyncObj__onBecomeLeader": "5a3fd97bc17dc1cf",
    "_SyncObj__onLeaderChanged": "53b7685e1d897887",
    "_SyncObj__onMessageReceived": "ddfe34b6c0282179",
    "_SyncObj__sendAppendEntries": "9cb9073128c392fa",
    "_SyncObj__sendNextNodeIdx": "68aaeefc267b8896",
    "_SyncObj__setCurrentTerm": "0ad5bf456ac06bd3",
    "_SyncObj__setState": "2c1f239f7bd79b39",
    "_SyncObj__tryLogCompaction": "c2f8a0ec14cc7312",
    "__init__": "09df12cd7fd7d727",
    "_checkCommandsToApply": "a386a8079361d204",
    "_onTick": "cc9eb08232d005ba",
    "doTick": "bef78c2ba06d784b",
    "config": "e8d5f06ea6435e2c",
    "journal": "8375f2a66c8600e6",
    "node": "08d57d1bfde2aca1",
    "transport": "9b0212a7af6123e7",
}
MODULES = {
    "config": pysyncobj.config.SyncObjConf,
    "journal": pysyncobj.journal.Journal,
    "node": pysyncobj.node.Node,
    "transport": pysyncobj.transport.Transport,
}
ADVICE = (
    "the library's source changed. Read the difference with argyll/store/raft/host.py beside it, then run the whole campaign "
    "(pytest -m nightly tests/faults/test_raft_campaign.py) and the fault tests (pytest tests/faults/test_raft_*.py) before "
    "you enter the new hashes here and the new release in host.RELEASE and pyproject.toml"
)


def digest(source: object) -> str:
    return hashlib.sha256(inspect.getsource(source).encode()).hexdigest()[:16]


def found_sources() -> dict[str, str]:
    return {name: digest(MODULES.get(name) or getattr(SyncObj, name)) for name in SOURCES}


def test_the_librarys_source_is_the_one_that_was_proven() -> None:
    assert found_sources() == SOURCES, ADVICE


def test_whatever_the_host_overrides_or_calls_is_held() -> None:
    text = inspect.getsource(host_module)
    names = set(re.findall(r"(?:self|super\(\))\.(_SyncObj__\w+)\(|def (_SyncObj__\w+)\(", text))
    used = {one or other for one, other in names}
    assert used
    assert used <= set(SOURCES)


def test_every_attribute_the_host_declares_exists_in_the_library() -> None:
    source = inspect.getsource(pysyncobj.syncobj)
    declared = [name for name in Host.__annotations__ if name.startswith("_SyncObj__")]
    assert declared
    for name in declared:
        assert f"self.{name.removeprefix('_SyncObj')} = " in source or hasattr(SyncObj, name), f"{name}: {ADVICE}"


def test_the_release_is_pinned_exactly() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert f"pysyncobj=={RELEASE}" in project["dependencies"]


def test_another_release_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    check_release()
    monkeypatch.setattr(pysyncobj.syncobj, "VERSION", "0.3.18")
    with pytest.raises(RuntimeError, match=r"pip install pysyncobj==0\.3\.17"):
        check_release()


def test_nothing_of_the_log_pickles() -> None:
    directory = Path(inspect.getfile(host_module)).parent
    for file in directory.glob("*.py"):
        assert not re.search(r"^\s*(import|from) .*pickle|pickle\.(loads|dumps)", file.read_text(), re.MULTILINE), file
