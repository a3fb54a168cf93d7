"""Masks that cannot be what they are said to be; each of these once went through."""

import numpy as np
import pytest

from cranium.preparation.content import mask_fault
from cranium.preparation.hounsfield import combine
from tests.conftest import ROOT

SAMPLE = ROOT / 'data/sample/Patients_CT'


@pytest.fixture(scope='module')
def real():
    """Mask and brain window of a real slice, and the slice in HU."""
    cv2 = pytest.importorskip('cv2')
    names = ('brain/14_HGE_Seg.jpg', 'brain/14.jpg', 'bone/14.jpg')
    mask, brain, bone = (cv2.imread(str(SAMPLE / '066' / n), cv2.IMREAD_GRAYSCALE) for n in names)
    return mask, brain, combine(brain, bone)


def fault(mask, hu):
    return mask_fault(mask, mask > 127, hu)


def test_a_real_mask(real):
    mask, _, hu = real
    assert fault(mask, hu) is None


def test_stored_as_0_and_1(real):
    mask, _, hu = real
    assert 'highest value of the mask is 1,' in fault((mask > 127).astype(np.uint8), hu)


def test_empty(real):
    mask, _, hu = real
    assert 'empty' in fault(np.zeros_like(mask), hu)


def test_inverted(real):
    mask, _, hu = real
    assert '% of the head' in fault(255 - mask, hu)


def test_a_copy_of_its_image(real):
    _, brain, hu = real
    assert 'neither black nor white' in fault(brain, hu)


def test_on_air(real):
    _, _, hu = real
    mask = np.zeros_like(hu, np.uint8)
    mask[5:60, 5:60] = 255
    assert 'on air' in fault(mask, hu)


def test_on_bone():
    hu = np.full((10, 10), 30, np.int16)
    hu[:, :2] = 900
    mask = np.zeros((10, 10), np.uint8)
    mask[:5, 0] = 255
    assert 'lies to 100% on bone' in fault(mask, hu)


@pytest.mark.slow
def test_every_real_mask():
    import os

    import cv2

    if not os.environ.get('CT_ICH_ROOT'):
        pytest.skip('CT_ICH_ROOT is not set')
    from pathlib import Path

    paths = sorted(Path(os.environ['CT_ICH_ROOT']).glob('Patients_CT/*/brain/*_HGE_Seg.jpg'))
    assert paths
    for path in paths:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        brain = cv2.imread(str(path).replace('_HGE_Seg', ''), cv2.IMREAD_GRAYSCALE)
        assert fault(mask, combine(brain, None)) is None, path
