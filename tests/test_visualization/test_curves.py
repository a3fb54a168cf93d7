import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from cranium.errors import CraniumError
from cranium.visualization.curves import draw_curves, plot_curves, read_curves

DICE = 'pixel/dice_hemorrhage'


def log(work_dir, stamp, *entries):
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(json.dumps(entry) + '\n' for entry in entries))
    return folder / 'scalars.json'


def drawn(work_dir):
    """Label and lines of each axis."""
    found = []
    for curves in read_curves(work_dir):
        axis = Figure().subplots()
        draw_curves(axis, curves)
        lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        found.append((axis.get_ylabel(), lines))
    return found


def test_a_resumed_run_is_one_curve_of_which_the_later_part_counts(tmp_path):
    log(tmp_path, '1', dict(step=10, loss=3), dict(step=20, loss=2), {'step': 20, DICE: 0.5})
    log(tmp_path, '2', dict(step=20, loss=1), dict(step=30, loss=0.5))
    log(tmp_path, '3', {DICE: 0.9})  # of a test, which logs no step
    assert drawn(tmp_path) == [
        ('Loss', {'training': [[10, 3], [20, 1], [30, 0.5]]}),
        ('Dice of hemorrhage', {'validation, pixels pooled': [[20, 0.5]]}),
    ]


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    with open(log(tmp_path, '1', dict(step=10, loss=3)), 'a') as file:
        file.write('{"step": 20, "lo')
    assert drawn(tmp_path) == [('Loss', {'training': [[10, 3]]})]


@pytest.mark.parametrize('bad', ['{"step": 20, "lo', '7'])
def test_another_bad_line_names_the_file(tmp_path, bad):
    with open(log(tmp_path, '1', dict(step=10, loss=3)), 'a') as file:
        file.write(bad + '\n{"step": 30, "loss": 1}\n')
    with pytest.raises(CraniumError, match=r'1/vis_data/scalars\.json: not the scalars of mmengin'):
        read_curves(tmp_path)


def test_a_single_validation_is_seen(tmp_path):
    log(tmp_path, '1', {'step': 50, DICE: 0.4})
    plot_curves(tmp_path, tmp_path / 'curves.png')
    pixels = np.asarray(Image.open(tmp_path / 'curves.png').convert('RGB')).astype(int)
    blue = (abs(pixels - (0x1F, 0x82, 0xC8)) < 30).all(axis=-1)
    assert ndimage.label(blue)[1] == 2  # its marker, and that of the legend


def test_a_folder_without_scalars(tmp_path):
    assert read_curves(tmp_path) == []
    with pytest.raises(CraniumError, match=r'holds no \*/vis_data/scalars\.json'):
        plot_curves(tmp_path, tmp_path / 'curves.png')
