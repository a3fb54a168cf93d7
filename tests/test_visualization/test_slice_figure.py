"""A slice with its outlines."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, ImageDraw

from cranium.evaluation.records import SliceRecord, replace
from cranium.visualization import report, slice_figure


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
    (corners,) = polygons(slice_figure.outline(mask)[0])
    # Half way from the centre of the pixel, at (5, 3), to those of its four neighbours.
    assert {tuple(corner) for corner in corners} == {(4, 3), (6, 3), (5, 2), (5, 4)}


def test_an_empty_mask():
    assert slice_figure.outline(np.zeros((3, 3), bool)) == ('', True)


@given(npst.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_enclose_the_mask_and_nothing_else(mask):
    filled = Image.new('1', (8 * mask.shape[1], 8 * mask.shape[0]))
    for corners in polygons(slice_figure.outline(mask)[0]):
        shape = Image.new('1', filled.size)
        ImageDraw.Draw(shape).polygon([tuple(map(int, 4 * corner)) for corner in corners], fill=1)
        filled = Image.fromarray(np.asarray(filled) ^ np.asarray(shape))  # holes are outlined too
    assert np.array_equal(np.asarray(filled)[4::8, 4::8], mask)


def test_a_speckled_mask_keeps_to_the_budget_and_its_lesion():
    rng = np.random.default_rng(0)
    mask = rng.random((300, 300)) < 0.1
    mask[100:180, 100:180] = True
    whole, is_whole = slice_figure.outline(mask, 10**6)
    path, rough = slice_figure.outline(mask, 300)
    assert len(whole) > 20 * len(path)
    assert is_whole and not rough and len(path) <= 300 * report.POINT_BYTES
    corners = list(polygons(path))
    assert 0 < sum(map(len, corners)) <= 300
    largest = max(corners, key=lambda c: np.ptp(c[:, 0]))
    assert np.allclose(largest.min(axis=0), 200, atol=20)
    assert np.allclose(largest.max(axis=0), 360, atol=20)


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


def test_what_is_drawn_roughly_is_said(record):
    html = slice_figure.slice_figure(record, most_points=20)
    assert 'truth outlined roughly' in html
    assert 'roughly' not in slice_figure.slice_figure(record)


def test_nifti_masks_are_drawn(record, tmp_path):
    nibabel = pytest.importorskip('nibabel')
    mask = np.asarray(Image.open(tmp_path / 'truth.png'))
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / 'truth.nii.gz')
    nifti = replace(record, truth_file=str(tmp_path / 'truth.nii.gz'))
    assert slice_figure.slice_figure(nifti) == slice_figure.slice_figure(record)


def test_what_cannot_be_drawn_is_said(record, tmp_path):
    volume = slice_figure.slice_figure(replace(record, truth_file=''))
    assert 'truth not drawn, as no mask file' in volume and '<path' not in volume
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / 'truth.png')
    assert 'truth not drawn, as the mask has another size' in slice_figure.slice_figure(record)
