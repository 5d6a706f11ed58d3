"""One run per receipt token, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from argyll.client.service.receipts import ReceiptBook


@dataclass(frozen=True)
class Outcome:
    value: int
    final: bool = True


class Work:
    def __init__(self, *, final=True):
        self.runs = 0
        self.final = final
        self.go = asyncio.Event()

    async def __call__(self):
        self.runs += 1
        await self.go.wait()
        return Outcome(self.runs, self.final)


async def test_a_repeat_is_answered_from_memory():
    book, work = ReceiptBook[Outcome](), Work()
    work.go.set()
    assert [(await book.once("t", work)).value for _ in range(3)] == [1, 1, 1]
    assert (await book.once("other", work)).value == 2


async def test_a_repeat_of_a_call_under_way_waits_for_it():
    book, work = ReceiptBook[Outcome](), Work()
    both = [asyncio.create_task(book.once("t", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.go.set()
    assert [outcome.value for outcome in await asyncio.gather(*both)] == [1, 1]
    assert work.runs == 1


async def test_a_retryable_answer_is_not_kept():
    book, work = ReceiptBook[Outcome](), Work(final=False)
    work.go.set()
    assert [(await book.once("t", work)).value for _ in range(2)] == [1, 2]


async def test_when_the_call_under_way_is_cancelled_the_waiting_one_takes_its_place():
    book, work = ReceiptBook[Outcome](), Work()
    first = asyncio.create_task(book.once("t", work))
    await asyncio.sleep(0)
    second = asyncio.create_task(book.once("t", work))
    await asyncio.sleep(0)
    first.cancel()
    work.go.set()
    assert (await second).value == 2
    assert first.cancelled()


async def test_an_exception_is_not_kept():
    book, work = ReceiptBook[Outcome](), Work()
    work.go.set()

    async def fail():
        raise RuntimeError("x")

    with pytest.raises(RuntimeError):
        await book.once("t", fail)
    assert (await book.once("t", work)).value == 1


async def test_the_book_is_bounded_and_forgets_what_was_asked_for_longest_ago():
    book, work = ReceiptBook[Outcome](capacity=2), Work()
    work.go.set()
    for token in ("a", "b", "a", "c"):
        await book.once(token, work)
    assert (await book.once("a", work)).value == 1
    assert (await book.once("b", work)).value == 4
    with pytest.raises(ValueError, match="at least 1"):
        ReceiptBook[Outcome](capacity=0)
