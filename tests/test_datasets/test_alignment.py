import numpy as np
import pytest

from cranium.datasets import AlignHead
from tests.test_head import head


def loaded(angle=0.0, center=(160, 170), neighbors=1):
    """What LoadScan makes of a head whose slice is twice as large."""
    brain = head(angle, center)
    image = np.stack([brain] * (2 * neighbors + 1) + [brain // 2], axis=-1)
    mask = np.zeros((650, 650), np.uint8)
    mask[2 * center[1] - 20 : 2 * center[1] + 20, 2 * center[0] + 40 : 2 * center[0] + 80] = 1
    return dict(
        img=image,
        shrink=2,
        ori_shape=(650, 650),
        img_shape=(325, 325),
        head_center=center,
        head_angle=angle,
        gt_seg_map=mask,
    )


AUGMENT = dict(flip_prob=0.5, rotate=7, scale=0.1, shear=0.05, shift=9, elastic=9, elastic_prob=1)


def test_plain_alignment_puts_the_centre_in_the_middle():
    results = AlignHead((192, 160), 2.9)(loaded(15, (140, 180)))
    assert results['img'].shape == (192, 160, 4)
    assert results['img_shape'] == (192, 160)
    assert results['img'].dtype == np.uint8
    # Of the pixel in the very middle to the whole slice, whose pixels are half as large.
    assert results['frame'] @ [79.5, 95.5, 1] == pytest.approx([280.5, 360.5, 1])


def test_mask_is_where_the_frame_says():
    results = AlignHead((192, 160), 2.9)(loaded(0))
    rows, columns = np.nonzero(results['gt_seg_map'])
    # 39.5 to 78.5 pixels right of the centre in the slice, at 2.9 of those to one of the frame
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


def test_frame_follows_the_augmentation():
    """A point of the mask's middle is found through the frame, whatever was drawn."""
    np.random.seed(1)
    for _ in range(5):
        options = AUGMENT | dict(elastic=0)
        results = AlignHead((192, 160), 2.9, **options)(loaded(-10))
        rows, columns = np.nonzero(results['gt_seg_map'])
        where = results['frame'] @ [columns.mean(), rows.mean(), 1]
        assert where[:2] == pytest.approx((2 * 160 + 59.5, 2 * 170 - 0.5), abs=2)


def test_same_seed_same_sample():
    transform = AlignHead((192, 160), 2.9, **AUGMENT)
    runs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        runs.append(transform(loaded()))
    assert np.array_equal(runs[0]['img'], runs[1]['img'])
    assert not np.array_equal(runs[0]['img'], runs[2]['img'])


def test_a_coarse_frame_shows_the_same_in_fewer_pixels():
    """Its pixels are the means of those of the whole frame, whatever was drawn."""
    for seed in range(5):
        frames = []
        for coarse in (1, 2):
            np.random.seed(seed)
            transform = AlignHead((192, 160), 2.9, **AUGMENT)
            frames.append(transform(loaded() | dict(coarse=coarse)))
        whole, coarse = frames
        assert coarse['img'].shape == (96, 80, 4) and coarse['img_shape'] == (96, 80)
        assert coarse['spacing'] == 2 * whole['spacing'] == 5.8
        means = whole['img'].reshape(96, 2, 80, 2, 4).mean((1, 3))
        assert np.abs(means - coarse['img']).mean() < 4
        assert coarse['frame'] @ [39.5, 47.5, 1] == pytest.approx(
            whole['frame'] @ [79.5, 95.5, 1], abs=0.1
        )


def test_a_thin_bleed_counts_where_it_covers_enough_of_a_pixel():
    """Two of the four rows of a pixel: a half, which is more than 0.4 and less than 0.6."""
    counts = []
    for coverage in (0.4, 0.6):
        results = loaded()
        results['gt_seg_map'][:] = 0
        rows = 2 * 170 + 0.5 + np.arange(-1, 1)  # about the centre
        results['gt_seg_map'][rows.astype(int), 300:340] = 1
        out = AlignHead((65, 65), 4, coverage=(coverage, coverage))(results)
        counts.append(int(out['gt_seg_map'].sum()))
    assert counts[0] == pytest.approx(10, abs=1) and counts[1] == 0


def test_ignored_pixels_stay_ignored():
    results = loaded()
    results['gt_seg_map'][:] = 255
    assert np.unique(AlignHead((64, 64), 2.9)(results)['gt_seg_map']).tolist() == [255]
