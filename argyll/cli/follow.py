"""Following one flow over the WebSocket until it has ended, told as a live picture, as lines, or as JSON lines.

Reads only: whoever stops following changes nothing about the flow.
"""

import asyncio
import sys
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

import click

from argyll.cli.output import marks_for, printable, styled, use_colour
from argyll.client import AsyncClient, FlowTimeout, WatchEvent
from argyll.draw import Progress, Rails
from argyll.model.json import text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

REFRESHES_PER_S = 8
MIN_LIVE_COLUMNS = 40
"""A narrower terminal gets lines."""


class Reporter(Protocol):
    """Hears every event of a flow together with what it amounts to."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def hear(self, event: WatchEvent, line: str, progress: Progress) -> None:
        """`line` describes the event and may be empty; `progress` already holds it."""
        ...


async def follow(client: AsyncClient, flow_id: str, reporter: Reporter, timeout_s: float | None = None) -> Progress:
    """The flow from its first event to its deactivation.

    Raises `FlowTimeout` after `timeout_s`, `NotFound` for an unknown id, and what `AsyncClient.watch` raises.
    """
    progress = Progress()
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            await client.status(flow_id)
            with reporter:
                async with aclosing(client.watch(("flow", flow_id), from_sequence=0)) as changes:
                    async for change in changes:
                        if isinstance(change, WatchEvent):
                            line = progress.apply(change.type, change.data, change.timestamp_ms)
                            reporter.hear(change, line, progress)
                        if progress.deactivated:
                            break
    except TimeoutError:
        if not deadline.expired() or timeout_s is None:
            raise
        raise FlowTimeout(flow_id, timeout_s) from None
    return progress


def reporter_for(stream: TextIO, *, as_json: bool = False) -> Reporter:
    """JSON lines when asked for, a live picture on a terminal, plain lines elsewhere."""
    if as_json:
        return JsonLines(stream)
    return LivePicture(stream) if _can_repaint(stream) else PlainLines(stream)


class Silent:
    """Tells nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def hear(self, event: WatchEvent, line: str, progress: Progress) -> None:
        return


class JsonLines(Silent):
    """Every event as one line of JSON, in the shape of the WebSocket."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def hear(self, event: WatchEvent, line: str, progress: Progress) -> None:
        message = {
            "type": event.type,
            "id": event.id,
            "data": event.data,
            "timestamp": event.timestamp_ms,
            "sequence": event.sequence,
        }
        click.echo(text(message), file=self._stream)


class PlainLines(Silent):
    """One line for everything that a reader would miss."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def hear(self, event: WatchEvent, line: str, progress: Progress) -> None:
        if line:
            click.echo(f"{clock_time(event.timestamp_ms)}  {line}", file=self._stream)


class LivePicture(Silent):
    """The plan's rails with statuses, repainted in place; stays on the screen as it was at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rails: Rails | None = None
        self._progress = Progress()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        console = _console(self._stream)
        self._live = Live(
            console=console, get_renderable=self._picture, refresh_per_second=REFRESHES_PER_S, transient=False
        )
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def hear(self, event: WatchEvent, line: str, progress: Progress) -> None:
        if event.type == "flow_started":
            self._rails = Rails(event.data["plan"])
        self._progress = progress

    def _picture(self) -> "Text":
        from rich.text import Text

        lines = picture(self._rails, self._progress, self._stream) if self._rails is not None else ["waiting ..."]
        return Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis")


def picture(rails: Rails, progress: Progress, stream: TextIO) -> list[str]:
    """A line per step: rails, id, status word, note; then the flow's own status."""
    width = max((len(step) for step in rails.order), default=0)
    lines: list[str] = []
    for row in rails.rows(progress.statuses, marks_for(stream)):
        note = progress.steps[row.step].note if row.step in progress.steps else ""
        word = styled(f"{row.status:<12}", row.status, stream)
        lines.append(
            f"{_painted(row.rail, row.owners, progress, stream)}  {row.step:<{width}}  {word}  {note}".rstrip()
        )
    return [*lines, _outcome(progress, stream)]


def _outcome(progress: Progress, stream: TextIO) -> str:
    error = f": {printable(progress.error)}" if progress.error else ""
    return f"flow {styled(progress.status, progress.status, stream)}{error}"


def _painted(rail: str, owners: tuple[str, ...], progress: Progress, stream: TextIO) -> str:
    statuses = progress.statuses
    return "".join(styled(char, statuses.get(owner, ""), stream) for char, owner in zip(rail, owners, strict=True))


def clock_time(at_ms: int) -> str:
    """Local time of day with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000).strftime("%H:%M:%S.%f")[:-3]


def _can_repaint(stream: TextIO) -> bool:
    return stream.isatty() and _console(stream).width >= MIN_LIVE_COLUMNS and not _console(stream).is_dumb_terminal


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream, no_color=not use_colour(stream), highlight=False)


def show_end(progress: Progress) -> None:
    """The flow's outcome and its values, on stdout."""
    click.echo(_outcome(progress, sys.stdout))
    for name, value in sorted(progress.result.items()):
        click.echo(f"  {name} = {text(value)}")
