"""Charts as inline SVG: no library in the page, colours from its style sheet, text for readers.

A chart carries a title and a description for screen readers, and every mark its own tooltip. The
classes of marks (``first``, ``second``, ...) are coloured by the page, for light and for dark.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 48

_numbers = count()


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
        label (str): What it shows, with the unit.
        low (float): Value at its start.
        high (float): Value at its end.
        log (bool): Whether it is logarithmic; ``low`` must then be above 0. Defaults to False.
    """

    label: str
    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """Where a value lies, 0 at the start and 1 at the end."""
        low, high, value = ((math.log(v) if self.log else v) for v in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if rough <= power * factor)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def axis_for(label: str, values: Iterable[float], log: bool = False) -> Axis:
    """An axis that reaches a little beyond all values.

    Args:
        label (str): What it shows.
        values (iterable): Values; those that are not finite do not count.
        log (bool): Whether it is logarithmic; then only values above 0 count.

    Returns:
        Axis: From 0 to 1 where no value counts.
    """
    known = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not known:
        return Axis(label, 0.1 if log else 0, 1, log)
    low, high = min(known), max(known)
    if log:
        return Axis(
            label, 10 ** math.floor(math.log10(low)), 10 ** math.floor(math.log10(high) + 1), log
        )
    margin = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return Axis(label, low - margin, high + margin)


class Chart:
    """A chart that marks are added to.

    Args:
        title (str): Name of the chart.
        description (str): What it shows, for those who do not see it.
        x (Axis): Horizontal axis.
        y (Axis): Vertical axis.
    """

    def __init__(self, title: str, description: str, x: Axis, y: Axis) -> None:
        self.title, self.description = title, description
        self.x, self.y = x, y
        self._marks: list[str] = []
        self._legend: list[tuple[str, str]] = []

    def line(self, points: Iterable[tuple[float, float]], kind: str, label: str = '') -> None:
        """Add a line through points; an undefined point interrupts it."""
        path, draw = [], 'M'
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                draw = 'M'
                continue
            path.append(f'{draw}{self._x(x):.1f} {self._y(y):.1f}')
            draw = 'L'
        self._marks.append(f'<path class="line {kind}" d="{"".join(path)}"/>')
        self._note(kind, label)

    def dots(self, points: Iterable[tuple[float, float, str]], kind: str, label: str = '') -> None:
        """Add dots, each with the text of its tooltip; undefined ones are left out."""
        for x, y, text in points:
            if math.isfinite(x) and math.isfinite(y):
                self._marks.append(
                    f'<circle class="dot {kind}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" '
                    f'r="4"><title>{escape(text)}</title></circle>'
                )
        self._note(kind, label)

    def level(self, y: float, kind: str, text: str) -> None:
        """Add a horizontal line across the chart with a text above it."""
        if math.isfinite(y):
            top = self._y(y)
            self._marks.append(
                f'<path class="line {kind} level" d="M{LEFT} {top:.1f}H{WIDTH - RIGHT}"/>'
                f'<text class="note" x="{WIDTH - RIGHT - 4}" y="{top - 4:.1f}" '
                f'text-anchor="end">{escape(text)}</text>'
            )

    def render(self) -> str:
        """The chart as an ``<svg>`` element."""
        name = f'chart{next(_numbers)}'
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-labelledby="{name}-title {name}-description">'
            f'<title id="{name}-title">{escape(self.title)}</title>'
            f'<desc id="{name}-description">{escape(self.description)}</desc>'
            f'{self._axes()}{"".join(self._marks)}{self._legend_marks()}</svg>'
        )

    def _x(self, value: float) -> float:
        return LEFT + self.x.position(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.position(value) * (HEIGHT - TOP - BOTTOM)

    def _note(self, kind: str, label: str) -> None:
        if label:
            self._legend.append((kind, label))

    def _axes(self) -> str:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = []
        for tick in self.x.ticks():
            x = self._x(tick)
            parts.append(
                f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
                f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{_number(tick)}</text>'
            )
        for tick in self.y.ticks():
            y = self._y(tick)
            parts.append(
                f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
            )
        middle = (TOP + bottom) / 2
        parts.append(
            f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
            f'<text class="label" x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" '
            f'text-anchor="middle">{escape(self.x.label)}</text>'
            f'<text class="label" transform="translate(13 {middle}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )
        return ''.join(parts)

    def _legend_marks(self) -> str:
        parts = []
        for row, (kind, label) in enumerate(self._legend):
            y = HEIGHT - BOTTOM - 14 - 17 * (len(self._legend) - 1 - row)
            x = WIDTH - RIGHT - 10
            parts.append(
                f'<text class="legend" x="{x - 20}" y="{y + 4}" text-anchor="end">'
                f'{escape(label)}</text>'
                f'<path class="line {kind} key" d="M{x - 14} {y}H{x}"/>'
            )
        return ''.join(parts)


def bars(title: str, description: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars from 0 to 1, a row each.

    Args:
        title (str): Name of the chart.
        description (str): What it shows, for those who do not see it.
        rows (sequence): Of each row its name, its value (nan for none) and the text of its
            tooltip.

    Returns:
        str: An ``<svg>`` element.
    """
    name = f'chart{next(_numbers)}'
    height, left, right = 20, 52, 46
    width = WIDTH - left - right
    parts = []
    for index, (label, value, text) in enumerate(rows):
        y = index * height
        length = 0 if math.isnan(value) else value * width
        shown = '-' if math.isnan(value) else f'{value:.2f}'
        parts.append(
            f'<text x="{left - 6}" y="{y + 14}" text-anchor="end">{escape(label)}</text>'
            f'<rect class="track" x="{left}" y="{y + 3}" width="{width}" height="{height - 6}"/>'
            f'<rect class="bar" x="{left}" y="{y + 3}" width="{length:.1f}" '
            f'height="{height - 6}"><title>{escape(text)}</title></rect>'
            f'<text x="{WIDTH - right + 6}" y="{y + 14}">{shown}</text>'
        )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {max(1, len(rows)) * height}" role="img" '
        f'aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-description">{escape(description)}</desc>{"".join(parts)}</svg>'
    )


def _number(value: float) -> str:
    return f'{value:g}' if abs(value) < 10_000 else f'{value / 1000:g}k'
