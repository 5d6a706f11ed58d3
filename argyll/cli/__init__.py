"""The `argyll` command: parses, calls the other rooms, prints. Imports a command's module only when it is used."""


def main() -> None:
    """Run the command line of this process and exit with a code of `argyll.cli.exitcodes`."""
    from argyll.cli.app import argyll

    argyll(prog_name="argyll")
