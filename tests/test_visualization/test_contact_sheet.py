import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.visualization.contact_sheet import (
    CAPTION,
    GAP,
    HEADER,
    PANEL,
    Panel,
    contact_sheet,
    prediction_panel,
    read_panels,
)
from cranium.visualization.overlay import COLOURS, PREDICTION, TRUTH, outline
from tests.conftest import write_slice

GRAY = np.full((64, 64), 100, np.uint8)


def square(shape=(64, 64)):
    mask = np.zeros(shape, bool)
    rows, columns = (slice(size // 4, size // 2) for size in shape)
    mask[rows, columns] = True
    return mask


def colours(pixels):
    return set(map(tuple, pixels.reshape(-1, 3).tolist())) & set(COLOURS.values())


def test_panels_lie_in_reading_order_with_captions_below():
    shades = [Panel(np.full((64, 64), 40 * n, np.uint8), f'slice {n}') for n in range(1, 6)]
    pixels = np.asarray(contact_sheet(shades, columns=3))
    assert pixels.shape == (HEADER + 2 * (PANEL + CAPTION + GAP) + GAP, 3 * (PANEL + GAP) + GAP, 3)
    for n, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], 1):
        y, x = HEADER + row * (PANEL + CAPTION + GAP), GAP + column * (PANEL + GAP)
        assert (pixels[y : y + PANEL, x : x + PANEL] == 40 * n).all()
        caption = pixels[y + PANEL : y + PANEL + CAPTION, x : x + PANEL]
        assert caption.max() > 200 and np.median(caption) == 0


def test_outlines_lie_where_the_masks_are():
    sheet = np.asarray(contact_sheet([prediction_panel('a', GRAY, square(), square() & False)]))
    panel = sheet[HEADER : HEADER + PANEL, GAP : GAP + PANEL]
    line = outline(square((PANEL, PANEL)), 2)
    assert np.array_equal((panel == COLOURS[TRUTH]).all(axis=-1), line)


def test_legend_names_what_is_outlined():
    truth = {TRUTH: square()}
    assert colours(np.asarray(contact_sheet([Panel(GRAY)]))[:HEADER]) == set()
    assert colours(np.asarray(contact_sheet([Panel(GRAY, '', truth)]))[:HEADER]) == {COLOURS[TRUTH]}
    both = [Panel(GRAY, '', truth), Panel(GRAY, '', {PREDICTION: square()})]
    assert colours(np.asarray(contact_sheet(both))[:HEADER]) == set(COLOURS.values())


def test_a_slice_keeps_its_proportions():
    sheet = np.asarray(contact_sheet([Panel(np.full((64, 32), 100, np.uint8))]))
    assert ((sheet == 100).all(axis=-1).sum(axis=1) == PANEL // 2).sum() == PANEL


def test_larger_panels():
    sheet = contact_sheet([Panel(GRAY), Panel(GRAY)], side=300)
    assert sheet.size == (2 * (300 + GAP) + GAP, HEADER + 300 + CAPTION + GAP + GAP)
    assert (np.asarray(sheet)[HEADER : HEADER + 300, GAP : GAP + 300] == 100).all()


@pytest.mark.parametrize('long', ['title', 'caption'])
def test_long_lines_stay_on_the_sheet(long):
    caption = 'W' * 35 if long == 'caption' else ''
    panels = [Panel(GRAY, caption), Panel(GRAY)]
    pixels = np.asarray(contact_sheet(panels, title='W' * 60 if long == 'title' else ''))
    assert (pixels[:, -GAP:] == 24).all()
    second = pixels[HEADER + PANEL : HEADER + PANEL + CAPTION, GAP + PANEL + GAP :]
    assert second.max() <= 24  # the empty caption of the other slice


def test_nothing_to_draw():
    with pytest.raises(CraniumError, match='no slice'):
        contact_sheet([])


@pytest.fixture
def tree(tmp_path):
    """Two slices of hemorrhage, the first predicted by half, and a third without."""
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:15] = 1
    half = mask.copy()
    half[:, 10:] = 0
    blank = np.zeros_like(mask)
    (tmp_path / 'predictions').mkdir()
    for number, truth, predicted in ((1, mask, half), (2, mask, mask), (3, blank, blank)):
        name = f'049_{number:03d}'
        write_slice(tmp_path, 'val', name, np.full((20, 20), 90, np.uint8), truth)
        Image.fromarray(predicted).save(tmp_path / f'predictions/{name}.png')
    return tmp_path


def read(tree, count=9):
    return read_panels(tree / 'predictions', tree, count)


def test_captions_hold_the_slice_and_its_dice(tree):
    # Half of 40 pixels: 2 * 20 / (20 + 40).
    expected = ['049_001  Dice 0.67', '049_002  Dice 1.00', '049_003  no hemorrhage']
    assert [panel.caption for panel in read(tree)] == expected
    assert [panel.caption[:7] for panel in read(tree, count=2)] == ['049_001', '049_003']
    assert [int(panel.masks[PREDICTION].sum()) for panel in read(tree)] == [20, 40, 0]


def test_a_mask_that_is_missing_or_of_another_size(tree):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tree / 'predictions/049_002.png')
    with pytest.raises(CraniumError, match=r'049_002\.png: its shape is \(9, 9\), that of'):
        read(tree)
    (tree / 'masks/val/049_001.png').unlink()
    with pytest.raises(CraniumError, match=r'masks has no 049_001\.png; give the --data'):
        read(tree)
    with pytest.raises(CraniumError, match=r'images holds no \.png'):
        read_panels(tree / 'images', tree, 1)
