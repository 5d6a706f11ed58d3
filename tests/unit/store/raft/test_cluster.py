"""Stores of one cluster: every node sees the same, whoever appends, whoever was away."""

import asyncio
import errno
from pathlib import Path

import pytest

from argyll.store import (
    Append,
    Committed,
    Conflict,
    FlowQuery,
    IndexUpdate,
    ListenFailed,
    NewEvent,
    NoLeader,
    NotAStore,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    Store,
    StoreClosed,
    StoreFailed,
    StoreOptions,
    TransferFailed,
)
from argyll.store.raft import ClusterConfig, RaftOptions
from tests.unit.store.raft.members import PATIENCE_MS, QUICK, SMALL, StoreCluster, free_addresses

FLOW = ("flow", "a")


def append(sequence: int, *, aggregate: tuple[str, ...] = FLOW, data: bytes = b"{}", context: object = None) -> Append:
    index = IndexUpdate("active", {"team": "x"}) if aggregate[0] == "flow" else None
    return Append(aggregate, sequence, sequence, [NewEvent("e", data)], index, context)


async def test_an_append_on_any_node_is_on_every_node(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        for sequence, store in enumerate(cluster.stores.values()):
            assert await store.append(append(sequence)) == sequence + 1
            assert store.next_sequence(FLOW) == sequence + 1, "the node has applied what it acknowledged"
            await cluster.settle()

        histories = [store.read_events(FLOW) for store in cluster.stores.values()]
        lists = [store.query_flows(FlowQuery(labels={"team": "x"})).flows for store in cluster.stores.values()]
        assert histories[0] == histories[1] == histories[2]
        assert lists[0] == lists[1] == lists[2]


async def test_listeners_get_their_context_only_where_it_was_appended(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        await cluster.leader()
        heard: dict[str, list[Committed]] = {name: [] for name in cluster.stores}
        for name, store in cluster.stores.items():
            store.listen(heard[name].append)

        await asyncio.gather(*[cluster.stores["n2"].append(append(n, context=n)) for n in range(3)])
        await cluster.settle()

        assert [notice.context for notice in heard["n2"]] == [0, 1, 2]
        for name in ("n1", "n3"):
            assert [(notice.first_sequence, notice.context) for notice in heard[name]] == [
                (0, None),
                (1, None),
                (2, None),
            ]


async def test_of_two_nodes_that_append_the_same_sequence_one_wins(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        await cluster.leader()

        outcomes = await asyncio.gather(
            *[store.append(append(0)) for store in cluster.stores.values()], return_exceptions=True
        )

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Conflict", "int"]
        assert next(outcome for outcome in outcomes if isinstance(outcome, Conflict)).actual == 1


async def test_a_barrier_on_a_follower_sees_what_the_leader_acknowledged(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = next(store for name, store in cluster.stores.items() if name != leader)
        for sequence in range(20):
            await cluster.stores[leader].append(append(sequence))
            await follower.read_barrier(PATIENCE_MS)
            assert follower.next_sequence(FLOW) == sequence + 1


async def test_a_node_that_was_away_catches_up(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        await cluster.leader()
        await cluster.close("n3")
        for sequence in range(50):
            await cluster.stores["n1"].append(append(sequence))

        await cluster.open("n3")
        await cluster.settle()

        assert cluster.stores["n3"].read_events(FLOW) == cluster.stores["n1"].read_events(FLOW)


async def test_a_restarted_cluster_has_everything(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        for sequence in range(30):
            await cluster.stores["n1"].append(append(sequence))
        for name in list(cluster.stores):
            await cluster.close(name)

        for name in cluster.members:
            await cluster.open(name)
        await cluster.settle()

        assert {store.next_sequence(FLOW) for store in cluster.stores.values()} == {30}
        assert await cluster.stores["n2"].append(append(30)) == 31


def small_logs() -> StoreOptions:
    return StoreOptions(fsync="inline", segment_bytes=4096, checkpoint_bytes=4096, flush_appends=4, flush_delay_ms=1)


RETAIN_NOTHING = RaftOptions(
    heartbeat_ms=20, election_min_ms=150, election_max_ms=300, leader_silence_ms=600, tick_ms=5, retained_log_bytes=1
)


async def forget_the_log(cluster: StoreCluster) -> None:
    """Append until the nodes' logs begin behind the first entries."""
    sequence = cluster.stores["n1"].next_sequence(FLOW)
    while min(store.status().first_index for store in cluster.stores.values()) < 10:
        sequence = await cluster.stores["n1"].append(append(sequence, data=b'"%s"' % (b"x" * 500)))


async def test_a_node_too_far_behind_takes_over_the_state(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path, raft=RETAIN_NOTHING, options=small_logs()) as cluster:
        await cluster.leader()
        await cluster.close("n3")
        await forget_the_log(cluster)

        store = await cluster.open("n3")
        resets: list[int] = []
        store.listen_reset(lambda: resets.append(store.next_sequence(FLOW)))
        await cluster.settle()
        sequence = await store.append(append(store.next_sequence(FLOW)))
        await cluster.settle()

        assert resets
        assert 0 < resets[0] < sequence
        assert store.read_events(FLOW) == cluster.stores["n1"].read_events(FLOW)
        assert store.query_flows(FlowQuery()).flows == cluster.stores["n1"].query_flows(FlowQuery()).flows
        assert not list((tmp_path / "n3").rglob("*.state*"))

        await cluster.close("n3")
        await cluster.open("n3")
        await cluster.settle()
        assert cluster.stores["n3"].next_sequence(FLOW) == sequence


async def test_a_node_that_lost_its_disk_comes_back_and_votes_again(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path, raft=RETAIN_NOTHING, options=small_logs()) as cluster:
        await cluster.leader()
        await forget_the_log(cluster)
        await cluster.close("n2")
        for file in sorted((tmp_path / "n2").rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()

        store = await cluster.open("n2")
        assert not store.status().may_vote
        await cluster.settle()
        while not store.status().may_vote:
            await store.append(append(store.next_sequence(FLOW)))

        assert store.read_events(FLOW) == cluster.stores["n1"].read_events(FLOW)


async def test_one_node_grows_into_three(tmp_path: Path) -> None:
    single = await Store.open(tmp_path / "n1", options=small_logs())
    for sequence in range(200):
        await single.append(append(sequence))
    await single.close()

    async with StoreCluster(tmp_path, options=small_logs()) as cluster:
        assert await cluster.leader() == "n1", "nobody else may lead before it has what n1 has"
        await cluster.settle()
        assert [store.next_sequence(FLOW) for store in cluster.stores.values()] == [200, 200, 200]
        assert await cluster.stores["n3"].append(append(200)) == 201

    with pytest.raises(NotAStore, match="start it with its cluster's members"):
        await Store.open(tmp_path / "n1", options=small_logs())


async def test_leadership_can_be_handed_over(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        others = sorted(set(cluster.members) - {leader})
        with pytest.raises(NotLeader, match=f"ask {leader}"):
            await cluster.stores[others[0]].transfer_leadership()
        with pytest.raises(TransferFailed, match="no member"):
            await cluster.stores[leader].transfer_leadership("nobody")

        appends = [cluster.stores[leader].append(append(sequence)) for sequence in range(50)]
        await cluster.stores[leader].transfer_leadership(others[1])

        assert await asyncio.gather(*appends) == list(range(1, 51))
        assert await cluster.leader() == others[1]


async def test_without_a_quorum_nothing_is_recorded_or_it_is_said_that_nobody_knows(tmp_path: Path) -> None:
    quick = RaftOptions(
        heartbeat_ms=20,
        election_min_ms=150,
        election_max_ms=300,
        leader_silence_ms=400,
        proposal_timeout_ms=300,
        tick_ms=5,
    )
    async with StoreCluster(tmp_path, raft=quick) as cluster:
        leader = await cluster.leader()
        for name in sorted(set(cluster.members) - {leader}):
            await cluster.close(name)
        store = cluster.stores[leader]

        with pytest.raises((OutcomeUnknown, NoLeader), match="1 of 3 nodes connected, 2 needed"):
            await store.append(append(0))
        while store.status().role == "leader":
            with pytest.raises(NoLeader):
                await store.read_barrier(50)
        assert not store.status().has_quorum
        with pytest.raises(NoLeader, match="nothing was recorded"):
            await store.append(append(store.next_sequence(FLOW), aggregate=("flow", "b")))
        with pytest.raises(NoLeader):
            await store.read_barrier(50)
        assert store.read_events(FLOW) == [], "reads go on"


@pytest.mark.parametrize("fsync", ["inline", "thread"])
async def test_a_node_whose_disk_fails_stops_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str
) -> None:
    def no_space(batch: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    async with StoreCluster(tmp_path, options=StoreOptions(fsync=fsync, segment_bytes=SMALL)) as cluster:
        name = await cluster.leader()
        failing = cluster.stores[name]
        await failing.append(append(0))
        with monkeypatch.context() as patch:
            patch.setattr(failing._log._journal, "write", no_space)
            with pytest.raises(StoreFailed, match="no space left"):
                await failing.append(append(1))
        assert failing.status().role == "failed"
        assert failing.next_sequence(FLOW) == 1, "reads go on"
        with pytest.raises(StoreFailed):
            await failing.read_barrier(PATIENCE_MS)

        other = next(store for store in cluster.stores.values() if store is not failing)
        await other.read_barrier(PATIENCE_MS)
        sequence = other.next_sequence(FLOW)
        assert await other.append(append(sequence)) == sequence + 1

        await cluster.close(name)
        await cluster.open(name)
        await cluster.settle()
        assert cluster.stores[name].next_sequence(FLOW) == sequence + 1


async def test_too_much_in_flight_is_refused(tmp_path: Path) -> None:
    options = StoreOptions(fsync="inline", segment_bytes=SMALL, max_in_flight_appends=3)
    async with StoreCluster(tmp_path, options=options) as cluster:
        await cluster.leader()
        futures = [cluster.stores["n1"].append(append(0, aggregate=("flow", str(n)))) for n in range(5)]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int, int, int, Overloaded, Overloaded]


async def test_a_large_append_passes(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        await cluster.leader()
        data = b'"%s"' % (b"x" * (5 << 20))
        for name, store in cluster.stores.items():
            await store.append(append(0, aggregate=("flow", name), data=data))
        await cluster.settle()
        assert cluster.stores["n1"].read_events(("flow", "n3"))[0].data == data


async def test_status_says_how_far_everybody_is(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await cluster.stores[leader].append(append(0))
        await cluster.settle()
        status = cluster.stores[leader].status()
        while any(peer.lag for peer in status.peers):
            await cluster.stores[leader].read_barrier(PATIENCE_MS)
            status = cluster.stores[leader].status()

        assert (status.role, status.leader, status.node_id, status.has_quorum) == ("leader", leader, leader, True)
        assert [peer.id for peer in status.peers] == sorted(set(cluster.members) - {leader})
        for peer in status.peers:
            assert (peer.is_connected, peer.match_index, peer.receives_state) == (True, status.last_index, False)
            assert peer.last_contact_ms is not None
        follower = cluster.stores[status.peers[0].id].status()
        assert (follower.role, follower.leader) == ("follower", leader)
        assert next(peer for peer in follower.peers if peer.id == leader).last_contact_ms is not None


async def test_a_cluster_of_one_works(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path, nodes=1) as cluster:
        assert await cluster.stores["n1"].append(append(0)) == 1
        await cluster.close("n1")
        store = await cluster.open("n1")
        assert await store.append(append(1)) == 2


async def test_a_taken_address_leaves_nothing_behind(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path, nodes=1) as cluster:
        members = cluster.members
        with pytest.raises(ListenFailed, match=r"n1 cannot listen on 127\.0\.0\.1:\d+: .*address already in use"):
            config = ClusterConfig(node_id="n1", members=members, raft=QUICK)
            await Store.open_cluster(tmp_path / "other", cluster=config)


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with StoreCluster(tmp_path) as cluster:
        store = cluster.stores["n1"]
        await cluster.close("n1")
        await store.close()
        with pytest.raises(StoreClosed):
            await store.append(append(0))
        with pytest.raises(StoreClosed):
            await store.read_barrier(10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"node_id": "n9"}, "'n9' is not among the cluster's members"),
        ({"members": {"n1": "localhost"}}, "write it as host:port"),
        ({"members": {"n1": "localhost:0"}}, "port from 1 to 65535"),
        ({"members": {"n1": "a:1", "": "b:1"}}, "1 to 255 bytes"),
        ({"listen": "0.0.0.0"}, "write it as host:port"),
    ],
)
def test_a_faulty_configuration_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterConfig(**({"node_id": "n1", "members": free_addresses(["n1"])} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tick_ms": 0}, "tick_ms is 0; it must be 1 or more"),
        ({"heartbeat_ms": 300}, "3 x heartbeat_ms"),
        ({"election_max_ms": 9_000}, "3000 is the most"),
    ],
)
def test_faulty_times_and_limits_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RaftOptions(**changes)
