import numpy as np
import pytest

from cranium.datasets import CraniumDataset, LoadMask, LoadScan, PasteHemorrhage
from tests.conftest import write_both_windows

from .test_alignment import loaded


class Donors:
    """A data set of two slices, the second with a bright hemorrhage."""

    def __init__(self, paste):
        self.pipeline = self
        self.transforms = [self.load, UpperHalf(), paste, None]

    def has_hemorrhage(self):
        return np.array([False, True])

    def get_data_info(self, index):
        return dict(scan=['a', 'b'], img_path='ab'[index])

    def __len__(self):
        return 2

    def load(self, record):
        donor = loaded(10, (150, 160))
        donor['img'][..., :-1][donor['gt_seg_map'][::2, ::2] == 1] = 200
        return record | donor


def host(paste, own=False):
    results = loaded(-20, (170, 165))
    if not own:
        results['gt_seg_map'][:] = 0
    return results | dict(dataset=Donors(paste), scan=['c'], img_path='c')


def still(**options):
    return PasteHemorrhage(**dict(strength=(1, 1), shift=0, rotate=0) | options)


class UpperHalf(LoadMask):
    """Loads what the mask file of the donor's lower neighbour holds; the donor has its mask."""

    def transform(self, record):
        if 'gt_seg_map' in record:
            return record
        assert record['img_path'] == 'a'
        mask = loaded(10, (150, 160))['gt_seg_map']
        mask[320:] = 0
        return record | dict(gt_seg_map=mask)


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def test_bleed_comes_to_the_like_place_in_the_other_head():
    paste = still()
    results = paste(host(paste))
    rows, columns = np.nonzero(results['gt_seg_map'])
    assert rows.size == pytest.approx(1600, rel=0.1)  # 40x40 pixels
    # In the donor it is 60 pixels right of the centre of a head that is turned by 10 degrees.
    x, y = columns.mean() - 340.5, rows.mean() - 330.5
    cos, sin = np.cos(np.radians(-20)), np.sin(np.radians(-20))
    assert abs(x * cos + y * sin) == pytest.approx(60 * np.cos(np.radians(10)), abs=2)
    assert -x * sin + y * cos == pytest.approx(-60 * np.sin(np.radians(10)), abs=2)


def test_gray_values_are_the_donors_inside_and_the_hosts_elsewhere():
    paste = still()
    before, results = host(paste)['img'], paste(host(paste))
    changed = (results['img'][..., 1] != before[..., 1]).mean()
    assert 0 < changed < 0.02
    inside = results['gt_seg_map'][::2, ::2] == 1
    assert np.median(results['img'][..., 1][inside]) == pytest.approx(200, abs=3)


def test_bone_window_stays():
    paste = still()
    assert np.array_equal(paste(host(paste))['img'][..., -1], host(paste)['img'][..., -1])


def test_strength_mixes():
    paste = still(strength=(0.5, 0.5))
    inside = (results := paste(host(paste)))['gt_seg_map'][::2, ::2] == 1
    assert np.median(results['img'][..., 1][inside]) == pytest.approx((200 + 90) / 2, abs=3)


def test_probability_zero_does_nothing():
    paste = still(prob=0)
    results = paste(host(paste))
    assert np.array_equal(results['img'], host(paste)['img'])
    assert not results['gt_seg_map'].any()


def test_own_hemorrhage_is_kept_and_pasted_on_half_as_often():
    paste = still()
    sizes = [int(paste(host(paste, own=True))['gt_seg_map'].sum()) for _ in range(40)]
    assert min(sizes) == 1600
    assert 8 < sum(size > 1600 for size in sizes) < 32


def test_bone_and_fluid_take_no_bleed():
    paste = still()
    whole = paste(host(paste))['gt_seg_map']
    x = int(np.nonzero(whole)[1].mean())
    for gray in (10, 255):
        np.random.seed(0)
        results = host(paste)
        results['img'][:, : x // 2, :-1] = gray
        before = results['img'].copy()
        results = paste(results)
        assert np.array_equal(results['img'][:, : x // 2], before[:, : x // 2])
        assert 0 < results['gt_seg_map'].sum() < whole.sum()
        assert not results['gt_seg_map'][:, : x // 2 * 2].any()


def test_neighbours_get_what_the_donors_neighbours_show():
    paste = still()
    results, before = paste(host(paste)), host(paste)['img']
    changed = [(results['img'][..., i] != before[..., i]).sum() for i in range(4)]
    # 'a', below the donor, bleeds in a part; above it the scan ends, and its own slice is repeated.
    assert 0.5 < changed[0] / changed[1] < 0.75  # half of it, and what fades
    assert changed[2] == changed[1]
    assert changed[3] == 0


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
    paste = PasteHemorrhage()
    dataset = CraniumDataset(
        data_root=str(tree),
        ann_file=str(names),
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        pipeline=[LoadScan(neighbors=2, shrink=1), LoadMask(), paste],
    )
    dataset.has_hemorrhage = lambda: np.array(listed) == 2
    donor = paste._draw_donor(dict(dataset=dataset))
    assert [bool(mask.any()) for mask in donor['masks']] == list(bleeding)
    assert np.array_equal(donor['masks'][2], donor['gt_seg_map'])
