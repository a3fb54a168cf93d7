import math

import cv2
import numpy as np
import pytest

from cranium.datasets import CraniumDataset, LoadMask, LoadScan, PasteHemorrhage
from cranium.datasets.sample import SliceFiles
from tests.conftest import write_both_windows

from .test_alignment import loaded


@pytest.fixture
def lower_half(tmp_path):
    """The mask of the donor's lower neighbour: half of the donor's."""
    mask = loaded(10, (150, 160))['gt_seg_map']
    mask[320:] = 0
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    return str(tmp_path / 'mask.png')


@pytest.fixture
def host(lower_half):
    """Make a slice to paste on; the donor is the upper one of two, with a bright hemorrhage."""

    def draw_donor():
        donor = loaded(10, (150, 160))
        donor['img'][..., :-1][donor['gt_seg_map'][::2, ::2] == 1] = 200
        scan = {1: SliceFiles('a', lower_half), 2: SliceFiles('b', 'not read')}
        return donor | dict(scan=scan, slice=2, img_path='b')

    def make(own=False):
        results = loaded(-20, (170, 165))
        if not own:
            results['gt_seg_map'][:] = 0
        return results | dict(draw_donor=draw_donor)

    return make


def still(**options):
    return PasteHemorrhage(**dict(strength=(1, 1), shift_px=0, rotate_deg=0) | options)


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def test_bleed_comes_to_the_same_place_in_the_other_head(host):
    results = still()(host())
    rows, columns = np.nonzero(results['gt_seg_map'])
    assert rows.size == pytest.approx(1600, rel=0.1)  # 40x40 pixels
    # In the donor it is 60 pixels right of the centre of a head that is turned by 10 degrees.
    x, y = columns.mean() - 340.5, rows.mean() - 330.5
    cos, sin = np.cos(np.radians(-20)), np.sin(np.radians(-20))
    assert abs(x * cos + y * sin) == pytest.approx(60 * np.cos(np.radians(10)), abs=2)
    assert -x * sin + y * cos == pytest.approx(-60 * np.sin(np.radians(10)), abs=2)


def test_gray_values_are_the_donors_inside_and_the_hosts_elsewhere(host):
    before, results = host()['img'], still()(host())
    changed = (results['img'][..., 1] != before[..., 1]).mean()
    assert 0 < changed < 0.02
    inside = results['gt_seg_map'][::2, ::2] == 1
    assert np.median(results['img'][..., 1][inside]) == pytest.approx(200, abs=3)


def test_bone_window_stays(host):
    assert np.array_equal(still()(host())['img'][..., -1], host()['img'][..., -1])


def test_own_hemorrhage_is_kept_and_pasted_on_half_as_often(host):
    sizes = [int(still()(host(own=True))['gt_seg_map'].sum()) for _ in range(40)]
    assert min(sizes) == 1600
    assert 8 < sum(size > 1600 for size in sizes) < 32


def test_bone_and_fluid_take_no_bleed(host):
    whole = still()(host())['gt_seg_map']
    x = int(np.nonzero(whole)[1].mean())
    for gray in (10, 255):
        np.random.seed(0)
        results = host()
        results['img'][:, : x // 2, :-1] = gray
        before = results['img'].copy()
        results = still()(results)
        assert np.array_equal(results['img'][:, : x // 2], before[:, : x // 2])
        assert 0 < results['gt_seg_map'].sum() < whole.sum()
        assert not results['gt_seg_map'][:, : x // 2 * 2].any()


def test_neighbours_get_what_the_donors_neighbours_show(host):
    results, before = still()(host()), host()['img']
    changed = [(results['img'][..., i] != before[..., i]).sum() for i in range(4)]
    # Below, the donor bleeds in a part; above, the scan ends, and the slice itself is repeated.
    assert 0.5 < changed[0] / changed[1] < 0.75  # half of it, and what fades
    assert changed[2] == changed[1]
    assert changed[3] == 0


SIZE, CENTER = 120, 60  # of a shrunk slice
HALF = 10  # of the square bleed's sides


def flat(gray, x=0, y=0, bleed=False, shrink=1):
    """A slice of one gray value, with a square bleed so far from the centre of an upright head."""
    mask = np.zeros((shrink * SIZE, shrink * SIZE), np.uint8)
    if bleed:
        middle = np.array([y, x]) + shrink * CENTER
        top, left = middle - shrink * HALF
        mask[top : top + 2 * shrink * HALF, left : left + 2 * shrink * HALF] = 1
    return dict(
        img=np.full((SIZE, SIZE, 2), gray, np.uint8),
        gt_seg_map=mask,
        shrink=shrink,
        head_center=(shrink * CENTER - 0.5, shrink * CENTER - 0.5),
        head_angle=0.0,
        scan={1: SliceFiles('a', 'a')},
        slice=1,
        img_path='a',
    )


def paste(x=0, y=0, shrink=1, **options):
    """Paste on a slice of gray 100 from one of 200."""
    donor = flat(200, x, y, bleed=True, shrink=shrink)
    host = flat(100, shrink=shrink) | dict(draw_donor=lambda: donor)
    return still(**options)(host)


def middles(number=300, **options):
    """Where the middle of the bleed comes to in so many draws, from the head's centre."""
    found = []
    for _ in range(number):
        rows, columns = np.nonzero(mask := paste(**options)['gt_seg_map'])
        center = (len(mask) - 1) / 2
        found.append((columns.mean() - center, rows.mean() - center))
    return np.transpose(found)


def test_prob_is_the_share_of_slices_that_are_pasted_on():
    pasted = [paste(prob=0.3)['gt_seg_map'].any() for _ in range(400)]
    assert np.mean(pasted) == pytest.approx(0.3, abs=0.07)
    assert (paste(prob=0)['img'] == 100).all()


def test_strength_is_the_weight_of_the_donors_gray_values():
    assert paste(strength=(0.5, 0.5))['img'][CENTER, CENTER].tolist() == [150, 100]
    drawn = np.array([paste(strength=(0.2, 0.8))['img'][CENTER, CENTER, 0] for _ in range(300)])
    assert 119 <= drawn.min() < 126 and 174 < drawn.max() <= 181
    assert drawn.mean() == pytest.approx(150, abs=4)


@pytest.mark.parametrize('shrink', [1, 2])
def test_shift_px_is_a_deviation_in_pixels_of_the_slice(shrink):
    x, y = middles(shrink=shrink, shift_px=6)
    assert (x.mean(), y.mean()) == pytest.approx((0, 0), abs=1.2)
    assert (x.std(), y.std()) == pytest.approx((6, 6), rel=0.15)


def test_rotate_deg_is_the_deviation_of_the_angle_about_the_centre():
    x, y = middles(y=-35, rotate_deg=8)
    assert np.hypot(x, y) == pytest.approx(np.full(300, 35), abs=0.7)
    angles = np.degrees(np.arctan2(x, -y))
    assert angles.mean() == pytest.approx(0, abs=1.4)
    assert angles.std() == pytest.approx(8, rel=0.15)


def test_a_bleed_comes_to_either_side_alike():
    x, y = middles(x=25, y=-10)
    assert np.abs(x) == pytest.approx(np.full(300, 25), abs=0.6)
    assert y == pytest.approx(np.full(300, -10), abs=0.6)
    assert (x > 0).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize('shrink', [1, 2])
def test_the_edge_fades_over_pixels_of_the_slice(shrink):
    """As the integral of a Gaussian with a deviation of 2.4 pixels; inside, the bleed is whole."""
    row = paste(shrink=shrink)['img'][CENTER, :, 0].astype(float)
    outside = row[CENTER + HALF :][:4]
    distance = shrink * (np.arange(4) + 0.5)
    weight = [math.erfc(d / 2.4 / math.sqrt(2)) / 2 for d in distance]
    assert outside == pytest.approx(100 + 100 * np.array(weight), abs=2)
    assert (row[CENTER - HALF : CENTER + HALF] == 200).all()


def test_beyond_the_edge_nothing_is_pasted():
    host = flat(100) | dict(draw_donor=lambda: flat(200, bleed=True), head_center=(500.0, 60.0))
    results = still()(host)
    assert (results['img'] == 100).all() and not results['gt_seg_map'].any()


@pytest.mark.parametrize(
    'listed, bleeding',
    [
        # Slice 3 shows none; below slice 1 the scan ends, and the edge is repeated.
        ((1, 2, 3, 4), (True, True, True, False, True)),
        ((2, 3), (False, False, True, False, False)),
    ],
)
def test_masks_of_a_donor_are_those_of_its_neighbours_in_the_data_set(
    tree, tmp_path, listed, bleeding
):
    write_both_windows(tree)
    names = tmp_path / 'names.txt'
    names.write_text(''.join(f'049_{number:03d}\n' for number in listed))
    dataset = CraniumDataset(
        data_root=str(tree),
        ann_file=str(names),
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        load=[LoadScan(neighbors=2, shrink=1), LoadMask()],
    )
    dataset.has_hemorrhage = lambda: np.array(listed) == 2
    donor = dataset.begin(0)['draw_donor']()
    assert donor['slice'] == 2
    masks = PasteHemorrhage()._read_masks(donor)
    assert [bool(mask.any()) for mask in masks] == list(bleeding)
    assert np.array_equal(masks[2], donor['gt_seg_map'])


def test_the_mask_of_a_slice_across_a_gap_is_not_the_neighbours(tree):
    """Slice 3, without hemorrhage, is gone: slice 2 gets its own bleed there, not that of 4."""
    write_both_windows(tree)
    for folder in ('images', 'masks'):
        (tree / folder / 'train/049_003.png').unlink()
    dataset = CraniumDataset(
        data_root=str(tree),
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        load=[LoadScan(shrink=1), LoadMask()],
    )
    donor = dataset.load(dataset.begin(1))
    masks = PasteHemorrhage()._read_masks(donor)
    assert donor['slice'] == 2
    assert np.array_equal(masks[2], donor['gt_seg_map'])
    assert np.array_equal(donor['img'][..., 2], donor['img'][..., 1])
