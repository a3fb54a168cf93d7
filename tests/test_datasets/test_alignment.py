import numpy as np
import pytest

from cranium.datasets import AlignHead
from tests.test_head import hu_head

MM = 2.0
SIZE = (120, 100)


def loaded(angle=0.0, center=(160, 170)):
    """What LoadScan and LoadMask make of a head in a slice of 650x650, shrunk to 325x325."""
    hu = hu_head(angle, center)
    x, y = 2 * center[0] + 0.5, 2 * center[1] + 0.5
    mask = np.zeros((650, 650), np.uint8)
    mask[int(y) - 20 : int(y) + 20, int(x) + 40 : int(x) + 80] = 1
    return dict(
        img=np.stack([hu] * 4, axis=-1),
        pixel_mm=0.5,
        img_pixel_mm=1.0,
        shrink=2,
        ori_shape=(650, 650),
        img_shape=(325, 325),
        head_center=(x, y),
        head_angle=angle,
        gt_seg_map=mask,
    )


def spot(x, y):
    """A bright spot, so many mm from the centre of an upright head."""
    rows, columns = np.mgrid[:200, :200]
    distance = np.hypot(0.8 * (2 * columns + 0.5 - 200) - x, 0.8 * (2 * rows + 0.5 - 200) - y)
    image = np.round(2500 * np.exp(-((distance / 10) ** 2) / 2) - 1000).astype(np.int16)
    return dict(
        img=np.stack([image] * 4, axis=-1),
        pixel_mm=0.8,
        shrink=2,
        head_center=(200.0, 200.0),
        head_angle=0.0,
    )


def found(results):
    """Where the spot is, in mm from the middle of the aligned image."""
    image = results['img'][..., 1].astype(float) + 1000
    height, width = image.shape
    rows, columns = np.mgrid[:height, :width]
    x, y = ((image * axis).sum() / image.sum() for axis in (columns, rows))
    return results['img_pixel_mm'] * np.array([x - (width - 1) / 2, y - (height - 1) / 2])


def many(x, y, number=400, **options):
    """Where a spot comes to in so many draws, (number, 2)."""
    np.random.seed(0)
    transform = AlignHead(SIZE, MM, **options)
    return np.array([found(transform(spot(x, y))) for _ in range(number)])


AUGMENT = dict(
    flip_prob=0.5,
    rotate_deg=7,
    scale=0.1,
    shear=0.05,
    shift_mm=9,
    elastic_mm=9,
    elastic_prob=1,
)


def test_plain_alignment_puts_the_centre_in_the_middle():
    results = AlignHead((192, 160), 1.45)(loaded(15, (140, 180)))
    assert results['img'].shape == (192, 160, 4)
    assert results['img_shape'] == (192, 160)
    assert results['img'].dtype == np.int16
    assert results['img_pixel_mm'] == 1.45
    assert results['head_to_slice_affine'] @ [79.5, 95.5, 1] == pytest.approx([280.5, 360.5, 1])


def test_without_augmentation_a_spot_stays():
    assert many(40, -30, number=2) == pytest.approx(np.array([[40, -30]] * 2), abs=0.05)


def seen_in(pixel_mm, **options):
    """A head in head space, from a slice with pixels of that side."""
    height, width = (round(length / pixel_mm) for length in (190, 200))
    rows, columns = np.mgrid[:height, :width] * pixel_mm
    from_center = np.hypot((columns - 100) / 60, (rows - 95) / 80)
    hu = np.where(from_center < 1, 40, -1000) + 1500 * ((from_center > 0.9) & (from_center < 1))
    mask = np.hypot(columns - 130, rows - 95) < 10
    results = dict(
        img=np.stack([hu.astype(np.int16)] * 4, axis=-1),
        gt_seg_map=mask.astype(np.uint8),
        pixel_mm=pixel_mm,
        shrink=1,
        head_center=(100 / pixel_mm, 95 / pixel_mm),
        head_angle=0.0,
    )
    np.random.seed(0)
    return AlignHead(SIZE, 2, **options)(results)


@pytest.mark.parametrize('augmented', [False, True])
def test_scans_of_other_pixels_show_the_same_head(augmented):
    options = AUGMENT if augmented else {}
    fine, coarse = seen_in(0.4, **options), seen_in(0.6, **options)
    assert np.abs(fine['img'].astype(int) - coarse['img']).mean() < 12
    assert (fine['gt_seg_map'] != coarse['gt_seg_map']).sum() < 8
    assert fine['gt_seg_map'].sum() == pytest.approx(np.pi * 5**2, rel=0.3)
    fine_mm, coarse_mm = (
        pixel_mm * (results['head_to_slice_affine'] @ [70, 60, 1])[:2]
        for results, pixel_mm in ((fine, 0.4), (coarse, 0.6))
    )
    assert fine_mm == pytest.approx(coarse_mm)


@pytest.mark.parametrize('elastic_prob', [0, 1])
def test_beyond_the_slice_is_air(elastic_prob):
    options = dict(elastic_mm=1e-6, elastic_prob=elastic_prob)
    results = AlignHead((192, 160), 2, **options)(
        loaded() | dict(img=np.zeros((325, 325, 4), np.int16))
    )
    assert (results['img'][:9] == -1000).all() and (results['img'][-1, -1] == -1000).all()
    assert (results['img'][96, 80] == 0).all()


def test_mask_is_where_the_head_is():
    results = AlignHead((192, 160), 1.45)(loaded(0))
    rows, columns = np.nonzero(results['gt_seg_map'])
    # 39.5 to 78.5 pixels of the slice right of the centre, 2.9 for each of the image's
    assert (columns.min(), columns.max()) == pytest.approx((79.5 + 13.6, 79.5 + 27.1), abs=1)
    assert (rows.min(), rows.max()) == pytest.approx((95.5 - 7.1, 95.5 + 6.4), abs=1)


def test_symmetric_head_equals_its_mirror_image():
    image = np.clip(AlignHead((192, 160), 1.45)(loaded(20))['img'], -20, 100).astype(int)
    assert np.abs(image - image[:, ::-1]).mean() < 1


def test_flip_exchanges_left_and_right():
    plain = AlignHead((192, 160), 1.45)(loaded())
    flipped = AlignHead((192, 160), 1.45, flip_prob=1)(loaded())
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


def test_shift_mm_is_the_deviation_along_each_axis():
    x, y = many(0, 0, shift_mm=8).T
    assert (x.mean(), y.mean()) == pytest.approx((0, 0), abs=1.2)
    assert (x.std(), y.std()) == pytest.approx((8, 8), rel=0.1)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.15


def test_elastic_mm_moves_far_places_apart_and_near_ones_together():
    def across(x, elastic_mm):
        return many(x, -50, number=200, elastic_mm=elastic_mm, elastic_prob=1)[:, 0] - x

    here, near, away, far = (across(x, 6) for x in (-40, -36, -15, 50))
    # Between the nodes of its grid the deformation is a mean of theirs, and so smaller; and the
    # spot, which is as large as a third of the grid, shows a mean of what is around.
    assert 3 < here.std() < 6 and 3 < far.std() < 6
    assert across(-40, 3).std() == pytest.approx(here.std() / 2, rel=0.05)
    assert np.corrcoef(here, near)[0, 1] > 0.9
    assert 0.45 < np.corrcoef(here, away)[0, 1] < 0.75
    assert abs(np.corrcoef(here, far)[0, 1]) < 0.3


def test_elastic_prob_is_the_share_of_deformed_slices():
    x, _ = many(40, 0, elastic_mm=6, elastic_prob=0.3).T
    assert (np.abs(x - 40) > 0.1).mean() == pytest.approx(0.3, abs=0.06)


def test_the_affine_follows_the_augmentation():
    """The middle of the mask is found through the affine, whatever was drawn."""
    np.random.seed(1)
    for _ in range(5):
        options = AUGMENT | dict(elastic_mm=0)
        results = AlignHead((192, 160), 1.45, **options)(loaded(-10))
        rows, columns = np.nonzero(results['gt_seg_map'])
        where = results['head_to_slice_affine'] @ [columns.mean(), rows.mean(), 1]
        assert where[:2] == pytest.approx((2 * 160 + 59.5, 2 * 170 - 0.5), abs=2)


def test_same_seed_same_sample():
    transform = AlignHead((192, 160), 1.45, **AUGMENT)
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
            transform = AlignHead((192, 160), 1.45, **AUGMENT)
            images.append(transform(loaded() | dict(coarsening=coarsening)))
        whole, coarse = images
        assert coarse['img'].shape == (96, 80, 4) and coarse['img_shape'] == (96, 80)
        assert coarse['img_pixel_mm'] == 2 * whole['img_pixel_mm'] == 2.9
        means = whole['img'].reshape(96, 2, 80, 2, 4).mean((1, 3))
        assert np.abs(means - coarse['img']).mean() < 20  # of 1100 HU
        assert coarse['head_to_slice_affine'] @ [39.5, 47.5, 1] == pytest.approx(
            whole['head_to_slice_affine'] @ [79.5, 95.5, 1], abs=0.1
        )


def counted(coverage):
    """How many pixels count of a bleed that covers half of each: two of its four rows."""
    results = loaded()
    results['gt_seg_map'][:] = 0
    rows = 2 * 170 + 0.5 + np.arange(-1, 1)  # about the centre
    results['gt_seg_map'][rows.astype(int), 300:340] = 1
    return int(AlignHead((65, 65), 2, coverage=coverage)(results)['gt_seg_map'].sum())


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
    assert np.unique(AlignHead((64, 64), 1.45)(results)['gt_seg_map']).tolist() == [255]
