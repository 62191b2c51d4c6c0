"""Plots without a library: one bar for each row, in SVG.

A bar is a ratio on a logarithmic scale: to the right of the line at 1 Lading has more, to the left less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_LABELS, _BARS, _RIGHT, _LINE, _TOP = 420, 420, 90, 22, 48
_GOOD, _BAD, _INK, _FAINT = "#2a7f62", "#c0504d", "#222222", "#bbbbbb"
_FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: its name, the ratio, how far it went over the rounds, and what it is a ratio to."""

    name: str
    ratio: float
    least: float
    most: float
    beside: str


def bars(title: str, rows: Sequence[Bar], *, is_better_high: bool = True) -> str:
    """A document of horizontal bars; the thin line on each is its spread."""
    limit = max([2.0, *(max(row.most, 1 / row.least) for row in rows if row.least > 0)])
    width, height = _LABELS + _BARS + _RIGHT, _TOP + _LINE * len(rows) + 10
    scale = _Scale(math.log(limit))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" {_FONT} font-weight="bold" fill="{_INK}">{escape(title)}</text>',
        *(_tick(scale, value, height) for value in _ticks(limit)),
        *(line for number, row in enumerate(rows) for line in _bar(scale, row, number, is_better_high=is_better_high)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


class _Scale:
    def __init__(self, limit: float) -> None:
        self._limit = limit

    def x(self, ratio: float) -> float:
        """Where a ratio is."""
        return _LABELS + _BARS / 2 * (1 + math.log(ratio) / self._limit)


def _ticks(limit: float) -> list[float]:
    powers = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0]
    up = [each for each in powers if each <= limit]
    return sorted({*up, *(1 / each for each in up)})


def _tick(scale: _Scale, value: float, height: int) -> str:
    x = scale.x(value)
    colour = _INK if value == 1 else _FAINT
    return (
        f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - 6}" stroke="{colour}"/>'
        f'<text x="{x:.1f}" y="{_TOP - 10}" {_FONT} fill="{_INK}" text-anchor="middle">{value:.3g}</text>'
    )


def _bar(scale: _Scale, row: Bar, number: int, *, is_better_high: bool) -> list[str]:
    top = _TOP + _LINE * number
    one, end = scale.x(1.0), scale.x(row.ratio)
    colour = _GOOD if (row.ratio >= 1) == is_better_high else _BAD
    middle = top + (_LINE - 6) / 2
    return [
        f'<text x="{_LABELS - 10}" y="{top + 13}" {_FONT} fill="{_INK}" text-anchor="end">{escape(row.name)}</text>',
        (
            f'<rect x="{min(one, end):.1f}" y="{top}" width="{max(1.0, abs(end - one)):.1f}" height="{_LINE - 6}" '
            f'fill="{colour}"><title>{escape(f"{row.ratio:.2f} of {row.beside}")}</title></rect>'
        ),
        (
            f'<line x1="{scale.x(row.least):.1f}" y1="{middle}" x2="{scale.x(row.most):.1f}" y2="{middle}" '
            f'stroke="{_INK}"/>'
        ),
        f'<text x="{_LABELS + _BARS + 8}" y="{top + 13}" {_FONT} fill="{_INK}">{row.ratio:.2f}</text>',
    ]
