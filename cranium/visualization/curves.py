"""Training and validation curves from the scalars that mmengine writes."""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt

from cranium.visualization.scalars import read_scalars

LOSS, DICE = 'loss', 'pixel/dice_hemorrhage'


def plot_curves(work_dir: Path, out: Path) -> None:
    """Draw the training loss and the Dice of hemorrhage on validation slices.

    Args:
        work_dir (Path): The folder given to ``mim train --work-dir``.
        out (Path): The picture to write; its suffix says the format.

    Raises:
        FileNotFoundError: If the folder holds no scalars.
    """
    records = read_scalars(work_dir)
    if not records:
        msg = (
            f'{work_dir} holds no */vis_data/scalars.json; expected the work_dir of a training '
            'whose config keeps vis_backends=[dict(type="LocalVisBackend")].'
        )
        raise FileNotFoundError(msg)
    figure, loss_axis = plt.subplots(figsize=(7, 4), layout='constrained')
    _plot(loss_axis, records, LOSS, 'tab:blue', 'Training loss')
    dice_axis = loss_axis.twinx()
    _plot(dice_axis, records, DICE, 'tab:red', 'Dice of hemorrhage on validation slices')
    dice_axis.set_ylim(0, 1)
    loss_axis.set_ylim(bottom=0)
    loss_axis.set_xlabel('Iteration')
    loss_axis.set_title(work_dir.resolve().name)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def _plot(axis: plt.Axes, records: list[dict], key: str, colour: str, label: str) -> None:
    points = [(record['step'], record[key]) for record in records if key in record]
    axis.plot(*zip(*points), color=colour, marker='o', markersize=3)
    axis.set_ylabel(label, color=colour)
    axis.tick_params(axis='y', labelcolor=colour)
