"""What the fields of one step mean together. Each rule takes a draft and yields findings; none knows another step."""

from collections.abc import Callable, Iterator

from argyll.analysis.diagnostics import Diagnostic
from argyll.analysis.draft import Draft
from argyll.analysis.rules.attributes import attribute_rules
from argyll.analysis.rules.compile import compile_scripts
from argyll.analysis.rules.steps import step_rules
from argyll.analysis.rules.urls import url_rules
from argyll.scripts import Scripts

Rule = Callable[[Draft], Iterator[Diagnostic]]

STEP_RULES: tuple[Rule, ...] = (step_rules, attribute_rules, url_rules)


def check_rules(draft: Draft, scripts: Scripts) -> Iterator[Diagnostic]:
    """Every finding of the rules in a draft."""
    for rule in STEP_RULES:
        yield from rule(draft)
    yield from compile_scripts(draft, scripts)
