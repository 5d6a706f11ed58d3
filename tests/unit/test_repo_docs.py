"""Documentation: links lead somewhere, examples are sound, generated pages are current."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from argyll.analysis import docs, schema
from argyll.analysis.check import check_files
from argyll.engine.config import SETTINGS
from argyll.scripts import Scripts
from tools.reference import __main__ as reference
from tools.reference.markdown import Uncovered, cover

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/**/*.md")])


def anchors(page: Path) -> set[str]:
    """The anchors that headings get: lower case, no punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{name(page)}: {link} has no such heading"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "diagnostics.md"], ids=name)
def test_steps_shown_in_pages_are_sound(page: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for text in (block for block in blocks if block.startswith("id:")):
        report = check_files({"step.yaml": text.encode()}, scripts=Scripts())
        assert [found.text for found in report.diagnostics if found.severity == "error"] == []


@pytest.mark.parametrize(
    "write", [reference.main, schema.main, docs.main], ids=["tools.reference", "analysis.schema", "analysis.docs"]
)
def test_generated_files_are_current(write: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    stale = write(["--check"])

    assert stale == 0, capsys.readouterr().err


def test_every_setting_is_in_the_configuration_page() -> None:
    page = (REPOSITORY / "docs/reference/configuration.md").read_text("utf-8")

    assert [setting.variable for setting in SETTINGS if f"`{setting.variable}`" not in page] == []


def test_a_page_says_what_it_has_no_words_for_and_which_words_have_no_thing() -> None:
    with pytest.raises(Uncovered, match=r"(?s)no words for new; .*words for old, which is no more"):
        cover("page.py", ["kept", "new"], {"kept": "is there", "old": "was there"})


def test_make_commands_in_pages_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {
        command
        for page in [*PAGES, REPOSITORY / ".ci/run"]
        for command in re.findall(r"^(?:step )?make (?:--\S+ )*([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)
    }

    assert {"demo", "test"} <= named <= targets
