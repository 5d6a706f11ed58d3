"""A small SVG of one run: for each workload and load, every target's rate as a bar, as a share of the floor's.

Drawn by hand, so that a benchmark needs no plotting library.
"""

from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.results import ENGINE, FLOOR, Measurement, Results

WIDTH: Final = 900
_LABEL_WIDTH: Final = 270
_BAR_WIDTH: Final = 380
_BAR_HEIGHT: Final = 16
_GROUP_GAP: Final = 14
_TOP: Final = 56
_COLOURS: Final = {ENGINE: "#2563a8", FLOOR: "#9aa5b1"}
_OTHER_COLOUR: Final = "#c9cfd6"


def svg(results: Results) -> str:
    """The picture as one SVG document. Bars are scaled to the largest share; the floor is at the thin line."""
    shares = [results.share_of_floor(one) or 0.0 for one in results.measurements]
    scale = _BAR_WIDTH / max([1.0, *shares])
    parts: list[str] = []
    y = _TOP
    for _, group in groupby(results.measurements, key=lambda one: (one.workload, one.in_flight)):
        for one in group:
            parts += _bar(one, results.share_of_floor(one) or 0.0, scale, y)
            y += _BAR_HEIGHT + 4
        y += _GROUP_GAP
    floor_x = _LABEL_WIDTH + scale
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{y + 10}" fill="white"/>',
        '<text x="12" y="22" font-size="15">Flows per second, as a share of the floor engine in the same run</text>',
        f'<text x="12" y="40" fill="#666">{escape(f"{results.started_at}, {results.machine}")}</text>',
        f'<line x1="{floor_x:.1f}" x2="{floor_x:.1f}" y1="{_TOP - 6}" y2="{y - _GROUP_GAP}" stroke="#666" stroke-dasharray="3 3"/>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _bar(one: Measurement, share: float, scale: float, y: int) -> list[str]:
    label = escape(f"{one.workload}, {one.in_flight:,} in flight, {one.target}")
    figures = escape(f"{one.flows_per_s:,.0f}/s, p50 {one.latency.p50_ms:.1f} ms ({share:.0%})")
    width = share * scale
    colour = _COLOURS.get(one.target, _OTHER_COLOUR)
    text_y = y + _BAR_HEIGHT - 4
    return [
        f'<text x="{_LABEL_WIDTH - 8}" y="{text_y}" text-anchor="end">{label}</text>',
        f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{_BAR_HEIGHT}" fill="{colour}"/>',
        f'<text x="{_LABEL_WIDTH + width + 6:.1f}" y="{text_y}" fill="#333">{figures}</text>',
    ]
