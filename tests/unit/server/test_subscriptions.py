"""Who gets which event, and catching up without a gap or a duplicate."""

from hypothesis import given
from hypothesis import strategies as st

from argyll.server.envelopes import Event
from argyll.server.messages import Subscribe
from argyll.server.subscriptions import Gate, Subscription, SubscriptionIndex

FLOW = ("flow", "x")


class Sink:
    def send(self, frame: bytes) -> None:
        raise AssertionError(frame)


def wish(*paths: tuple[str, ...], types: set[str] | None = None, sub_id: str = "s") -> Subscribe:
    return Subscribe(sub_id, paths, frozenset(types) if types else None, False, None, False)


def event(sequence: int, aggregate: tuple[str, ...] = FLOW) -> Event:
    return Event(aggregate, sequence, 0, "t", b"{}")


def matched(index: SubscriptionIndex[Sink], aggregate: tuple[str, ...], event_type: str) -> list[str]:
    return [str(s.key) for s in index.matching(index.buckets(aggregate), event_type)]


def test_prefixes_and_types_choose_the_subscriptions():
    index: SubscriptionIndex[Sink] = SubscriptionIndex()
    for wanted in (
        wish(sub_id="all"),
        wish(("flow",), sub_id="flows"),
        wish(("flow", "x"), sub_id="x"),
        wish(("flow", "y"), sub_id="y"),
        wish(("flow", "x"), types={"a", "b"}, sub_id="x-ab"),
        wish(("engine",), sub_id="engine"),
        wish((), ("flow", "x"), ("flow",), sub_id="overlap"),
    ):
        index.add(Subscription(wanted, Sink()))
    assert matched(index, ("flow", "x"), "a") == ["all", "overlap", "flows", "x-ab", "x"]
    assert matched(index, ("flow", "x"), "c") == ["all", "overlap", "flows", "x"]
    assert matched(index, ("flow", "y"), "a") == ["all", "overlap", "flows", "y"]
    assert matched(index, ("catalog",), "a") == ["all", "overlap", "engine"]


def test_a_removed_subscription_leaves_nothing_behind():
    index: SubscriptionIndex[Sink] = SubscriptionIndex()
    subscription = Subscription(wish(("flow", "x"), ("catalog",), types={"a", "b"}), Sink())
    index.add(subscription)
    index.remove(subscription)
    index.remove(subscription)
    assert index.buckets(("flow", "x")) == index.buckets(("catalog",)) == []


def test_state_then_events_from_its_sequence_on():
    gate = Gate()
    for sequence in (3, 4, 5):
        assert not gate.admit(event(sequence))
    assert [e.sequence for e in gate.unshut({FLOW: 5}, ())] == [5]
    assert gate.open


def test_state_ahead_of_the_stream_suppresses_what_it_shows():
    gate = Gate()
    assert gate.unshut({FLOW: 5}, ()) == []
    assert [gate.admit(event(sequence)) for sequence in (3, 4, 5)] == [False, False, True]
    assert gate.open


def test_other_aggregates_pass_a_gate_that_is_bounded():
    gate = Gate()
    gate.unshut({FLOW: 5}, ())
    assert gate.admit(event(0, ("catalog",)))
    assert not gate.admit(event(4))


@given(
    history=st.integers(0, 12),
    start=st.integers(0, 15),
    page=st.integers(1, 4),
    commits=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12),
)
def test_replay_gives_each_event_from_the_start_once_and_in_order(
    history: int, start: int, page: int, commits: list[tuple[int, int]]
):
    """Commits fall before and during each page read, the read sees any prefix that includes what came before it."""
    gate = Gate()
    seen: list[int] = []
    at = history

    def commit(count: int) -> None:
        nonlocal at
        for _ in range(count):
            if gate.admit(event(at)):
                seen.append(at)
            at += 1

    for e in gate.unshut({}, (FLOW,)):
        seen.append(e.sequence)
    following, rounds = start, iter(commits)
    while True:
        before, during = next(rounds, (0, 0))
        commit(before)
        gate.reading(FLOW)
        read = list(range(following, min(at, following + page)))
        commit(during)
        seen += read
        if read:
            following = read[-1] + 1
        if len(read) < page:
            seen += [e.sequence for e in gate.caught_up(FLOW, following)]
            break
        gate.read_more(FLOW)
    commit(3)
    assert seen == list(range(start, at))
