"""`argyll serve`: one engine node in the foreground, from its configuration to an orderly end."""

import asyncio
import logging
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from argyll import __version__
from argyll.cli.errors import CliError
from argyll.cli.options import example
from argyll.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from argyll.engine import EngineConfig
    from argyll.model.json import JSON

_LOG_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


@click.command(epilog=example("argyll serve\nargyll serve --port 9000 --data-dir /var/lib/argyll --config engine.yaml"))
@click.option("--host", metavar="HOST", help="Address to listen on (API_HOST). Default: 127.0.0.1.")
@click.option("--port", metavar="PORT", help="Port to listen on (API_PORT). Default: 8080.")
@click.option("--data-dir", metavar="DIR", help="Where everything is kept (ARGYLL_DATA_DIR). Default: below ~/.local.")
@click.option("--node-id", metavar="NAME", help="This node's name (RAFT_NODE_ID). Default: argyll-1.")
@click.option("--webhook-base-url", metavar="URL", help="Where async steps call back (WEBHOOK_BASE_URL).")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warn or error (LOG_LEVEL). Default: info.")
@click.option(
    "--raft-servers", metavar="ID=HOST:PORT,...", help="Every node of the cluster (RAFT_SERVERS). Default: none."
)
@click.option("--raft-address", metavar="HOST:PORT", help="Where the other nodes find this one (RAFT_ADDRESS).")
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path),
              help="A YAML file of settings; flags and environment go before it.")  # fmt: skip
def serve(
    host: str | None,
    port: str | None,
    data_dir: str | None,
    node_id: str | None,
    webhook_base_url: str | None,
    log_level: str | None,
    raft_servers: str | None,
    raft_address: str | None,
    config_file: Path | None,
) -> None:
    """Run an engine node until ^C or SIGTERM. Prints one line with its URL once it can serve."""
    from argyll.engine import EngineConfig
    from argyll.engine.config import ConfigError

    flags = {
        "api_host": host,
        "api_port": port,
        "data_dir": data_dir,
        "node_id": node_id,
        "webhook_base_url": webhook_base_url,
        "log_level": log_level,
        "raft_servers": raft_servers,
        "raft_address": raft_address,
    }
    try:
        config = EngineConfig.load(flags, os.environ, _read_config(config_file))
    except ConfigError as error:
        raise CliError(str(error)) from error
    logging.basicConfig(
        level=_LOG_LEVELS[config.log_level], stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    _run(config)


def _run(config: "EngineConfig") -> None:
    from argyll.engine import ConfigError
    from argyll.server import CannotListen
    from argyll.store.errors import StoreError

    loop_factory = None
    if sys.platform != "win32":
        import uvloop

        loop_factory = uvloop.new_event_loop
    try:
        with _profiled(os.environ.get("ARGYLL_PROFILE")), asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve(config))
    except (StoreError, CannotListen, ConfigError) as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"{error.filename or config.data_dir}: {error.strerror}; choose another --data-dir") from error


@contextmanager
def _profiled(path: str | None) -> "Generator[None]":
    """Write where the time goes to `path` (for `pstats`) when the node stops; does nothing without a path."""
    if not path:
        yield
        return
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


async def _serve(config: "EngineConfig") -> None:
    from argyll.engine import Engine, tune_garbage_collection
    from argyll.server import ServerConfig
    from argyll.server import serve as listen

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_once() -> None:
        stop.set()
        # A second signal ends the process the hard way; what was acknowledged is on disk.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_once)
    engine = await Engine.open(config)
    try:
        server = await listen(engine, ServerConfig(host=config.api_host, port=config.api_port))
        if not config.webhook_base_url:
            engine.webhook_base = server.url
        tune_garbage_collection()
        click.echo(f"argyll {__version__} node {config.node_id} ready at {server.url} (data in {config.data_dir})")
        sys.stdout.flush()
        await stop.wait()
        say("stopping")
        await server.close(config.drain_s)
    finally:
        await engine.close()
    if failure := engine.log_status().failure:
        # A supervisor must see that this was no orderly end.
        raise CliError(f"the disk failed while serving: {failure}")


def _read_config(path: Path | None) -> "Mapping[str, JSON] | None":
    if path is None:
        return None
    import yaml

    try:
        value = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise CliError(f"--config {path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise CliError(f"--config {path}: not YAML: {error}") from error
    if value is None:
        return None
    if not isinstance(value, dict):
        raise CliError(f"--config {path}: settings are a mapping of names to values")
    return value
