"""The state machine fed by a log that other nodes write to as well: what it accepts must not depend on who applies it."""

from argyll.store import Append, Committed, Conflict, IndexUpdate, NewEvent, StoreOptions
from argyll.store.log import Command, Outcome
from argyll.store.records import prepare
from argyll.store.state import State

FLOW = ("flow", "f")


def command(number: int, expected: int, name: str, *, after: int | None = None, local: bool = False) -> Command:
    append = Append(FLOW, expected, number, [NewEvent(name, b"{}")], IndexUpdate("active"), context=name)
    body, prepared = prepare(append, None if after is None else bytes([after]) * 16)
    return Command(bytes([number]) * 16, body, prepared if local else None)


def apply(state: State, *commands: Command) -> list[Outcome]:
    return [
        outcome if isinstance(outcome, int) else type(outcome) for outcome in state.apply(state._mark + 1, 1, commands)
    ]


def names(state: State) -> list[str]:
    return [record.type for record in state.events(FLOW, 0, None)]


def test_commands_from_elsewhere_and_from_here_are_applied_alike() -> None:
    for local in (False, True):
        state = State(None, StoreOptions())
        heard: list[Committed] = []
        state.on_applied = heard.extend
        assert apply(state, command(1, 0, "a", local=local), command(2, 1, "b", after=1, local=local)) == [1, 2]
        assert names(state) == ["a", "b"]
        assert heard == [
            Committed(FLOW, 0, 1, [NewEvent("a", b"{}")], "a" if local else None, IndexUpdate("active")),
            Committed(FLOW, 1, 2, [NewEvent("b", b"{}")], "b" if local else None, IndexUpdate("active")),
        ]
        state.close()


def test_an_append_built_on_a_refused_one_is_refused_although_its_sequence_fits() -> None:
    state = State(None, StoreOptions())
    stranger, ours, built_on_ours = command(9, 0, "stranger"), command(1, 0, "ours"), command(2, 1, "ours too", after=1)
    assert apply(state, stranger, ours, built_on_ours) == [1, Conflict, Conflict]
    assert names(state) == ["stranger"]
    state.close()


def test_a_command_proposed_twice_counts_once_and_answers_the_same() -> None:
    state = State(None, StoreOptions())
    assert apply(state, command(1, 0, "a")) == [1]
    assert apply(state, command(1, 0, "a"), command(2, 1, "b")) == [1, 2]
    assert names(state) == ["a", "b"]
    state.close()


def test_the_last_command_is_known_when_the_aggregate_is_loaded_again() -> None:
    state = State(None, StoreOptions(cached_aggregates=1))
    apply(state, command(1, 0, "a"))
    state.flush()
    state.next_sequence(("catalog",))
    state.next_sequence(("cluster",))
    state.save_snapshot(FLOW, 1, b"")
    state.flush()
    assert FLOW not in state._aggregates
    assert apply(state, command(1, 0, "a"), command(3, 1, "x", after=2), command(2, 1, "b", after=1)) == [
        1,
        Conflict,
        2,
    ]
    state.close()


def test_a_backlog_that_grows_too_long_is_written_at_once(monkeypatch) -> None:
    monkeypatch.setattr("argyll.store.state.BACKLOG_LIMIT", 3)
    state = State(None, StoreOptions())
    for number in range(4):
        assert state.waiting_appends == number
        apply(state, command(number, number, "e"))
    assert state.waiting_appends == 0
    assert state.applied_index == 4
    state.close()


def test_an_aggregate_is_not_forgotten_before_its_rows_are_written() -> None:
    state = State(None, StoreOptions(cached_aggregates=1))
    apply(state, command(1, 0, "a"))
    state.next_sequence(("catalog",))
    apply(state, command(2, 1, "b"))
    state.flush(1)
    assert state.waiting_appends == 1
    assert apply(state, command(3, 2, "c")) == [3]
    state.close()


def test_rows_are_written_by_whole_entries() -> None:
    state = State(None, StoreOptions())
    apply(state, *[command(number, number, "e") for number in range(10)])
    apply(state, *[command(number, number, "e") for number in range(10, 20)])
    state.flush(5)
    assert (state.applied_index, state.waiting_appends) == (1, 10)
    state.flush()
    assert (state.applied_index, state.waiting_appends, state.has_waiting) == (2, 0, False)
    state.close()
