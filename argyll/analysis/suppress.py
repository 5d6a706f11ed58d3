"""Comments that switch findings off: `# argyll: ignore[ARG602]` on or above a line, `# argyll: ignore-file[...]`.

What engines refuse cannot be switched off, and a comment without effect is itself a finding.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from argyll.analysis.catalogue import CATALOGUE
from argyll.analysis.diagnostics import Diagnostic
from argyll.analysis.source import Source, walk_scalars

_COMMENT = re.compile(r"(?:^|(?<=\s))#[ \t]*argyll:[ \t]*ignore(?P<file>-file)?\[(?P<codes>[^\]\r\n]*)\]", re.MULTILINE)


@dataclass(slots=True)
class _Comment:
    start: int
    end: int
    codes: frozenset[str]
    lines: range | None
    """Lines that it is about; None is the whole file."""
    used: set[str] = field(default_factory=set[str])


def suppress(read: Callable[[], Source], content: bytes, findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings of a file without the suppressed ones, and a finding for each suppression without effect.

    `read` gives the file with its positions; it is only called for a `content` that has such comments.
    """
    findings = list(findings)
    if b"argyll:" not in content:
        return findings
    source = read()
    comments = _comments(source)
    kept = [found for found in findings if not _is_suppressed(found, comments)]
    before = len(source.findings)
    for comment in comments:
        for code in sorted(comment.codes - comment.used):
            source.report("ARG090", _why_unused(code), comment.start, comment.end, hint=f"remove `{code}`")
    kept += source.findings[before:]
    del source.findings[before:]
    return kept


def _comments(source: Source) -> list[_Comment]:
    # A hash inside a text is no comment.
    texts = [(node.start, node.end) for document in source.documents for node in walk_scalars(document.root)]
    found: list[_Comment] = []
    for match in _COMMENT.finditer(source.text):
        if any(start <= match.start() < end and not _is_trailing(source, end, match) for start, end in texts):
            continue
        line, _ = source.lines.position(match.start())
        alone = source.lines.line(line).lstrip().startswith("#")
        lines = range(line, line + 2) if alone else range(line, line + 1)
        codes = frozenset(code.strip() for code in match["codes"].split(",") if code.strip())
        found.append(_Comment(match.start(), match.end(), codes, None if match["file"] else lines))
    return found


def _is_trailing(source: Source, end: int, match: re.Match[str]) -> bool:
    """Whether only white space and this comment follow the last text of a node that took them along."""
    return not source.text[match.end() : end].strip() and source.text[match.start() - 1 : match.start()] != " "


def _is_suppressed(found: Diagnostic, comments: list[_Comment]) -> bool:
    if found.rejects or found.span is None:
        return False
    for comment in comments:
        if found.code in comment.codes and (comment.lines is None or found.span.line in comment.lines):
            comment.used.add(found.code)
            return True
    return False


def _why_unused(code: str) -> str:
    entry = CATALOGUE.get(code)
    if entry is None:
        return f"`{code}` is not a code of a finding"
    return (
        f"engines refuse `{code}`, so it cannot be suppressed"
        if entry.rejects
        else f"there is no `{code}` to suppress here"
    )
