"""What degradations make of slices, in cases worked out by hand."""

import numpy as np
import pytest

from benchmarks import degradations
from benchmarks.degradations import TRIALS, Slices, Trial
from cranium.windows import BRAIN, Window


def slices_of(hu, masks=None):
    hu = np.array(hu, np.int16)
    masks = np.zeros(hu.shape, np.uint8) if masks is None else np.array(masks, np.uint8)
    return Slices(hu, masks, 0.36)


def head(shape=(100, 100)):
    """A square head of brain, columns 20 to 79, with a bleed in its left and one in its middle."""
    hu, mask = np.full(shape, -1000, np.int16), np.zeros(shape, np.uint8)
    hu[20:80, 20:80] = 30
    for left in (21, 48):
        hu[40:44, left : left + 4], mask[40:44, left : left + 4] = 60, 1
    return Slices(hu[None], mask[None], 0.36)


def test_a_window_taken_for_another():
    # Of 5 to 75 HU, 40 HU are half-way; so are they of -20 to 100.
    slices = slices_of([[[-50, 5, 40, 75, 1000]]])
    found = degradations.show(slices, Window(40, 70), BRAIN)
    assert found.hu.tolist() == [[[-20, -20, 40, 100, 100]]]
    assert found.hu.dtype == np.int16
    assert found.window == BRAIN and found.pixel_mm == 0.36


def test_a_window_told():
    found = degradations.show(slices_of([[[-50, 19, 54, 1000]]]), Window(40, 70), Window(40, 70))
    # White is bone, as in the brain window, and no blood of 75 HU.
    assert found.hu.tolist() == [[[-20, 19, 54, 100]]]
    assert found.window == Window(40, 70)


def test_a_window_estimated():
    air = np.full((1, 64, 64), -1000)
    assert degradations.show(slices_of(air), Window(40, 70), None).window == BRAIN
    hu = np.full((1, 120, 120), -1000)
    hu[:, 10:110, 10:110] = 30
    hu[:, 60:110, 10:110] = 40
    found = degradations.show(slices_of(hu), Window(30, 110), None)
    assert found.window.level == pytest.approx(30, abs=1)
    assert found.hu[0, 30, 60] == pytest.approx(30, abs=1)


def test_jpeg():
    hu = np.full((2, 16, 16), -1000)
    hu[1] = 40
    found = degradations.compress(slices_of(hu), 90)
    assert found.hu[0].tolist() == [[-20] * 16] * 16
    assert np.abs(found.hu[1] - 40).max() <= 1
    assert found.hu.dtype == np.int16 and found.window == BRAIN
    noise = np.random.default_rng(0).integers(0, 80, (1, 64, 64))
    errors = [
        np.abs(degradations.compress(slices_of(noise), quality).hu - noise).mean()
        for quality in (95, 30)
    ]
    assert errors[0] < 2 < errors[1]


def test_resized():
    slices = slices_of([[[10, 20, 30, 40]] * 2], [[[1, 1, 1, 0], [1, 1, 0, 0]]])
    found = degradations.resize(slices, 2)
    assert found.hu.tolist() == [[[15, 35]]]
    assert found.masks.tolist() == [[[1, 0]]]  # the second is covered by a quarter
    assert found.pixel_mm is None
    larger = degradations.resize(slices, 8)
    assert larger.hu.shape == larger.masks.shape == (1, 4, 8)
    assert larger.hu[0, 0, [0, -1]].tolist() == [10, 40]


@pytest.mark.parametrize('knows, pixel_mm', [(True, 0.36), (False, None)])
def test_cut_through_the_head(knows, pixel_mm):
    found = degradations.crop(head(), 0.1, knows)
    # A tenth of 60 columns, from column 20 on: the first bleed, to column 24, is lost.
    assert found.hu.shape == found.masks.shape == (1, 100, 74)
    assert (found.hu[0, 50] == [*[30] * 54, *[-1000] * 20]).all()
    assert found.masks.sum() == 16
    assert found.pixel_mm == pixel_mm


def test_nothing_to_cut():
    air = slices_of(np.full((1, 64, 64), -1000))
    assert degradations.crop(air, 0.2) is air


def test_turned_clockwise():
    hu, mask = np.full((1, 5, 5), -1000), np.zeros((1, 5, 5))
    hu[0, 0, 1], mask[0, 0, 1] = 60, 1  # near the top, to the left of the middle
    found = degradations.rotate(slices_of(hu, mask), 90)
    assert np.argwhere(found.hu[0] == 60).tolist() == [[1, 4]]
    assert np.argwhere(found.masks[0]).tolist() == [[1, 4]]


def test_what_comes_into_view_is_air():
    found = degradations.rotate(slices_of(np.full((1, 9, 9), 30)), 45)
    assert found.hu[0, 0, 0] == -1000 and found.hu[0, 4, 4] == 30


def test_noise_of_that_strength():
    slices = slices_of(np.full((2, 64, 64), 30))
    found = degradations.add_noise(slices, 10)
    for hu in found.hu:
        assert hu.std() == pytest.approx(10, abs=0.1)
        assert hu.mean() == pytest.approx(30, abs=2)
    assert (found.hu[0] != found.hu[1]).any()
    assert (degradations.add_noise(slices, 10).hu == found.hu).all()
    assert (slices.hu == 30).all()
    neighbors = np.corrcoef(found.hu[0, :, 1:].ravel(), found.hu[0, :, :-1].ravel())[0, 1]
    assert 0.6 < neighbors < 0.9  # exp(-1/4) for a Gaussian of one pixel


def test_thicker():
    found = degradations.thicken(slices_of([[[0]], [[40]], [[100]]]), 0.25)
    assert found.hu.ravel().tolist() == [10, 45, 85]
    assert degradations.thicken(slices_of([[[7]]]), 0.25).hu.tolist() == [[[7]]]


def test_steps_in_their_order():
    trial = Trial('', steps=(lambda x: x + 1, lambda x: 2 * x))
    assert trial.apply(3) == 8


def test_trials_have_names_of_their_own():
    assert len({(each.name, each.strength) for each in TRIALS}) == len(TRIALS)
    assert TRIALS[0].steps == () and not TRIALS[0].lone


@pytest.mark.parametrize('trial', TRIALS, ids=lambda each: f'{each.name} {each.strength}')
def test_trials_keep_what_a_scan_is(trial):
    clean = head()
    hu = clean.hu.copy()
    found = trial.apply(clean)
    assert found.hu.dtype == np.int16 and found.masks.dtype == np.uint8
    assert found.hu.shape == found.masks.shape and set(np.unique(found.masks)) <= {0, 1}
    assert found.masks.any()
    assert (clean.hu == hu).all()
