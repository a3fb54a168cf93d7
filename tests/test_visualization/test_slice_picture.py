import base64
import io

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.visualization.overlay import COLOURS, TRUTH, outline
from cranium.visualization.slice_picture import slice_picture


@pytest.fixture
def row(tmp_path):
    mask = np.zeros((64, 32), np.uint8)
    mask[10:20, 10:20] = 1
    for name, values in {'image': mask * 99, 'truth': mask, 'prediction': 0 * mask}.items():
        Image.fromarray(values).save(tmp_path / f'{name}.png')
    files = {f'{n}_file': str(tmp_path / f'{n}.png') for n in ('image', 'truth', 'prediction')}
    about = dict(patient='049', slice=7, name='049_007', hemorrhage=True, types='Epidural+Subdural')
    return dict(about, tp=0, fp=0, fn=100, tn=1948, dice=0.0, log_odds=0.25, **files)


def read(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(',')[2])))


def test_picture_and_words(row):
    picture = slice_picture(row, side=32)
    assert picture['words'] == (
        'Head CT of patient 049, slice 7: 100 pixels of hemorrhage; none predicted, 0 in common.'
    )
    assert picture['caption'] == '049, slice 7: Dice 0.00, epidural, subdural, score 0.25'
    assert read(picture['image']).size == (16, 32)


@pytest.mark.parametrize('side', [30, 240])
def test_the_truth_lies_over_the_picture(row, side):
    """As fine over a small picture as over a large one."""
    picture = slice_picture(row, side)
    assert list(picture['outlines']) == [TRUTH]  # nothing was predicted
    layer = np.asarray(read(picture['outlines'][TRUTH]).convert('RGBA'))
    mask = np.zeros((256, 128), bool)
    mask[40:80, 40:80] = True
    assert np.array_equal(layer[..., 3] == 255, outline(mask, 2))
    assert np.array_equal(layer[..., 3] > 0, outline(mask, 2) | mask)
    assert set(map(tuple, layer[layer[..., 3] > 0][:, :3].tolist())) == {COLOURS[TRUTH]}


@pytest.mark.parametrize(('fp', 'outcome'), [(5, '5 px false'), (0, 'none, none predicted')])
def test_without_an_image_or_hemorrhage(row, fp, outcome):
    gone = dict(image_file='', truth_file='', prediction_file='', types='unknown')
    nan = float('nan')
    picture = slice_picture(row | gone | dict(hemorrhage=False, fn=0, fp=fp, log_odds=nan), 30)
    assert (picture['image'], picture['outlines']) == ('', {})
    assert picture['caption'] == f'049, slice 7: {outcome}'


def test_a_file_that_is_gone(row, tmp_path):
    (tmp_path / 'truth.png').unlink()
    with pytest.raises(CraniumError, match=r'truth\.png: not there; write the report in'):
        slice_picture(row, 30)


def test_what_cannot_be_drawn_is_said(row, tmp_path):
    volume = slice_picture(row | {'truth_file': ''}, 30)
    assert 'truth not drawn, as no mask file' in volume['caption'] and not volume['outlines']
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / 'truth.png')
    assert 'the mask has another size than the image' in slice_picture(row, 30)['caption']
