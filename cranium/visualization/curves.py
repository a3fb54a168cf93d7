"""Training and validation curves from the scalars that mmengine logs."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cranium.errors import CraniumError
from cranium.visualization.charts import LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = {  # by axis: what is drawn, and its label
    'Loss': {'loss': 'training'},
    'Dice of hemorrhage': {
        'pixel/dice_hemorrhage': 'validation, pixels pooled',
        'patient/authors_dice': 'validation, patients',
    },
}


def read_curves(work_dir: Path) -> list[pd.DataFrame]:
    """Read the curves of ``CURVES`` that a training logged, one table per axis.

    Returns:
        list[DataFrame]: By ``step``, one column per curve, named for the axis. The parts of a
        resumed training are joined; where one repeats a step, the later part counts.

    Raises:
        CraniumError: A file is not one of mmengine's.
    """
    parts = [pd.DataFrame({'step': []})]
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        # The last line may be cut off where the training was stopped.
        whole_lines = file.read_text(encoding='utf-8').rpartition('\n')[0]
        try:
            parts.append(pd.read_json(io.StringIO(whole_lines), lines=True))
        except (ValueError, TypeError) as error:
            msg = f'{file}: not the scalars of mmengine ({error}); remove the bad line'
            raise CraniumError(msg) from error
    # A test logs without a step. A training step and the validation after it share one row.
    rows = pd.concat([part for part in parts if 'step' in part]).groupby('step').last()
    return [
        rows.filter(items=[*names]).rename(columns=names).rename_axis(columns=axis)
        for axis, names in CURVES.items()
        if not rows.columns.intersection([*names]).empty
    ]


def plot_curves(work_dir: Path, out: Path) -> None:
    """Draw training loss and validation Dice of a work directory of ``mim train`` into a picture.

    Raises:
        CraniumError: If the folder holds no scalars.
    """
    curves = read_curves(work_dir)
    if not curves:
        raise CraniumError(
            f'{work_dir} holds no */vis_data/scalars.json; expected the work_dir of a training '
            'whose config keeps vis_backends=[dict(type="LocalVisBackend")]'
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(curves), 3.5), layout='constrained')
    for axis, each in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves):
        draw_curves(axis, each)
    figure.suptitle(work_dir.resolve().name)
    figure.savefig(out, dpi=120)


def draw_curves(axis: 'Axes', curves: pd.DataFrame) -> None:
    """Draw one table of :func:`read_curves`."""
    for (text, curve), (colour, style) in zip(curves.items(), LINES):
        points = curve.dropna()
        # A single point is seen only as a marker, many of them hide the line.
        marker = 'o' if len(points) <= 40 else ''
        axis.plot(points.index, points, style + marker, color=colour, label=text, markersize=4)
    label = str(curves.columns.name)
    axis.set(xlabel='Iteration', ylabel=label)
    axis.set_ylim(bottom=0, top=1 if label.startswith('Dice') else None)
    axis.legend()
