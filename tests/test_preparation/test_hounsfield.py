"""One slice in HU from two windows."""

import cv2
import numpy as np
import pytest

from cranium.preparation.errata import read_errata
from cranium.preparation.hounsfield import combine
from cranium.windows import BONE, BRAIN, Window
from tests.conftest import ROOT

SAMPLE = ROOT / 'data/sample/Patients_CT'


def row(*values):
    return np.array([values], np.uint8)


def test_the_brain_window_where_it_measures():
    # 0.4706 g - 20: 110 is 31.76 HU, whatever the coarser bone window says.
    assert combine(row(110, 43), row(74, 0)).tolist() == [[32, 0]]


def test_the_bone_window_where_the_brain_window_is_saturated():
    # 12.549 g - 900: 100 is 354.9 and 255 2300 HU; air is 0 in both.
    assert combine(row(255, 254, 0), row(100, 255, 0)).tolist() == [[355, 2300, -900]]


def test_air_is_one_value():
    # 15 and 16 of the bone window are -711.8 and -699.2 HU.
    assert combine(row(0, 0, 1), row(15, 16, 5)).tolist() == [[-900, -699, -900]]


def test_black_that_is_not_quite_black():
    # JPEG noise on air; 5 is -17.6 HU and counts as measured.
    assert combine(row(2, 4, 5), row(0, 1, 0)).tolist() == [[-900, -900, -18]]


@pytest.mark.parametrize('patient', sorted(path.name for path in SAMPLE.iterdir()))
def test_air_around_every_head_of_the_sample(patient):
    erratum = read_errata().get(patient)
    windows = (erratum.brain, erratum.bone) if erratum else (BRAIN, BONE)
    path = sorted(SAMPLE.glob(f'{patient}/brain/*[0-9].jpg'))[2]
    brain, bone = (
        cv2.imread(str(path.parents[1] / window / path.name), cv2.IMREAD_GRAYSCALE)
        for window in ('brain', 'bone')
    )
    # Half of a slice lies outside of the head.
    assert (combine(brain, bone, *windows) == -900).mean() > 0.3


def test_a_saturated_pixel_stays_outside_of_the_brain_window():
    # JPEG noise of the bone window says 16.5 and 41.6 HU.
    assert combine(row(255, 0), row(73, 75)).tolist() == [[100, -20]]


def test_one_window_alone_ends_where_it_ends():
    assert combine(row(0, 128, 255), None).tolist() == [[-20, 40, 100]]


def test_other_windows():
    hu = combine(row(110, 255), row(0, 255), Window(29.6, 72.2), Window(498, 1992))
    assert hu.tolist() == [[25, 1494]]
