"""`python -m tools.reference [--check]`: writes the reference pages, or says which are not up to date."""

import sys
from collections.abc import Callable
from pathlib import Path

from argyll.analysis.generated import write_or_compare
from tools.reference import api, cli, configuration, events, exit_codes, scripts, steps

PAGES: dict[Path, Callable[[], str]] = {
    Path("docs/reference/ale.md"): scripts.ale_page,
    Path("docs/reference/api.md"): api.page,
    Path("docs/reference/cli.md"): cli.page,
    Path("docs/reference/configuration.md"): configuration.page,
    Path("docs/reference/events.md"): events.page,
    Path("docs/reference/exit-codes.md"): exit_codes.page,
    Path("docs/reference/jpath.md"): scripts.jpath_page,
    Path("docs/reference/lua.md"): scripts.lua_page,
    Path("docs/reference/steps.md"): steps.page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them. 1 when one differs."""
    return write_or_compare({path: page() for path, page in PAGES.items()}, arguments, "python -m tools.reference")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
