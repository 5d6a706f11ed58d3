"""The command line against an engine made of canned answers, over real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from argyll.cli.app import argyll


@dataclass
class CannedEngine:
    """Answers by `METHOD path`; what it was asked is in `asked`."""

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def on(self, call: str, answer: Any, status: int = 200) -> None:
        self.answers[call] = (status, answer)

    def body_of(self, call: str) -> Any:
        return next(body for asked, body in self.asked if asked == call)


@pytest.fixture
def engine() -> Iterator[CannedEngine]:
    canned = CannedEngine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            call = f"{self.command} {self.path.partition('?')[0]}"
            canned.asked.append((call, body))
            missing = (404, {"title": "not found", "status": 404, "detail": f"{call} not found"})
            status, value = canned.answers.get(call, missing)
            payload = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    canned.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield canned
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(engine: CannedEngine) -> Callable[..., Result]:
    """Runs `argyll` in this process with the canned engine as its default."""

    def running(*arguments: str, **options: Any) -> Result:
        environment = {"ARGYLL_ENGINE": engine.url, "ARGYLL_TOKEN": None, "NO_COLOR": None}
        return CliRunner().invoke(argyll, list(arguments), env=environment, prog_name="argyll", **options)

    return running
