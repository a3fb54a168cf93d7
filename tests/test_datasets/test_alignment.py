import numpy as np
import pytest

from cranium.datasets import AlignHead
from tests.test_head import head

PX = 2.0
SIZE = (120, 100)


def loaded(angle=0.0, center=(160, 170)):
    """What LoadScan and LoadMask make of a head in a slice of 650x650, shrunk to 325x325."""
    brain = head(angle, center)
    x, y = 2 * center[0] + 0.5, 2 * center[1] + 0.5
    mask = np.zeros((650, 650), np.uint8)
    mask[int(y) - 20 : int(y) + 20, int(x) + 40 : int(x) + 80] = 1
    return dict(
        img=np.stack([brain] * 3 + [brain // 2], axis=-1),
        shrink=2,
        ori_shape=(650, 650),
        img_shape=(325, 325),
        head_center=(x, y),
        head_angle=angle,
        gt_seg_map=mask,
    )


def spot(x, y):
    """A bright spot, so many pixels of the whole slice from the centre of an upright head."""
    rows, columns = np.mgrid[:200, :200]
    distance = np.hypot(2 * columns + 0.5 - 200 - x, 2 * rows + 0.5 - 200 - y)
    image = np.round(250 * np.exp(-((distance / 10) ** 2) / 2)).astype(np.uint8)
    return dict(
        img=np.stack([image] * 4, axis=-1), shrink=2, head_center=(200.0, 200.0), head_angle=0.0
    )


def found(results):
    """Where the spot is, in pixels of the slice from the middle of the aligned image."""
    image = results['img'][..., 1].astype(float)
    height, width = image.shape
    rows, columns = np.mgrid[:height, :width]
    x, y = ((image * axis).sum() / image.sum() for axis in (columns, rows))
    px = results['slice_px_per_px']
    return px * np.array([x - (width - 1) / 2, y - (height - 1) / 2])


def many(x, y, number=400, **options):
    """Where a spot comes to in so many draws, (number, 2)."""
    np.random.seed(0)
    transform = AlignHead(SIZE, PX, **options)
    return np.array([found(transform(spot(x, y))) for _ in range(number)])


AUGMENT = dict(
    flip_prob=0.5,
    rotate_deg=7,
    scale=0.1,
    shear=0.05,
    shift_px=9,
    elastic_px=9,
    elastic_prob=1,
)


def test_plain_alignment_puts_the_centre_in_the_middle():
    results = AlignHead((192, 160), 2.9)(loaded(15, (140, 180)))
    assert results['img'].shape == (192, 160, 4)
    assert results['img_shape'] == (192, 160)
    assert results['img'].dtype == np.uint8
    assert results['slice_px_per_px'] == 2.9
    assert results['head_to_slice_affine'] @ [79.5, 95.5, 1] == pytest.approx([280.5, 360.5, 1])


def test_without_augmentation_a_spot_stays():
    assert many(40, -30, number=2) == pytest.approx(np.array([[40, -30]] * 2), abs=0.05)


def test_mask_is_where_the_head_is():
    results = AlignHead((192, 160), 2.9)(loaded(0))
    rows, columns = np.nonzero(results['gt_seg_map'])
    # 39.5 to 78.5 pixels of the slice right of the centre, 2.9 to a pixel
    assert (columns.min(), columns.max()) == pytest.approx((79.5 + 13.6, 79.5 + 27.1), abs=1)
    assert (rows.min(), rows.max()) == pytest.approx((95.5 - 7.1, 95.5 + 6.4), abs=1)


def test_symmetric_head_equals_its_mirror_image():
    image = AlignHead((192, 160), 2.9)(loaded(20))['img'].astype(int)
    assert np.abs(image - image[:, ::-1]).mean() < 2


def test_flip_exchanges_left_and_right():
    plain = AlignHead((192, 160), 2.9)(loaded())
    flipped = AlignHead((192, 160), 2.9, flip_prob=1)(loaded())
    assert np.array_equal(flipped['gt_seg_map'], plain['gt_seg_map'][:, ::-1])
    assert np.array_equal(flipped['img'], plain['img'][:, ::-1])


def test_flip_prob_is_the_share_of_flipped_slices():
    x, y = many(40, -30, flip_prob=0.3).T
    assert np.abs(x) == pytest.approx(np.full(400, 40), abs=0.1)
    assert y == pytest.approx(np.full(400, -30), abs=0.1)
    assert (x < 0).mean() == pytest.approx(0.3, abs=0.06)


def test_rotate_deg_is_the_deviation_of_the_angle_about_the_centre():
    x, y = many(40, 0, rotate_deg=10).T
    assert np.hypot(x, y) == pytest.approx(np.full(400, 40), abs=0.2)
    angles = np.degrees(np.arctan2(y, x))
    assert angles.mean() == pytest.approx(0, abs=1.5)
    assert angles.std() == pytest.approx(10, rel=0.1)


def test_scale_is_the_deviation_of_the_logarithm_of_both_axes():
    x, y = many(40, -30, scale=0.1).T
    assert x / y == pytest.approx(np.full(400, -4 / 3), rel=0.02)
    assert np.log(x / 40).mean() == pytest.approx(0, abs=0.015)
    assert np.log(x / 40).std() == pytest.approx(0.1, rel=0.1)


def test_shear_moves_rows_by_their_distance_from_the_centre():
    for height in (20, -50):
        x, y = many(0, height, shear=0.1).T
        assert y == pytest.approx(np.full(400, height), abs=0.1)
        assert (x / height).std() == pytest.approx(0.1, rel=0.1)


def test_shift_px_is_the_deviation_along_each_axis_in_pixels_of_the_slice():
    x, y = many(0, 0, shift_px=8).T
    assert (x.mean(), y.mean()) == pytest.approx((0, 0), abs=1.2)
    assert (x.std(), y.std()) == pytest.approx((8, 8), rel=0.1)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.15


def test_elastic_px_moves_far_places_apart_and_near_ones_together():
    def across(x, elastic_px):
        return many(x, -50, number=200, elastic_px=elastic_px, elastic_prob=1)[:, 0] - x

    here, near, far = (across(x, 6) for x in (-40, -28, 50))
    # Between the nodes of its grid the deformation is a mean of theirs, and so smaller.
    assert 3 < here.std() < 6 and 3 < far.std() < 6
    assert across(-40, 3).std() == pytest.approx(here.std() / 2, rel=0.05)
    assert np.corrcoef(here, near)[0, 1] > 0.9
    assert abs(np.corrcoef(here, far)[0, 1]) < 0.3


def test_elastic_prob_is_the_share_of_deformed_slices():
    x, _ = many(40, 0, elastic_px=6, elastic_prob=0.3).T
    assert (np.abs(x - 40) > 0.1).mean() == pytest.approx(0.3, abs=0.06)


def test_the_affine_follows_the_augmentation():
    """The middle of the mask is found through the affine, whatever was drawn."""
    np.random.seed(1)
    for _ in range(5):
        options = AUGMENT | dict(elastic_px=0)
        results = AlignHead((192, 160), 2.9, **options)(loaded(-10))
        rows, columns = np.nonzero(results['gt_seg_map'])
        where = results['head_to_slice_affine'] @ [columns.mean(), rows.mean(), 1]
        assert where[:2] == pytest.approx((2 * 160 + 59.5, 2 * 170 - 0.5), abs=2)


def test_same_seed_same_sample():
    transform = AlignHead((192, 160), 2.9, **AUGMENT)
    runs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        runs.append(transform(loaded()))
    assert np.array_equal(runs[0]['img'], runs[1]['img'])
    assert not np.array_equal(runs[0]['img'], runs[2]['img'])


def test_a_coarse_image_shows_the_same_in_fewer_pixels():
    """Its pixels are the means of those of the full resolution, whatever was drawn."""
    for seed in range(5):
        images = []
        for coarsening in (1, 2):
            np.random.seed(seed)
            transform = AlignHead((192, 160), 2.9, **AUGMENT)
            images.append(transform(loaded() | dict(coarsening=coarsening)))
        whole, coarse = images
        assert coarse['img'].shape == (96, 80, 4) and coarse['img_shape'] == (96, 80)
        assert coarse['slice_px_per_px'] == 2 * whole['slice_px_per_px'] == 5.8
        means = whole['img'].reshape(96, 2, 80, 2, 4).mean((1, 3))
        assert np.abs(means - coarse['img']).mean() < 4
        assert coarse['head_to_slice_affine'] @ [39.5, 47.5, 1] == pytest.approx(
            whole['head_to_slice_affine'] @ [79.5, 95.5, 1], abs=0.1
        )


def counted(coverage):
    """How many pixels count of a bleed that covers half of each: two of its four rows."""
    results = loaded()
    results['gt_seg_map'][:] = 0
    rows = 2 * 170 + 0.5 + np.arange(-1, 1)  # about the centre
    results['gt_seg_map'][rows.astype(int), 300:340] = 1
    return int(AlignHead((65, 65), 4, coverage=coverage)(results)['gt_seg_map'].sum())


def test_a_thin_bleed_counts_where_it_covers_enough_of_a_pixel():
    assert counted((0.4, 0.4)) == pytest.approx(10, abs=1)
    assert counted((0.6, 0.6)) == 0


def test_coverage_is_drawn_evenly_from_its_range():
    """It is below a half in three eighths of 0.2 to 1."""
    np.random.seed(0)
    counts = np.array([counted((0.2, 1.0)) for _ in range(200)])
    assert (counts > 0).mean() == pytest.approx(3 / 8, abs=0.08)


def test_ignored_pixels_stay_ignored():
    results = loaded()
    results['gt_seg_map'][:] = 255
    assert np.unique(AlignHead((64, 64), 2.9)(results)['gt_seg_map']).tolist() == [255]
