"""A picture of the two checks of each scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cranium.preparation.consistency import GRAY_TOLERANCE, LEAST_CORRELATION, REFERENCE_GRAY
from cranium.preparation.scans import ScanCheck

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRAY, _RED = '#888888', '#c0392b'


def save_checks(checks: Sequence[ScanCheck], title: str, path: Path) -> None:
    """Draw what the windows of each scan say of each other; scans that fail have their name.

    Args:
        checks (sequence): Of all scans.
        title (str): What they are of.
        path (Path): Where to; the suffix decides on the format.
    """
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(9, 6), layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw(upper, checks, [check.windows.bone_gray for check in checks])
    what = f'Gray value of the bone window beside {REFERENCE_GRAY} in the brain window'
    upper.set(ylabel='gray value', title=what)
    expected = checks[0].windows.expected
    upper.axhspan(
        expected - GRAY_TOLERANCE, expected + GRAY_TOLERANCE, color=_GRAY, alpha=0.3, lw=0
    )
    _draw(lower, checks, [check.windows.correlation for check in checks])
    lower.set(ylabel='correlation', title='Brain and bone window of one number', xlabel='patient')
    lower.axhspan(LEAST_CORRELATION, 1, color=_GRAY, alpha=0.3, lw=0)
    every = max(1, len(checks) // 20)
    lower.set_xticks(range(0, len(checks), every), [check.patient for check in checks[::every]])
    figure.suptitle(f'{title}: {len(checks)} scans; expected is what lies in the gray bands')
    figure.savefig(path, dpi=120)


def _draw(axis: 'Axes', checks: Sequence[ScanCheck], values: Sequence[float]) -> None:
    """Draw a point for each scan, and name those that fail."""
    colours = [_GRAY if check.passed else _RED for check in checks]
    axis.scatter(range(len(checks)), values, s=14, c=colours)
    for x, (check, value) in enumerate(zip(checks, values)):
        if not check.passed and value == value:
            axis.text(x, value, f'  {check.patient}', color=_RED, va='center')
    axis.spines[['top', 'right']].set_visible(False)
