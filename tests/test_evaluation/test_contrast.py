"""Contrast of a bleed to its surroundings: by hand, in figures, and where it is not known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cranium.evaluation import contrast, results
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.measures import match_lesions
from cranium.evaluation.records import measure_slice, read_slices, slice_table
from cranium.evaluation.summary import contrast_figures
from cranium.windows import BRAIN, encode_hu

from .slices import LITERAL, record

SAMPLE = Path(__file__).parents[2] / 'data/sample/Patients_CT'

ROWS, COLUMNS = np.mgrid[:80, :90]


def disc(row, column, radius):
    return np.hypot(ROWS - row, COLUMNS - column) <= radius


BLEED = disc(40, 40, 6)


def a_slice(*painted, tissue=30):
    """HU: tissue, and what is painted over it one after the other, ``(mask, hu)``."""
    hu = np.full(ROWS.shape, tissue, np.int16)
    for mask, value in painted:
        hu[mask] = value
    return hu


def contrasts(truth, hu):
    return contrast.lesion_contrasts(truth.astype(np.uint8), hu)


def test_a_disc_of_40_in_tissue_of_30():
    assert contrasts(BLEED, a_slice((BLEED, 40))) == [10]
    assert contrasts(BLEED, a_slice((BLEED, 22))) == [-8]  # a chronic one


@pytest.mark.parametrize('other', [91, 2000, -1, -1000])
def test_only_soft_tissue_counts(other):
    beside = (COLUMNS > 40) & ~BLEED
    assert contrasts(BLEED, a_slice((beside, other), (BLEED, 50))) == [20]


@pytest.mark.parametrize('other', [0, 90])
def test_its_limits_are_soft_tissue(other):
    beside = (COLUMNS > 40) & ~BLEED
    assert contrasts(BLEED, a_slice((beside, other), (BLEED, 50))) != [20]


def test_the_ring_is_eight_pixels_wide():
    truth = np.zeros(ROWS.shape, bool)
    truth[30:50, 30:50] = True
    beyond = np.ones_like(truth)
    beyond[22:58, 22:58] = False
    assert contrasts(truth, a_slice((beyond, 80), (truth, 40))) == [10]
    beyond[:, 22] = True
    assert contrasts(truth, a_slice((beyond, 80), (truth, 40)))[0] < 10


def test_other_lesions_and_unknown_pixels_are_no_surroundings():
    other = disc(40, 52, 3)
    assert contrasts(BLEED | other, a_slice((BLEED, 40), (other, 60))) == [10, 30]
    truth = BLEED + 255 * (COLUMNS > 50).astype(np.uint8)
    assert contrast.lesion_contrasts(truth, a_slice((COLUMNS > 50, 80), (BLEED, 40))) == [10]


def test_pixels_that_touch_at_a_corner_are_one_lesion():
    pair = np.eye(80, 90, dtype=bool) & (ROWS > 20) & (ROWS < 23)
    assert contrasts(pair, a_slice((pair, 40))) == [10]


def test_at_the_edge_of_the_image_and_without_surroundings():
    corner = (ROWS < 5) & (COLUMNS < 5)
    assert contrasts(corner, a_slice((corner, 40))) == [10]
    assert np.isnan(contrasts(corner, a_slice((corner, 40), tissue=-1000))).all()


def test_the_sample_has_faint_and_clear_bleeds():
    means = {}
    for patient in ('066', '085'):
        found, pixels = 0.0, 0
        for file in (SAMPLE / patient / 'brain').glob('*_HGE_Seg.jpg'):
            truth = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) > 127
            image = str(file).replace('_HGE_Seg', '')
            hu = BRAIN.to_hu(cv2.imread(image, cv2.IMREAD_GRAYSCALE))
            (sizes, *_) = match_lesions(truth, truth)
            found += np.dot(sizes, contrasts(truth, hu))
            pixels += sizes.sum()
        means[patient] = found / pixels
    assert means == pytest.approx({'066': 30.0, '085': 5.2}, abs=0.1)


class TestFiles:
    HU = a_slice((BLEED, 42), (disc(10, 70, 4), 55))
    TRUTH = (BLEED | disc(10, 70, 4)).astype(np.uint8)

    def save(self, tmp_path, pixels):
        cv2.imwrite(str(tmp_path / 'a.png'), pixels)
        return contrast.true_contrasts(self.TRUTH, tmp_path / 'a.png')

    def test_16_bits_hold_hu(self, tmp_path):
        assert self.save(tmp_path, encode_hu(self.HU)) == '25.00 12.00'  # as lesions are numbered
        row = measure_slice(self.TRUTH, self.TRUTH, patient='049', slice=1)
        assert row['true_lesions'] == f'{disc(10, 70, 4).sum()}:1 {BLEED.sum()}:1'

    def test_8_bits_are_the_brain_window(self, tmp_path):
        assert self.save(tmp_path, BRAIN.to_gray(self.HU)) == '25.00 12.00'

    def test_what_does_not_tell(self, tmp_path):
        assert self.save(tmp_path, np.eye(80, 90)[..., None] * np.uint8([1, 2, 3])) == ''  # colours
        assert self.save(tmp_path, encode_hu(self.HU)[1:]) == ''  # another size
        assert contrast.true_contrasts(self.TRUTH, tmp_path / 'nowhere.png') == ''
        assert contrast.true_contrasts(self.TRUTH, '') == ''
        assert contrast.true_contrasts(0 * self.TRUTH, tmp_path / 'a.png') == ''


ROWS_OF_RUN = [
    # Dice 1/2; the larger lesion of 20 HU stands for the slice, and counts as high.
    record('049', 1, 5, 0, 10, true_lesions='5:1 10:0', true_contrasts='9.99 20.00'),
    record('049', 2, 4, 0, 0, true_lesions='4:1', true_contrasts='10.00'),  # Dice 1
    record('050', 1, 4, 4, 4, true_lesions='8:0', true_contrasts='-3.00'),  # Dice 1/2
    record('050', 2, 0, 0, 3, true_lesions='3:0', true_contrasts='nan'),
    record('051', 1, 0, 0, 7, true_lesions='7:0'),
    record('051', 2, 0, 0, 0),
]


def test_figures_by_contrast():
    figures = contrast_figures(Cohort(slice_table(ROWS_OF_RUN), replicates=20))
    found = {name: (figure.value, figure.cases) for name, figure in figures.items()}
    assert found == {
        'lesion/sensitivity_contrast_low': (0.5, 2),
        'lesion/sensitivity_contrast_medium': (1, 1),
        'lesion/sensitivity_contrast_high': (0, 1),
        'slice/dice_mean_contrast_low': (0.5, 1),
        'slice/dice_mean_contrast_medium': (1, 1),
        'slice/dice_mean_contrast_high': (0.5, 1),
    }
    assert figures['slice/dice_mean_contrast_low'].left_out == {'of unknown contrast': 2}


def test_they_follow_from_slices_csv(tmp_path):
    found = results.evaluate(ROWS_OF_RUN, replicates=20)
    results.write_results(found, tmp_path)
    again = results.evaluate(read_slices(tmp_path / 'slices.csv'), replicates=20)
    assert repr(again.figures) == repr(found.figures)
    assert found.options['contrasts_hu'] == [10, 20]


def test_where_no_contrast_is_known_no_figure_is_given_and_it_is_said():
    found = results.evaluate(LITERAL, replicates=5)
    assert not any('contrast' in name for name in found.figures)
    assert any(text.startswith('No figures by contrast') for text in found.warnings)
    known = results.evaluate(ROWS_OF_RUN, replicates=5)
    assert not any(text.startswith('No figures by contrast') for text in known.warnings)


def test_slices_csv_of_an_earlier_version(tmp_path):
    slice_table(LITERAL).drop(columns='true_contrasts').to_csv(tmp_path / 'a.csv', index=False)
    assert read_slices(tmp_path / 'a.csv').equals(slice_table(LITERAL))
