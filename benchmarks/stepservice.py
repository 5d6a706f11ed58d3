"""The step service every engine under test calls, one process for all of them; it counts what it was asked twice.

It answers from the request alone and keeps counters, never state that an answer depends on.
    POST /s/{i}/{flow}           {"x{i-1}": n}  ->  {"x{i}": n + 1}
    POST /s/fan/{flow}/{item}    {"item": n}    ->  {"r": 2n}
    POST /s/join/{flow}          {"r": [{"item": n, "r": 2n}, ...]}  ->  {"sum": sum of every r}
    POST /reset?delay_ms=N       zero the counters, delay every answer    GET /stats    the counters
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import uvloop

from argyll.model.json import JSON, decode, encode
from benchmarks.measure import percentile
from benchmarks.wire import LOOPBACK, HttpServerProtocol

LISTEN_BACKLOG: Final = 4096


class ServiceStats(msgspec.Struct, frozen=True):
    """What `/stats` answers. A call is known by its path: step, flow and item.

    `repeated_calls` counts calls beyond the first of each path, `repeated_tokens` those that came with a receipt token
    seen before (the ones a step can recognise). A gap is the time from an answer to the flow's next call: the engine's
    own latency per step.
    """

    calls: int
    answers: int
    in_flight: int
    distinct_calls: int
    repeated_calls: int
    repeated_tokens: int
    gap_p50_us: float
    gap_p99_us: float


class CallLedger:
    """Counts calls and answers; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything; answers to calls of before the reset are no longer counted as in flight."""
        self._by_path: Counter[bytes] = Counter()
        self._by_token: Counter[bytes] = Counter()
        self._answered_at: dict[bytes, float] = {}
        self._gaps_s: list[float] = []
        self._calls = 0
        self._answers = 0

    def called(self, path: bytes, flow: bytes, token: bytes, *, parallel: bool = False) -> None:
        """A call arrived. An empty token is a call without one; calls made in parallel have no gap before them."""
        self._calls += 1
        self._by_path[path] += 1
        if token:
            self._by_token[token] += 1
        answered_at = self._answered_at.get(flow)
        if answered_at is not None and not parallel:
            self._gaps_s.append(self._clock() - answered_at)

    def answered(self, flow: bytes) -> None:
        """The answer to a call of `flow` was handed to the socket."""
        self._answers += 1
        self._answered_at[flow] = self._clock()

    def stats(self) -> ServiceStats:
        gaps = sorted(self._gaps_s)
        return ServiceStats(
            calls=self._calls,
            answers=self._answers,
            in_flight=max(0, self._calls - self._answers),
            distinct_calls=len(self._by_path),
            repeated_calls=self._by_path.total() - len(self._by_path),
            repeated_tokens=self._by_token.total() - len(self._by_token),
            gap_p50_us=percentile(gaps, 0.50) * 1e6,
            gap_p99_us=percentile(gaps, 0.99) * 1e6,
        )


def outputs(step: bytes, inputs: dict[str, JSON]) -> dict[str, JSON]:
    """What step `fan`, `join` or a chain number makes of its inputs."""
    if step == b"fan":
        return {"r": 2 * int(inputs["item"])}
    if step == b"join":
        return {"sum": sum(int(item["r"]) for item in inputs["r"])}
    number = int(step)
    return {f"x{number}": int(inputs[f"x{number - 1}"]) + 1}


class StepService:
    """The counters and the delay that all connections share."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.ledger = CallLedger(clock)
        self.delay_s = 0.0


class StepConnection(HttpServerProtocol):
    """One engine's connection to the service."""

    def __init__(self, service: StepService) -> None:
        self._service = service
        self._token = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 20 and name.lower() == b"argyll-receipt-token":
            self._token = value

    def requested(self, method: bytes, target: bytes, body: bytes) -> None:
        if target.startswith(b"/s/"):
            self._step_called(target, body)
        elif target == b"/stats":
            self.reply(encode(self._service.ledger.stats()))
        elif target.startswith(b"/reset"):
            delay_ms = parse_qs(urlsplit(target.decode()).query).get("delay_ms", ["0"])[0]
            self._service.delay_s = float(delay_ms) / 1000
            self._service.ledger.reset()
            self.reply(b"{}")
        else:
            self.reply(b'{"status":"healthy"}')

    def _step_called(self, path: bytes, body: bytes) -> None:
        token, self._token = self._token, b""
        try:
            _, _, step, flow, *_ = path.split(b"/")
            answer = encode(outputs(step, decode(body)))
        except (KeyError, TypeError, ValueError) as error:
            self.reply(encode({"error": f"{path.decode()}: cannot read {body[:200]!r}: {error!r}"}), b"400 Bad Request")
            return
        self._service.ledger.called(path, flow, token, parallel=step == b"fan")
        if self._service.delay_s:
            asyncio.get_running_loop().call_later(self._service.delay_s, self._answer, flow, answer)
        else:
            self._answer(flow, answer)

    def _answer(self, flow: bytes, answer: bytes) -> None:
        self._service.ledger.answered(flow)
        self.reply(answer)


async def serve(port: int) -> None:
    """Serve on the loopback until cancelled."""
    service = StepService(time.perf_counter)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StepConnection(service), LOOPBACK, port, backlog=LISTEN_BACKLOG)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stepservice", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
