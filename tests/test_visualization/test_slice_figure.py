"""A slice with its outlines."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, ImageDraw

from cranium.evaluation.records import SliceRecord
from cranium.visualization import slice_figure


def polygons(path):
    """Corners of the path's polygons, in half pixels."""
    for part in filter(None, path.split('M')):
        start, steps = re.fullmatch(r'(-?\d+ -?\d+)l(.*)z', part).groups()
        moves = np.array(steps.split(), int).reshape(-1, 2)
        first = np.array(start.split(), int)
        yield first + np.vstack([[0, 0], np.cumsum(moves, axis=0)])


def test_a_single_pixel():
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    (corners,) = polygons(slice_figure.outline(mask))
    # Half way from the centre of the pixel, at (5, 3), to those of its four neighbours.
    assert {tuple(corner) for corner in corners} == {(4, 3), (6, 3), (5, 2), (5, 4)}


def test_an_empty_mask():
    assert slice_figure.outline(np.zeros((3, 3), bool)) == ''


@given(npst.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_enclose_the_mask_and_nothing_else(mask):
    filled = Image.new('1', (8 * mask.shape[1], 8 * mask.shape[0]))
    for corners in polygons(slice_figure.outline(mask)):
        shape = Image.new('1', filled.size)
        ImageDraw.Draw(shape).polygon([tuple(map(int, 4 * corner)) for corner in corners], fill=1)
        filled = Image.fromarray(np.asarray(filled) ^ np.asarray(shape))  # holes are outlined too
    assert np.array_equal(np.asarray(filled)[4::8, 4::8], mask)


@pytest.fixture
def record(tmp_path):
    mask = np.zeros((60, 40), np.uint8)
    mask[10:20, 10:20] = 1
    for name, values in {'image': mask * 99, 'truth': mask, 'prediction': 0 * mask}.items():
        Image.fromarray(values).save(tmp_path / f'{name}.png')
    files = {f'{n}_file': str(tmp_path / f'{n}.png') for n in ('image', 'truth', 'prediction')}
    return SliceRecord('049', 7, 0, 0, 100, 2300, types=('Epidural',), score=0.25, **files)


def test_figure(record):
    html = slice_figure.slice_figure(record, side=30)
    assert (
        'alt="Head CT of patient 049, slice 7: 100 pixels of hemorrhage; none was predicted' in html
    )
    assert '049, slice 7: Dice 0.00, epidural, score 0.25' in html
    assert html.count('<path class="truth"') == 1 and '<path class="prediction"' not in html
    assert 'viewBox="0 0 80 120"' in html  # half pixels of an image 40 wide and 60 high
    assert 'http' not in html


def test_without_an_image():
    html = slice_figure.slice_figure(SliceRecord('049', 7, 0, 5, 0, 10))
    assert 'no image' in html and '5 px false' in html


def test_a_file_that_is_gone(record, tmp_path):
    (tmp_path / 'truth.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'truth\.png: not there; write the report in'):
        slice_figure.slice_figure(record)
