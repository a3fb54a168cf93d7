import numpy as np
import pytest

from cranium.datasets import PasteHemorrhage
from cranium.datasets.paste import _inside_skull

from .test_alignment import loaded


class Donors:
    """A data set of two slices, the second with a bright hemorrhage."""

    def __init__(self, paste):
        self.pipeline = self
        self.transforms = [self.load, paste, None]

    def has_hemorrhage(self):
        return np.array([False, True])

    def get_data_info(self, index):
        assert index == 1
        return dict(scan=['a', 'b'], img_path='b')

    def load(self, record):
        donor = loaded(10, (150, 160))
        donor['img'][..., :-1][
            np.repeat(np.repeat(donor['gt_seg_map'], 1, 0), 1, 1)[::2, ::2] == 1
        ] = 200
        return record | donor


def host(paste, own=False):
    results = loaded(-20, (170, 165))
    if not own:
        results['gt_seg_map'][:] = 0
    return results | dict(dataset=Donors(paste), scan=['c'], img_path='c')


def still(**options):
    return PasteHemorrhage(**dict(strength=(1, 1), shift=0, rotate=0) | options)


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


def test_no_bleed_outside_a_closed_skull():
    paste = still()
    results = host(paste)
    results['img'][150:170, :, :] = 0  # a gap from side to side
    results['img'][:, 165:175, :] = 0
    before = results['img'].copy()
    results = paste(results)
    assert np.array_equal(results['img'], before)
    assert not results['gt_seg_map'].any()


def test_inside_skull_by_hand():
    brain = np.zeros((12, 12), np.uint8)
    brain[1:11, 1:11] = 255
    brain[3:9, 3:9] = 90
    brain[4, 4] = 10  # fluid
    inside = _inside_skull(brain)
    assert inside.sum() == 36 - 1
    assert inside[3, 3] == 1  # a thin bleed lies right at the bone
    brain[1:4, 5] = 90  # a gap
    brain[1:4, 4:7] = 90
    assert not _inside_skull(brain).any()
