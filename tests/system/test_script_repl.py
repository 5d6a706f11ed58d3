"""`argyll script repl` on a terminal: Tab completes, the next conversation remembers."""

import os
import pty
import select
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system
readline = pytest.importorskip("readline")


class Terminal:
    """A conversation through a pseudo terminal."""

    def __init__(self, home):
        self.master, slave = pty.openpty()
        environment = {**os.environ, "XDG_STATE_HOME": str(home), "TERM": "dumb", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "argyll", "script", "repl"]
        self.child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self.heard = ""

    def say(self, text):
        os.write(self.master, text.encode())

    def hear(self, words):
        """Wait until the words have come, and drop everything up to them."""
        while words not in self.heard:
            ready, _, _ = select.select([self.master], [], [], 30)
            assert ready, f"{words!r} never came: {self.heard!r}"
            self.heard += os.read(self.master, 4096).decode()
        self.heard = self.heard.partition(words)[2]

    def end(self):
        self.hear("ale> ")
        self.say("\x04")
        assert self.child.wait(timeout=30) == 0
        os.close(self.master)


def test_a_terminal_completes_and_remembers(tmp_path):
    first = Terminal(tmp_path)
    first.hear("ale> ")
    first.say("(seq->vector (rang\t 3))\n")
    first.hear("(range 3))")
    first.hear("2\r\n]")
    first.end()

    second = Terminal(tmp_path)
    second.hear("ale> ")
    second.say("\x10\n")
    second.hear("(seq->vector (range 3))")
    second.hear("2\r\n]")
    second.end()
