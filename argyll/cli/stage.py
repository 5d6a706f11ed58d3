"""What the demo plays on: a git repository with the example steps, the example services and an engine, all in one
directory and on free ports. Nothing outside that directory is touched.
"""

import shutil
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import argyll
from argyll.cli.children import Child
from argyll.cli.nodes import HOST, LocalNode, NodeSpec, start_nodes

AUTHORED_ADDRESS = "127.0.0.1:9710"
"""Where the example step files say the shop is; the demo's copy says where it really is."""

_GIT_IDENTITY = (
    "-c", "user.name=Argyll demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false",
    "-c", "core.hooksPath=/dev/null",
)  # fmt: skip


class StageError(Exception):
    """The demo cannot be set up. The text names the place and the mend."""


@dataclass(frozen=True)
class Stage:
    """The demo's directory, ports and addresses."""

    directory: Path
    shop_url: str
    nodes: list[LocalNode]
    """The engine's nodes; one for a node on its own."""

    @property
    def engine_url(self) -> str:
        return self.nodes[0].url

    @property
    def repository(self) -> Path:
        return self.directory / "repository"


def examples() -> Path:
    """The directory of the examples: inside an installed package, else beside it. Raises `StageError`."""
    package = Path(argyll.__file__).parent
    for place in (package / "_examples", package.parent / "examples"):
        if (place / "steps").is_dir() and (place / "services" / "shop.py").is_file():
            return place
    raise StageError(f"the examples are missing beside {package}; install argyll again")


async def set_up(directory: Path, port: int | None, nodes: int, cleanup: AsyncExitStack) -> Stage:
    """Start the shop and an engine of so many nodes, and commit the steps. `cleanup` ends what was started.

    `port` is the first node's, or None for a free one. Raises `StageError` and `ChildFailed`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    source = examples()
    shop = await Child.start(
        "the example shop",
        [sys.executable, str(source / "services" / "shop.py"), "--host", HOST, "--port", str(free_port())],
        r"(?P<url>http://\S+)",
        directory / "shop.log",
    )
    cleanup.push_async_callback(shop.stop)
    specs = [
        NodeSpec(f"n{number}" if nodes > 1 else "argyll-1", port if port and number == 1 else free_port(), free_port())
        for number in range(1, nodes + 1)
    ]
    running = await start_nodes(directory, specs, cleanup)
    stage = Stage(directory, shop.match["url"].rstrip("/"), running)
    commit_steps(source / "steps", stage)
    return stage


def commit_steps(steps: Path, stage: Stage) -> None:
    """Copy the step files with the shop's address into the repository and commit what changed. Raises `StageError`."""
    repository = stage.repository
    target = repository / "steps"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    address = stage.shop_url.removeprefix("http://")
    for path in sorted(steps.glob("*.y*ml")):
        text = path.read_text(encoding="utf-8").replace(AUTHORED_ADDRESS, address)
        (target / path.name).write_text(text, encoding="utf-8")
    if not (repository / ".git").exists():
        _git(repository, "init", "--quiet", "--initial-branch=main")
    _git(repository, "add", "--all")
    if _git(repository, "status", "--porcelain"):
        _git(repository, "commit", "--quiet", "--message", "The shop's steps")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _git(repository: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *_GIT_IDENTITY, *arguments], cwd=repository, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError as error:
        raise StageError("git: command not found; the demo keeps its steps in a git repository: install git") from error
    if done.returncode != 0:
        raise StageError(f"git {arguments[0]} in {repository}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
