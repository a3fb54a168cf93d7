"""Training and validation curves from the scalars that mmengine writes."""

import json
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt

LOSS, DICE = 'loss', 'pixel/dice_hemorrhage'


def read_scalars(work_dir: Path) -> list[dict]:
    """Read what a run logged; of a resumed run, all parts.

    Args:
        work_dir (Path): The folder given to ``mim train --work-dir``.

    Returns:
        list[dict]: One record a log entry, ordered by its ``step``; where a part repeats a step,
        the latest part counts.

    Raises:
        FileNotFoundError: If the folder holds no scalars.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        msg = (
            f'{work_dir} holds no */vis_data/scalars.json; expected the work_dir of a training '
            'whose config keeps vis_backends=[dict(type="LocalVisBackend")].'
        )
        raise FileNotFoundError(msg)
    records: dict[tuple[int, bool], dict] = {}
    for file in files:
        for line in file.read_text().splitlines():
            record = json.loads(line)
            records[record['step'], LOSS in record] = record
    return [records[key] for key in sorted(records)]


def plot_curves(work_dir: Path, out: Path) -> None:
    """Draw the training loss and the Dice of hemorrhage on validation slices.

    Args:
        work_dir (Path): The folder given to ``mim train --work-dir``.
        out (Path): The picture to write; its suffix says the format.

    Raises:
        FileNotFoundError: If the folder holds no scalars.
    """
    records = read_scalars(work_dir)
    figure, loss_axis = plt.subplots(figsize=(7, 4), layout='constrained')
    _plot(loss_axis, records, LOSS, 'tab:blue', 'Training loss')
    dice_axis = loss_axis.twinx()
    _plot(dice_axis, records, DICE, 'tab:red', 'Hemorrhage Dice on validation slices (%)')
    dice_axis.set_ylim(0, 100)
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
