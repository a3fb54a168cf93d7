import numpy as np
import pytest

from cranium.datasets import DistortWindow

NOTHING = dict(curve_prob=0, blur_prob=0, noise_prob=0)
PLAIN = dict(brightness=0, contrast=0, gamma=0)


def sample():
    image = np.full((32, 32, 4), 100, np.uint8)
    image[:8] = 0
    image[..., -1] = 50
    return dict(img=image)


def tables(number=400, **options):
    """Curves in so many draws, (number, 256), from 0 to 1."""
    np.random.seed(0)
    transform = DistortWindow(**PLAIN | options)
    return np.array([transform._draw_curve() for _ in range(number)]) / 255


def test_nothing_drawn_changes_nothing():
    results = DistortWindow(**NOTHING)(sample())
    assert np.array_equal(results['img'], sample()['img'])


@pytest.mark.parametrize('kind', NOTHING)
def test_bone_window_stays_and_types_too(kind):
    np.random.seed(0)
    results = DistortWindow(**NOTHING | {kind: 1})(sample())
    assert np.array_equal(results['img'][..., -1], sample()['img'][..., -1])
    assert not np.array_equal(results['img'], sample()['img'])
    assert results['img'].dtype == np.uint8


@pytest.mark.parametrize('kind', NOTHING)
def test_probabilities_are_shares_of_changed_slices(kind):
    np.random.seed(0)
    transform = DistortWindow(**NOTHING | {kind: 0.3})
    changed = [not np.array_equal(transform(sample())['img'], sample()['img']) for _ in range(400)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.07)


def test_curve_is_the_same_for_all_brain_windows_and_keeps_air():
    np.random.seed(0)
    results = DistortWindow(**NOTHING | dict(curve_prob=1))(sample())
    assert not results['img'][:8, :, :-1].any()
    (gray,) = np.unique(results['img'][8:, :, :-1])
    assert gray != 100


def test_curve_without_change_is_the_identity():
    assert np.array_equal(255 * tables(1), [np.arange(256)])


def test_brightness_is_the_deviation_of_a_shift():
    shifts = tables(brightness=0.05)[:, [60, 150]] - np.array([60, 150]) / 255
    assert shifts[:, 0] == pytest.approx(shifts[:, 1], abs=0.005)
    assert shifts.mean() == pytest.approx(0, abs=0.008)
    assert shifts.std() == pytest.approx(0.05, rel=0.1)


def test_contrast_is_the_deviation_of_a_logarithm_about_the_pivot():
    curves = tables(contrast=0.1)
    assert (curves[:, 102] == 0.4).all()
    slopes = np.log((curves[:, 142] - curves[:, 62]) / (80 / 255))
    assert slopes.mean() == pytest.approx(0, abs=0.015)
    assert slopes.std() == pytest.approx(0.1, rel=0.1)


def test_gamma_is_the_deviation_of_a_logarithm_of_the_exponent():
    exponents = np.log(tables(gamma=0.1)[:, 100]) / np.log(100 / 255)
    assert np.log(exponents).mean() == pytest.approx(0, abs=0.015)
    assert np.log(exponents).std() == pytest.approx(0.1, rel=0.1)


def blurred(slice_px_per_px, blur_px):
    """The deviation of the Gaussian that a step is blurred with, in pixels of the image."""
    image = np.zeros((64, 64, 2), np.uint8)
    image[:, 32:] = 240
    results = DistortWindow(**NOTHING | dict(blur_prob=1, blur_px=blur_px))(
        dict(img=image, slice_px_per_px=slice_px_per_px)
    )
    profile = np.diff(results['img'][32, :, 0].astype(float)) / 240
    position = np.arange(63) - 31
    return np.sqrt((profile * position**2).sum())


def test_blur_px_is_in_pixels_of_the_slice():
    assert blurred(1, (3, 3)) == pytest.approx(3, rel=0.05)
    assert blurred(2, (6, 6)) == pytest.approx(3, rel=0.05)


def test_blur_px_is_drawn_evenly_from_its_range():
    np.random.seed(0)
    sigmas = np.array([blurred(1, (2, 4)) for _ in range(200)])
    assert 1.9 < sigmas.min() < 2.2 and 3.8 < sigmas.max() < 4.1
    assert sigmas.mean() == pytest.approx(3, abs=0.15)


def test_noise_is_the_largest_deviation_and_differs_between_windows():
    np.random.seed(0)
    transform = DistortWindow(**NOTHING | dict(noise_prob=1, noise=0.1))
    deviations = []
    for _ in range(200):
        image = transform(dict(img=np.full((50, 50, 3), 128, np.uint8)))['img'].astype(float)
        deviations.append(image[..., 0].std() / 255)
        assert image[..., 0].mean() == pytest.approx(128, abs=2)
    assert abs(np.corrcoef(image[..., 0].ravel(), image[..., 1].ravel())[0, 1]) < 0.1
    assert max(deviations) == pytest.approx(0.1, abs=0.008)
    assert np.mean(deviations) == pytest.approx(0.05, abs=0.006)


def test_same_seed_same_gray_values():
    runs = []
    for seed in (5, 5, 6):
        np.random.seed(seed)
        runs.append(DistortWindow(curve_prob=1, noise_prob=1)(sample())['img'])
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
