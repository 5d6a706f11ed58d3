"""`argyll demo` needs nothing, shows everything, and leaves nothing running."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

TIMEOUT_S = 90


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-u", "-m", "argyll", "demo", *arguments]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARGYLL", "API_", "RAFT_"))}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def ports(output: str) -> list[int]:
    """The ports of the engine and of the shop."""
    found = re.search(r"engine at http://127.0.0.1:(\d+), the shop's services at http://127.0.0.1:(\d+)", output)
    assert found is not None, output
    return [int(found[1]), int(found[2])]


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_tells_the_story_in_plain_lines_and_a_second_run_takes_up_its_directory(tmp_path: Path):
    for run in (1, 2):
        done = subprocess.run(
            command("--data-dir", str(tmp_path)), capture_output=True, text=True, timeout=TIMEOUT_S, env=environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\x1b" not in done.stdout
        for words in (
            "+ create  complete-order" if run == 1 else "~ update  lookup-customer",
            "Plan for complete-order: 10 steps",
            "process-payment retrying (retry 1)",
            "send-receipt skipped: predicate returned false",
            "flow completed",
            "$ argyll flow start complete-order",
        ):
            assert words in done.stdout
        assert not any(listening(port) for port in ports(done.stdout))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_time_ends_everything_it_started(tmp_path: Path, number: signal.Signals):
    demo = subprocess.Popen(
        command("--keep", "--data-dir", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert demo.stdout is not None
    demo.stdout.readline()
    line = demo.stdout.readline()
    assert all(listening(port) for port in ports(line))
    demo.send_signal(number)
    rest, errors = demo.communicate(timeout=TIMEOUT_S)
    assert (demo.returncode, "nothing is left running" in rest) == (130, True)
    assert "Traceback" not in errors
    assert not any(listening(port) for port in ports(line))


def test_kept_it_stays_up_and_says_how_to_go_on(tmp_path: Path):
    demo = subprocess.Popen(
        command("--keep", "--data-dir", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert demo.stdout is not None
    said = ""
    while "^C ends the demo" not in said:
        line = demo.stdout.readline()
        assert line, demo.communicate()[1]
        said += line
    url = re.search(r"export ARGYLL_ENGINE=(\S+)", said)
    assert url is not None
    listed = subprocess.run(
        [sys.executable, "-m", "argyll", "flow", "list", "--engine", url[1]],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(),
    )
    assert "demo=yes" in listed.stdout
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=TIMEOUT_S)
    assert not any(listening(port) for port in ports(said))


def test_a_port_that_is_taken_is_said_clearly(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("--port", str(port), "--data-dir", str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=environment(),
        )
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_on_a_terminal_the_picture_is_painted_in_place(tmp_path: Path):
    leader, follower = pty.openpty()
    demo = subprocess.Popen(
        command("--data-dir", str(tmp_path)),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment() | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"},
    )
    os.close(follower)
    output = b""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 1)[0]:
            try:
                chunk = os.read(leader, 65_536)
            except OSError:  # the other end is closed
                break
            output += chunk
            if not chunk:
                break
    os.close(leader)
    assert demo.wait(TIMEOUT_S) == 0
    text = output.decode()
    assert "\x1b[1A" in text, "the cursor goes back up"
    assert "send-receipt" in text
    assert "skipped" in text


def test_a_node_is_killed_in_the_middle_of_the_order_and_the_order_completes(tmp_path: Path):
    done = subprocess.run(
        command("--nodes", "3", "--data-dir", str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    victim, heir = re.search(
        r"(n\d) was killed while it called process-payment; (n\d) took the call over", done.stdout
    ).groups()  # pyright: ignore
    assert victim != heir
    assert "flow completed" in done.stdout
    found = re.findall(r"http://127.0.0.1:(\d+)", done.stdout)
    assert not any(listening(int(port)) for port in found)
