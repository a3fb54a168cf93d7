import numpy as np
import pytest
from PIL import Image

from cranium.visualization.contact_sheet import (
    CAPTION,
    PANEL,
    PREDICTION,
    TRUTH,
    Panel,
    brain_window,
    contact_sheet,
    draw_panel,
    read_panels,
)
from tests.conftest import run_command, write_slice


def panel(truth=False, prediction=False):
    masks = []
    for present, corner in ((truth, 8), (prediction, 40)):
        mask = np.zeros((64, 64), bool)
        mask[corner : corner + 12, corner : corner + 12] = present
        masks.append(mask)
    return Panel(np.full((64, 64), 100, np.uint8), *masks, 'one slice')


def colours(picture):
    return set(map(tuple, np.array(picture)[:PANEL].reshape(-1, 3).tolist()))


def test_panel_draws_what_is_there_and_hides_nothing_of_it():
    assert colours(draw_panel(panel())) == {(100, 100, 100)}
    assert colours(draw_panel(panel(truth=True))) == {(100, 100, 100), TRUTH}
    both = draw_panel(panel(truth=True, prediction=True))
    assert colours(both) == {(100, 100, 100), TRUTH, PREDICTION}
    inside = np.array(both)[PANEL // 4 - 8, PANEL // 4 - 8]
    assert tuple(inside) == (100, 100, 100)


def test_masks_of_another_size_are_an_error():
    wrong = panel()
    wrong.truth = np.zeros((32, 32), bool)
    with pytest.raises(ValueError, match=r'one slice: the image is \(64, 64\), a mask \(32, 32\)'):
        draw_panel(wrong)


def test_sheet_has_room_for_all():
    sheet = contact_sheet([panel()] * 5, columns=3)
    assert sheet.width > 3 * PANEL
    assert sheet.height > 2 * (PANEL + CAPTION)
    with pytest.raises(ValueError, match='no slice'):
        contact_sheet([])


@pytest.fixture
def tree(tmp_path):
    """Two slices of hemorrhage, the first predicted by half, and a third without."""
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:15] = 1
    half = mask.copy()
    half[:, 10:] = 0
    blank = np.zeros_like(mask)
    for name, truth, predicted in (('1', mask, half), ('2', mask, mask), ('3', blank, blank)):
        write_slice(tmp_path, 'val', f'049_00{name}', np.full((20, 20), 90, np.uint8), truth)
        (tmp_path / 'predictions').mkdir(exist_ok=True)
        Image.fromarray(predicted).save(tmp_path / f'predictions/049_00{name}.png')
    return tmp_path


def test_captions_hold_the_slice_and_its_dice(tree):
    panels = read_panels(tree / 'predictions', tree / 'images/val', tree / 'masks/val', count=9)
    # Half of 40 pixels: 2 * 20 / (20 + 40).
    expected = ['049_001  Dice 0.67', '049_002  Dice 1.00', '049_003  no hemorrhage']
    assert [panel.caption for panel in panels] == expected
    few = read_panels(tree / 'predictions', tree / 'images/val', tree / 'masks/val', count=2)
    assert [panel.caption[:7] for panel in few] == ['049_001', '049_003']


def test_command(tree):
    command = ['python', 'tools/draw_predictions.py', tree / 'predictions', '--data', tree]
    output = run_command(*command, '--out', tree / 'sheet.png')
    assert f'3 slices in {tree / "sheet.png"}' in output
    Image.open(tree / 'sheet.png').verify()
    (tree / 'masks/val/049_002.png').unlink()
    output = run_command(*command, '--out', tree / 'sheet.png', status=1)
    assert output.startswith('draw_predictions.py: error: ') and 'masks/val/049_002.png' in output


def test_of_two_windows_the_brain_window_is_shown():
    brain, bone = np.full((2, 3), 90, np.uint8), np.full((2, 3), 9, np.uint8)
    both = Image.fromarray(np.stack([brain, bone, brain], axis=-1))
    assert np.array_equal(brain_window(both), brain)
    assert np.array_equal(brain_window(Image.fromarray(brain)), brain)
