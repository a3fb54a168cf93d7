import numpy as np
import pytest

from cranium.datasets import DistortHU, WindowCT
from cranium.errors import CraniumError

NOTHING = dict(curve_prob=0, thick_prob=0, blur_prob=0, noise_prob=0, no_bone_prob=0)
PLANES = {'curve_prob': [0, 1, 2], 'thick_prob': [1], 'blur_prob': [0, 1, 2]} | {
    'noise_prob': [0, 1, 2],
    'no_bone_prob': [3],
}


def sample():
    """Three slices with an edge, each of other HU, and bone."""
    image = np.zeros((32, 32, 4), np.int16)
    image[:8] = -100
    image[8:] = (30, 40, 60, 800)
    return dict(img=image, img_pixel_mm=1.0)


def distort(image, img_pixel_mm=1.0, **options):
    results = dict(img=image, img_pixel_mm=img_pixel_mm)
    return DistortHU(**NOTHING | options)(results)['img']


def curves(number=400, **options):
    """What 30, 40 and 130 HU become in so many draws, (number, 3)."""
    np.random.seed(0)
    options = dict(curve_prob=1, offset_hu=0, slope=0) | options
    image = np.array([[[30, 0], [40, 0], [130, 0]]], np.int16)
    return np.array([distort(image, **options)[0, :, 0] for _ in range(number)])


def test_nothing_drawn_changes_nothing():
    image = distort(sample()['img'])
    assert np.array_equal(image, sample()['img'])
    assert image.dtype == np.float32


@pytest.mark.parametrize('kind, planes', PLANES.items())
def test_what_is_changed(kind, planes):
    """All slices by most, the middle one by its neighbours, the whole range by a lack of bone."""
    np.random.seed(0)
    image = distort(sample()['img'], **{kind: 1})
    assert image.dtype == np.float32
    changed = [plane for plane in range(4) if (image != sample()['img'])[..., plane].any()]
    assert changed == planes


@pytest.mark.parametrize('kind', PLANES)
def test_probabilities_are_shares_of_changed_slices(kind):
    np.random.seed(0)
    transform = DistortHU(**NOTHING | {kind: 0.3})
    changed = [not np.array_equal(transform(sample())['img'], sample()['img']) for _ in range(400)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.07)


def test_offset_hu_is_the_deviation_of_a_shift():
    shifts = curves(offset_hu=5) - (30, 40, 130)
    assert shifts[:, 0] == pytest.approx(shifts[:, 2], abs=1e-4)
    assert shifts[:, 0].mean() == pytest.approx(0, abs=0.8)
    assert shifts[:, 0].std() == pytest.approx(5, rel=0.1)


def test_slope_is_the_deviation_of_a_logarithm_about_30_hu():
    changed = curves(slope=0.1)
    assert changed[:, 0] == pytest.approx(np.full(400, 30), abs=1e-4)
    assert (changed[:, 2] - 30) / (changed[:, 1] - 30) == pytest.approx(np.full(400, 10), rel=1e-3)
    slopes = np.log((changed[:, 2] - 30) / 100)
    assert slopes.mean() == pytest.approx(0, abs=0.015)
    assert slopes.std() == pytest.approx(0.1, rel=0.1)


def test_the_curve_is_the_same_for_all_slices():
    np.random.seed(0)
    image = distort(np.full((4, 4, 4), 70, np.int16), curve_prob=1)
    assert np.unique(image[..., :3]).size == 1


def test_thicker_slices_are_mixed_with_both_neighbours_up_to_a_quarter_each():
    np.random.seed(0)
    image = np.array([[[0, 40, 100, 0]]], np.int16)
    drawn = np.array([distort(image, thick_prob=1)[0, 0] for _ in range(200)])
    assert (drawn[:, [0, 2]] == (0, 100)).all()
    # 40 with a weight of 0 up to 0.5, 50 with the rest
    assert 40 <= drawn[:, 1].min() < 40.1 and 44.9 < drawn[:, 1].max() <= 45
    assert drawn[:, 1].mean() == pytest.approx(42.5, abs=0.3)


def test_a_slice_without_neighbours_gets_no_thicker():
    assert distort(np.array([[[40, 7]]], np.int16), thick_prob=1).tolist() == [[[40, 7]]]


def blurred(img_pixel_mm, blur_mm):
    """The deviation of the Gaussian that a step is blurred with, in pixels of the image."""
    image = np.zeros((64, 64, 2), np.int16)
    image[:, 32:] = 200
    image = distort(image, img_pixel_mm, blur_prob=1, blur_mm=blur_mm)
    profile = np.diff(image[32, :, 0]) / 200
    position = np.arange(63) - 31
    return np.sqrt((profile * position**2).sum())


def test_blur_mm_is_in_mm():
    assert blurred(1, (3, 3)) == pytest.approx(3, rel=0.05)
    assert blurred(0.5, (1.5, 1.5)) == pytest.approx(3, rel=0.05)


def test_blur_mm_is_drawn_evenly_from_its_range():
    np.random.seed(0)
    sigmas = np.array([blurred(1, (2, 4)) for _ in range(200)])
    assert 1.9 < sigmas.min() < 2.2 and 3.8 < sigmas.max() < 4.1
    assert sigmas.mean() == pytest.approx(3, abs=0.15)


def test_slices_are_not_blurred_into_each_other():
    image = np.zeros((16, 16, 4), np.int16)
    image[..., 1] = 100
    image = distort(image, blur_prob=1, blur_mm=(3, 3))
    assert np.unique(image, axis=1).reshape(16, 4) == pytest.approx(
        np.tile([0, 100, 0, 0], (16, 1))
    )


def test_noise_hu_is_the_largest_deviation_and_differs_between_slices():
    np.random.seed(0)
    deviations = []
    for _ in range(200):
        image = distort(np.full((50, 50, 3), 40, np.int16), noise_prob=1, noise_hu=10)
        deviations.append(image[..., 0].std())
        assert image[..., 0].mean() == pytest.approx(40, abs=1)
    assert abs(np.corrcoef(image[..., 0].ravel(), image[..., 1].ravel())[0, 1]) < 0.1
    assert max(deviations) == pytest.approx(10, abs=0.8)
    assert np.mean(deviations) == pytest.approx(5, abs=0.6)


def test_noise_is_another_in_each_draw():
    np.random.seed(0)
    image = np.zeros((50, 50, 2), np.int16)
    one, other = (distort(image, noise_prob=1)[..., 0].ravel() for _ in range(2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_without_a_bone_window_the_range_is_that_of_the_brain_window():
    image = np.array([[[50, -1000], [50, -20], [50, 33], [50, 100], [50, 2000]]], np.int16)
    clipped = distort(image, no_bone_prob=1)
    assert clipped[0, :, 1].tolist() == [-20, -20, 33, 100, 100]
    assert (clipped[..., 0] == 50).all()


def test_a_lone_slice_takes_the_place_of_its_neighbours():
    image = sample()['img']
    alone = distort(image, lone_prob=1)
    assert alone[9, 0].tolist() == [40, 40, 40, 800]
    assert distort(image)[9, 0].tolist() == [30, 40, 60, 800]
    noisy = distort(image, lone_prob=1, noise_prob=1)
    assert (noisy[..., 0] == noisy[..., 1]).all() and (noisy[..., 2] == noisy[..., 1]).all()
    assert not (noisy[..., 1] == alone[..., 1]).all()


def test_same_seed_same_hu():
    runs = []
    for seed in (5, 5, 6):
        np.random.seed(seed)
        runs.append(distort(sample()['img'], curve_prob=1, noise_prob=1))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


# The stack of three slices, and the whole range.
PIXEL = np.array([[[-20, 40, 70, 1500]]])


@pytest.mark.parametrize('kind', [np.int16, np.float32])
@pytest.mark.parametrize(
    'view, gray',
    [
        (dict(level=40, width=120), [0, 127.5, 191.25]),
        (dict(level=40, width=120, planes='stack'), [0, 127.5, 191.25]),
        (dict(level=50, width=100, planes='middle'), [102]),
        (dict(level=700, width=3200, planes='range'), [191.25]),
        (dict(level=0, width=20), [0, 255, 255]),
    ],
)
def test_views(view, gray, kind):
    image = WindowCT([view])(dict(img=PIXEL.astype(kind)))['img']
    assert image.dtype == np.float32
    assert np.atleast_3d(image)[0, 0] == pytest.approx(gray)


def test_channels_are_in_the_order_of_the_views():
    views = [dict(level=700, width=3200, planes='range'), dict(level=40, width=120)]
    image = WindowCT(views)(dict(img=PIXEL.astype(np.int16)))['img']
    assert image[0, 0].tolist() == [191.25, 0, 127.5, 191.25]


@pytest.mark.parametrize(
    'view',
    [
        dict(level=40),
        dict(level=40, width=0),
        dict(level=40, width=120, planes='bone'),
        dict(level=40, width=120, plane='range'),
    ],
)
def test_views_that_say_something_else(view):
    with pytest.raises(CraniumError, match=r"cannot show \{.*\}; expected dict\(level=HU.*'range'"):
        WindowCT([view])
