"""The accident of `argyll demo --nodes 3`: the node that calls the bank is killed while it does, and what came of it."""

from types import TracebackType
from typing import Self

from argyll.cli.follow import Reporter
from argyll.cli.stage import Stage
from argyll.client import WatchEvent
from argyll.draw import Progress

VICTIM_STEP = "process-payment"
"""The step whose caller is killed: the slowest of the shop, so the call is under way."""


class Accident:
    """A reporter that kills a node when it hears that it began the payment, and hears who went on."""

    def __init__(self, stage: Stage, reporter: Reporter) -> None:
        self._stage, self._reporter = stage, reporter
        self._killed = ""
        self._killed_at_ms = 0
        self.story = f"no node was killed: none of them called {VICTIM_STEP}"

    def __enter__(self) -> Self:
        self._reporter.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reporter.__exit__(kind, error, trace)

    def hear(self, event: WatchEvent, line: str, progress: Progress) -> None:
        """Pass everything on; the first payment is the moment."""
        if event.type == "work_started" and event.data["step_id"] == VICTIM_STEP:
            self._payment(event)
            verb = "is killed while it calls" if event.data["node_id"] == self._killed else "takes over the call of"
            line = line or f"{event.data['node_id']} {verb} {VICTIM_STEP}"
        self._reporter.hear(event, line, progress)

    def _payment(self, event: WatchEvent) -> None:
        node_id = event.data["node_id"]
        if not self._killed:
            self._killed, self._killed_at_ms = node_id, event.timestamp_ms
            next(node for node in self._stage.nodes if node.spec.name == node_id).child.kill()
            self.story = f"{node_id} was killed while it called {VICTIM_STEP}, and nobody has taken that over yet"
        elif node_id != self._killed and self._killed_at_ms:
            after_s = (event.timestamp_ms - self._killed_at_ms) / 1000
            self.story = (
                f"{self._killed} was killed while it called {VICTIM_STEP}; {node_id} took the call over {after_s:.1f} s later, "
                "with the same receipt token"
            )
            self._killed_at_ms = 0
