"""The store against a dict of lists, through conflicts, restarts and lost state files."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from argyll.store import Append, Committed, Conflict, IndexUpdate, NewEvent, Store, StoreOptions

OPTIONS = StoreOptions(fsync="inline", segment_bytes=1024, flush_appends=4, checkpoint_bytes=512, cached_aggregates=2)
FLOWS = st.sampled_from([("flow", "a"), ("flow", "b"), ("flow", "a:s:1"), ("catalog",)])
BATCHES = st.lists(st.tuples(st.sampled_from(["started", "ünï"]), st.binary(max_size=200)), min_size=1, max_size=4)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self, quick_directory: str | None) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="argyll-store-", dir=quick_directory))
        self.runner = asyncio.Runner()
        self.histories: dict[tuple[str, ...], list[tuple[int, str, bytes]]] = {}
        self.statuses: dict[str, str] = {}
        self.heard: list[Committed] = []
        self.acknowledged = 0
        self.time_us = 0
        self.open()

    def open(self) -> None:
        self.store = self.runner.run(Store.open(self.directory, options=OPTIONS))
        self.store.listen(self.heard.append)

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    def make(
        self, aggregate: tuple[str, ...], expected: int, batch: list[tuple[str, bytes]], status: str | None
    ) -> Append:
        self.time_us += 1
        index = IndexUpdate(status, root=":" not in aggregate[1]) if aggregate[0] == "flow" and status else None
        return Append(aggregate, expected, self.time_us, [NewEvent(*event) for event in batch], index)

    def remember(self, append: Append) -> None:
        history = self.histories.setdefault(append.aggregate, [])
        history += [(append.timestamp_us, event.type, event.data) for event in append.events]
        if append.index is not None and append.index.status is not None:
            self.statuses[append.aggregate[1]] = append.index.status
        self.acknowledged += 1

    @rule(
        aggregate=FLOWS,
        batches=st.lists(BATCHES, min_size=1, max_size=5),
        status=st.sampled_from([None, "active", "completed"]),
    )
    def append_in_one_turn(
        self, aggregate: tuple[str, ...], batches: list[list[tuple[str, bytes]]], status: str | None
    ) -> None:
        async def run() -> None:
            expected = len(self.histories.get(aggregate, []))
            appends: list[Append] = []
            for batch in batches:
                appends.append(self.make(aggregate, expected, batch, status))
                expected += len(batch)
            results = await asyncio.gather(*map(self.store.append, appends))
            assert results == [append.expected_sequence + len(append.events) for append in appends]
            for append in appends:
                self.remember(append)

        self.runner.run(run())

    @rule(aggregate=FLOWS, wrong=st.integers(0, 30), batch=BATCHES)
    def append_outdated(self, aggregate: tuple[str, ...], wrong: int, batch: list[tuple[str, bytes]]) -> None:
        async def run() -> None:
            append = self.make(aggregate, wrong, batch, None)
            actual = len(self.histories.get(aggregate, []))
            (result,) = await asyncio.gather(self.store.append(append), return_exceptions=True)
            if wrong == actual:
                assert result == actual + len(batch)
                self.remember(append)
            else:
                assert isinstance(result, Conflict)
                assert result.actual == actual

        self.runner.run(run())

    @rule(aggregate=FLOWS, data=st.binary(max_size=50))
    def save_snapshot(self, aggregate: tuple[str, ...], data: bytes) -> None:
        sequence = len(self.histories.get(aggregate, []))
        before = self.store.snapshot(aggregate)
        if sequence:
            self.store.save_snapshot(aggregate, sequence, data)
            assert self.store.snapshot(aggregate) == (before if before and before[0] == sequence else (sequence, data))

    @rule(lose_state=st.booleans())
    def reopen(self, lose_state: bool) -> None:
        first_index = self.store.status().first_index
        self.runner.run(self.store.close())
        if lose_state and first_index == 1:
            for file in self.directory.glob("state.db*"):
                file.unlink()
        self.open()

    @invariant()
    def histories_agree(self) -> None:
        for aggregate, history in self.histories.items():
            assert self.store.next_sequence(aggregate) == len(history)
            records = self.store.read_events(aggregate)
            assert [record.sequence for record in records] == list(range(len(history)))
            assert [record[1:] for record in records] == history

    @invariant()
    def the_index_agrees(self) -> None:
        assert {flow: self.store.flow_status(flow) for flow in self.statuses} == self.statuses
        assert self.store.active_flows() == sorted(flow for flow, status in self.statuses.items() if status == "active")

    @invariant()
    def every_append_was_heard_once(self) -> None:
        assert len(self.heard) == self.acknowledged


def test_the_store_is_a_dict_of_lists(quick_directory: str | None) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(quick_directory), settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
