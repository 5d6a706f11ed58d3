"""`python -m tools.mutate [NAME ...]`: breaks rules of the flow machine, one by one, and says which tests notice.

Works in a copy of the tree in a temporary directory and never touches the tree itself. Exit code 1 when a broken rule goes
unnoticed, when a rule here does not find its text any more, or when tests fail as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("argyll", "tests", "tools", "examples", "pyproject.toml")
TABLES = ("tests/unit/flow", "tests/scenarios/test_settled.py")
"""Where single histories are written out."""
CAMPAIGN = ("tests/unit/flow/test_properties.py", "tests/scenarios/test_regressions.py")
"""Where random and kept histories are run."""
SHOWN = 3
"""Tests named for each broken rule and kind of test."""
TIMEOUT_S = 120


class Rule(NamedTuple):
    """A rule of the machine, and the edit that breaks it."""

    name: str
    says: str
    path: str
    text: str
    broken: str


RULES = [
    Rule(
        "fail-fast",
        "Items that wait are closed when their step fails",
        "argyll/flow/outcomes.py",
        "    tx.emit(ev.StepFailed(tx.flow.id, step_id, error, execution.inputs))\n    cancel_waiting(tx, step_id)\n",
        "    tx.emit(ev.StepFailed(tx.flow.id, step_id, error, execution.inputs))\n",
    ),
    Rule(
        "all-is-all",
        "`all` can no longer be had once a provider ended without a value",
        "argyll/flow/inputs.py",
        "if refused or facts.broken or (",
        "if refused or (",
    ),
    Rule(
        "none-is-none",
        "`none` can no longer be had once there is a value",
        "argyll/flow/inputs.py",
        '"impossible" if values else _when(facts.settled, "fulfilled")',
        '_when(facts.settled and not values, "fulfilled")',
    ),
    Rule(
        "parallelism",
        "No more items are active than the step allows",
        "argyll/flow/work.py",
        "while execution.active < parallelism and",
        "while execution.active <= parallelism and",
    ),
    Rule(
        "first-result",
        "The first terminal result of an item counts",
        "argyll/flow/outcomes.py",
        "    if work.status in _RECORDABLE:\n        return True\n",
        "    if True:\n        return True\n",
    ),
    Rule(
        "orphans-only",
        "An active item is claimed again only when its owner is gone",
        "argyll/flow/commands.py",
        'if work.status == "active" and command.is_orphan(work.node_id, token):',
        'if work.status == "active":',
    ),
    Rule(
        "retry-limit",
        "Retries end at their limit",
        "argyll/flow/retry.py",
        "retry_count < work.retry_limit",
        "retry_count <= work.retry_limit",
    ),
    Rule(
        "late-undo",
        "What succeeds after its step failed is undone",
        "argyll/flow/outcomes.py",
        '    if execution.status == "failed":\n        compensate(tx, step_id, token)\n',
        "",
    ),
    Rule(
        "anchor",
        "A deadline runs from when the required inputs are there",
        "argyll/flow/inputs.py",
        "limit = anchor + spec.deadline_ms * US_PER_MS",
        "limit = tx.flow.created_at + spec.deadline_ms * US_PER_MS",
    ),
    Rule(
        "skip-unneeded",
        "A step that nobody needs any more is skipped",
        "argyll/flow/advance.py",
        "if step_id not in flow.plan.goals and not _is_needed(tx, step_id):",
        "if False:",
    ),
    Rule(
        "touch-rivals",
        "The end of a step makes those that give the same be looked at again",
        "argyll/flow/transaction.py",
        "            self._touch(self.needs, around.rivals)\n",
        "",
    ),
    Rule(
        "touch-upstream",
        "A step that starts or ends makes those that feed it be looked at again",
        "argyll/flow/transaction.py",
        "        self._touch(self.needs, around.upstream)\n",
        "",
    ),
    Rule(
        "settled-first",
        "A flow is deactivated only when no work of it is open",
        "argyll/flow/advance.py",
        "and not flow.deactivated_at and not flow.unsettled:",
        "and not flow.deactivated_at:",
    ),
    Rule(
        "pruned-goals",
        "A flow whose every goal was pruned by a gate fails",
        "argyll/flow/advance.py",
        "    if pruned == len(flow.plan.goals):\n",
        "    if False:\n",
    ),
    Rule(
        "own-undo-budget",
        "Undoing has retries of its own",
        "argyll/flow/outcomes.py",
        "    count = work.comp_retry_count\n",
        "    count = work.retry_count + work.comp_retry_count\n",
    ),
    Rule(
        "stale-attempt",
        "The report of an earlier attempt changes nothing",
        "argyll/flow/outcomes.py",
        'if work.status != "active" or work.attempt != attempt:',
        'if work.status != "active":',
    ),
    Rule(
        "children-recovered",
        "A child whose word was lost is asked again after a crash",
        "argyll/flow/effects.py",
        '        if execution.active and flow.plan.steps[step_id].type == "flow":\n',
        "        if False:\n",
    ),
]


def main(arguments: list[str]) -> int:
    """Break the named rules, or all. 1 when one goes unnoticed."""
    chosen = [rule for rule in RULES if not arguments or rule.name in arguments]
    unnoticed = 0
    print("| Rule | What it says | Tables that fail | Campaigns that fail |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="argyll-mutate-") as directory:
        copy = Path(directory)
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        if broken_before := failing(copy, *TABLES, *CAMPAIGN):
            print(f"these fail although no rule is broken: {', '.join(broken_before)}", file=sys.stderr)
            return 1
        for rule in chosen:
            if (copy / rule.path).read_text("utf-8").count(rule.text) != 1:
                print(f"{rule.name}: {rule.path} does not hold its text exactly once; say it anew", file=sys.stderr)
                unnoticed += 1
                continue
            tables, campaigns = failures_when_broken(rule, copy)
            unnoticed += not tables and not campaigns
            print(f"| {rule.name} | {rule.says} | {shown(tables)} | {shown(campaigns)} |", flush=True)
    return min(unnoticed, 1)


def failures_when_broken(rule: Rule, copy: Path) -> tuple[list[str], list[str]]:
    """Names of the tests that fail while a rule is broken."""
    path = copy / rule.path
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(rule.text, rule.broken), "utf-8")
    try:
        skipped = [f"--ignore={path}" for path in CAMPAIGN]
        return failing(copy, *TABLES, *skipped), failing(copy, *CAMPAIGN)
    finally:
        path.write_text(whole, "utf-8")


def failing(copy: Path, *arguments: str) -> list[str]:
    """The first tests that fail in the copy, as `file::test`; a run that does not end counts as failing."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not system and not nightly", "--tb=no", "-rf"]
    command += ["--hypothesis-profile=unshrunk", "-p", "no:cacheprovider", f"--maxfail={SHOWN}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return ["does not end"]
    if run.returncode not in (0, 1):
        raise RuntimeError(f"the tests did not run:\n{run.stdout[-2_000:]}{run.stderr[-2_000:]}")
    names = re.findall(r"^FAILED \S*/(\S+?)\.py::(\w+)", run.stdout, re.MULTILINE)
    return list(dict.fromkeys(f"{module}::{test}" for module, test in names))


def shown(tests: list[str]) -> str:
    """Test names as a cell of the table."""
    return "<br>".join(f"`{test}`" for test in tests) or "-"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
