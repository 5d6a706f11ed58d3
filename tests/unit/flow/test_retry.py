"""How often and when failed work is tried again (execution.md 8.3, 13.11, 13.20; decisions 13, 26, 29)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.flow import NEVER, Fail, NotCompleted, Succeed
from argyll.flow.retry import MAX_RETRY_DELAY_MS, retry_allowed, retry_delay_us
from argyll.model.step import DEFAULT_WORK, WorkConfig
from argyll.model.times import from_rfc3339, to_rfc3339
from tests.unit.flow.harness import SILENT, T0_US, World, fails, gives, output, sync, unavailable


@pytest.mark.parametrize(
    ("config", "retries", "allowed"),
    [
        (WorkConfig(), 9, True),
        (WorkConfig(), 10, False),
        (WorkConfig(parallelism=3), 0, True),
        (WorkConfig(max_retries=3), 2, True),
        (WorkConfig(max_retries=3), 3, False),
        (WorkConfig(max_retries=-1), 100, True),
        (WorkConfig(max_attempts=1), 0, False),
        (WorkConfig(max_attempts=2), 0, True),
        (WorkConfig(max_attempts=2), 1, False),
    ],
)
def test_how_many_retries_are_allowed(config: WorkConfig, retries: int, allowed: bool) -> None:
    """execution.md 13.11/114, decisions 13"""
    assert retry_allowed(config.with_defaults(DEFAULT_WORK), retries) is allowed


def work(kind: str = "", init: int = 0, cap: int = 0, jitter: bool = False) -> WorkConfig:
    config = WorkConfig(init_backoff_ms=init, max_backoff_ms=cap, backoff_type=kind, jitter=jitter)  # type: ignore[arg-type]
    return config.with_defaults(DEFAULT_WORK)


@pytest.mark.parametrize(
    ("config", "retries", "delay_ms"),
    [
        (work("fixed", 1_000), 0, 1_000),
        (work("fixed", 1_000), 9, 1_000),
        (work("linear", 1_000), 0, 1_000),
        (work("linear", 1_000), 3, 4_000),
        (work("linear", 1_000, 2_500), 3, 2_500),
        (work("exponential", 1_000, 10_000), 0, 1_000),
        (work("exponential", 1_000, 10_000), 3, 8_000),
        (work("exponential", 1_000, 10_000), 10, 10_000),
        (work("exponential", 1_000, 10_000), 54, 10_000),
        (work("exponential", 1_000, 10_000), 10**9, 10_000),
        (work("linear", 1_000, 10_000), 10**18, 10_000),
        (work(), 0, 1_000),
        (work(), 20, 60_000),
        (work(cap=500), 0, 500),
        (work(init=120_000), 5, 120_000),
        (work("fixed", 10**15, 10**16), 0, MAX_RETRY_DELAY_MS),
    ],
)
def test_how_long_to_wait(config: WorkConfig, retries: int, delay_ms: int) -> None:
    """execution.md 13.11/115, decisions 26 (B21)"""
    assert retry_delay_us(config, retries, lambda: 0.5) == delay_ms * 1_000


@pytest.mark.parametrize(
    ("retry_after_ms", "delay_ms"), [(0, 1_000), (500, 1_000), (5_000, 5_000), (99_000, 10_000), (10**15, 10_000)]
)
def test_a_service_may_ask_for_a_longer_wait_up_to_the_cap(retry_after_ms: int, delay_ms: int) -> None:
    """decisions 29 (S26)"""
    config = work("exponential", 1_000, 10_000)
    assert retry_delay_us(config, 0, lambda: 0.5, retry_after_ms) == delay_ms * 1_000


@pytest.mark.parametrize(("random", "delay_ms"), [(0.0, 1_000), (0.5, 750), (0.999999, 500)])
def test_jitter_only_shortens_the_wait(random: float, delay_ms: int) -> None:
    """decisions 26"""
    assert round(retry_delay_us(work("fixed", 1_000, jitter=True), 0, lambda: random) / 1_000) == delay_ms


def test_without_jitter_chance_is_not_asked() -> None:
    def never() -> float:
        raise AssertionError("asked for a random number")

    assert retry_delay_us(work("fixed", 1_000), 0, never) == 1_000_000


@given(
    kind=st.sampled_from(["fixed", "linear", "exponential"]),
    init=st.integers(1, 10**18),
    cap=st.integers(1, 10**18),
    retries=st.integers(0, 10**6),
    random=st.floats(0, 1, exclude_max=True),
    retry_after_ms=st.integers(0, 10**18),
    jitter=st.booleans(),
)
def test_a_wait_is_never_negative_nor_beyond_its_cap(
    kind: str, init: int, cap: int, retries: int, random: float, retry_after_ms: int, jitter: bool
) -> None:
    delay_us = retry_delay_us(work(kind, init, cap, jitter), retries, lambda: random, retry_after_ms)
    assert 0 <= delay_us <= min(cap, MAX_RETRY_DELAY_MS) * 1_000
    assert from_rfc3339(to_rfc3339(T0_US + delay_us)) == T0_US + delay_us


def flaky(*answers: object, **config: object) -> World:
    return World(sync("s", {"r": output()}, work=config), answers={"s": list(answers)})  # type: ignore[dict-item]


def test_work_is_called_again_when_its_wait_is_over_and_not_before() -> None:
    """execution.md 13.11/116-117, 13.9/98"""
    world = flaky(unavailable(), unavailable(), gives(r=1))
    flow = world.start("s")
    assert (flow.items("s")[0].status, flow.items("s")[0].retry_count, flow.wake_at - T0_US) == (
        "pending",
        1,
        1_000_000,
    )
    world.wait(999)
    assert len(world.calls) == 1
    world.wait_for_all()
    assert [(call.at_ms, call.attempt) for call in world.calls] == [(0, 1), (1_000, 2), (3_000, 3)]
    assert (flow.status, flow.items("s")[0].retry_count, flow.items("s")[0].error) == ("completed", 2, "")


def test_the_token_stays_the_same_through_retries() -> None:
    """execution.md 13.1/27-29"""
    world = flaky(unavailable(), unavailable(), gives(r=1))
    flow = world.start("s")
    world.wait_for_all()
    assert {call.token for call in world.calls} == set(flow.tokens("s"))
    assert len(flow.items("s")) == 1


@pytest.mark.parametrize(
    ("config", "calls"), [({"max_retries": 3}, 4), ({"max_retries": 1}, 2), ({"max_attempts": 1}, 1), ({}, 11)]
)
def test_retries_end(config: dict[str, object], calls: int) -> None:
    """execution.md 13.1/24, 13.20/176"""
    world = flaky(unavailable("work not completed"), **config)
    flow = world.start("s")
    world.wait_for_all()
    assert (len(world.calls), flow.status, flow.ended) == (calls, "failed", True)
    assert [(w.status, w.error) for w in flow.items("s")] == [("failed", "work not completed")]
    assert flow.state.error == "step s failed: work not completed"


def test_unlimited_retries_keep_to_the_cap() -> None:
    world = flaky(*[unavailable()] * 120, gives(r=1), max_retries=-1)
    flow = world.start("s")
    world.wait_for_all()
    waits = [b.at_ms - a.at_ms for a, b in zip(world.calls, world.calls[1:], strict=False)]
    assert (flow.status, len(world.calls), max(waits), min(waits)) == ("completed", 121, 60_000, 1_000)


def test_a_permanent_failure_is_not_retried() -> None:
    """execution.md 13.20/177"""
    world = flaky(fails("refused: no such user"))
    flow = world.start("s")
    assert (len(world.calls), flow.items("s")[0].error, flow.wake_at) == (1, "refused: no such user", NEVER)


def test_a_retry_after_is_kept_to() -> None:
    world = flaky(unavailable(retry_after_ms=7_000), gives(r=1))
    world.start("s")
    world.wait_for_all()
    assert [call.at_ms for call in world.calls] == [0, 7_000]


@pytest.mark.parametrize("good", [True, False])
def test_an_item_waiting_for_its_retry_takes_a_late_answer(good: bool) -> None:
    """execution.md 13.20/178-179, S22"""
    world = flaky(unavailable())
    flow = world.start("s")
    flow.succeed("s", r=1) if good else flow.fail("s")
    assert (flow.status, flow.ended, flow.wake_at) == ("completed" if good else "failed", True, NEVER)
    assert flow.items("s")[0].next_retry_at == 0
    world.wait_for_all()
    assert len(world.calls) == 1


def test_the_report_of_an_earlier_attempt_changes_nothing() -> None:
    """A call that was given up and then times out must not use up a retry of the call that took its place."""
    world = flaky(unavailable(), SILENT)
    flow = world.start("s")
    world.wait(1_000)
    token = flow.open_token("s")
    assert flow.item("s", token)[1].completed_at == 0, "it runs again"
    assert flow.do(NotCompleted("s", token, "late", attempt=1)) == []
    assert flow.item("s", token)[1].status == "active"


def test_a_report_about_an_item_that_has_ended_changes_nothing() -> None:
    """execution.md 13.24/230, 13.16/158"""
    flow = flaky(gives(r=1)).start("s")
    [token] = flow.tokens("s")
    for command in (Succeed("s", token, {"r": 2}), Fail("s", token, "no"), NotCompleted("s", token, "no", 1)):
        assert flow.do(command) == []
    assert flow.values("r") == [1]
