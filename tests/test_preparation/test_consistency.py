"""The windows of real scans, two of which are wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cranium.preparation.consistency import check_windows, find_offset, spread
from cranium.windows import BONE, BRAIN, Window
from tests.conftest import ROOT

SAMPLE = ROOT / 'data/sample/Patients_CT'


def windows(patient):
    return [
        {
            int(path.stem): cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            for path in sorted(Path(SAMPLE / patient / name).glob('*.jpg'))
            if path.stem.isdigit()
        }
        for name in ('brain', 'bone')
    ]


def pairs(patient):
    brains, bones = windows(patient)
    return [(brains[n], bones[n]) for n in brains]


@pytest.mark.parametrize('patient', ['052', '062', '085', '122'])
def test_scans_as_they_should_be(patient):
    found = check_windows(pairs(patient))
    assert found.same_windows and found.same_slices
    # 110 is 31.76 HU, which the bone window shows as (31.76 + 900) / 3200 * 255.
    assert found.expected == pytest.approx(74.25, abs=0.01)
    assert found.bone_gray == pytest.approx(found.expected, abs=0.2)
    assert found.correlation > 0.99
    assert find_offset(*windows(patient)) == 0


def test_050_is_rendered_in_other_windows():
    found = check_windows(pairs('050'))
    assert found.bone_gray == pytest.approx(66.84, abs=0.3)
    assert not found.same_windows
    assert check_windows(pairs('050'), Window(29.6, 72.2), Window(498, 1992)).same_windows
    assert check_windows(pairs('050'), Window(29.6, 72.2), Window(498, 1992)).same_slices


def test_the_bone_window_of_081_is_two_slices_late():
    found = check_windows(pairs('081'))
    assert not found.same_slices
    assert find_offset(*windows('081')) == 2


def test_no_offset_fits_another_patient():
    brains, _ = windows('071')
    _, bones = windows('076')
    assert find_offset(brains, {n - 6: bone for n, bone in bones.items()}) is None


def test_what_cannot_be_told_is_no_fault():
    air = np.zeros((100, 100), np.uint8)
    found = check_windows([(air, air)])
    assert np.isnan(found.bone_gray) and np.isnan(found.correlation)
    assert found.same_windows and found.same_slices
    assert check_windows([]).same_windows
    assert find_offset({}, {}) is None


def test_spread():
    assert spread(list(range(5)), 8) == [0, 1, 2, 3, 4]
    assert spread(list(range(21)), 3) == [0, 10, 20]
    assert spread([], 3) == []


def test_windows_of_the_data_set():
    assert (BRAIN.low, BRAIN.high) == (-20, 100)
    assert (BONE.low, BONE.high) == (-900, 2300)
