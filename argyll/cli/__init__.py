"""The `argyll` command: parses, calls the other rooms, prints. Imports a command's module only when it is used."""

import io
import sys


def main() -> None:
    """Run the command line of this process and exit with a code of `argyll.cli.exitcodes`."""
    from argyll.cli.app import argyll

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A value with a character that the terminal cannot show is shown escaped, not answered with a traceback.
            stream.reconfigure(errors="backslashreplace")
    argyll(prog_name="argyll")
