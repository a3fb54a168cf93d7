import math

import cv2
import numpy as np
import pytest

from cranium.datasets import CraniumDataset, LoadMask, LoadScan, PasteHemorrhage
from cranium.datasets.sample import SliceFiles
from tests.conftest import write_hu

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
        bleed = donor['gt_seg_map'][::2, ::2] == 1
        donor['img'][..., 1:-1][bleed] = 70
        donor['img'][:160, :, 0][bleed[:160]] = 70
        scan = {1: SliceFiles('a', lower_half), 2: SliceFiles('b', 'not read')}
        return donor | dict(scan=scan, slice=2, img_path='b')

    def make(own=False):
        results = loaded(-20, (170, 165))
        if not own:
            results['gt_seg_map'][:] = 0
        return results | dict(draw_donor=draw_donor)

    return make


def still(**options):
    return PasteHemorrhage(**dict(strength=(1, 1), shift_mm=0, rotate_deg=0) | options)


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


def test_hu_are_the_donors_inside_and_the_hosts_elsewhere(host):
    before, results = host()['img'], still()(host())
    changed = (results['img'][..., 1] != before[..., 1]).mean()
    assert 0 < changed < 0.02
    inside = results['gt_seg_map'][::2, ::2] == 1
    assert np.median(results['img'][..., 1][inside]) == pytest.approx(70, abs=2)


def test_the_whole_range_stays(host):
    assert np.array_equal(still()(host())['img'][..., -1], host()['img'][..., -1])


def test_own_hemorrhage_is_kept_and_pasted_on_half_as_often(host):
    sizes = [int(still()(host(own=True))['gt_seg_map'].sum()) for _ in range(40)]
    assert min(sizes) == 1600
    assert 8 < sum(size > 1600 for size in sizes) < 32


def test_bone_and_fluid_take_no_bleed(host):
    whole = still()(host())['gt_seg_map']
    x = int(np.nonzero(whole)[1].mean())
    for hu in (-3, 89):
        np.random.seed(0)
        results = host()
        results['img'][:, : x // 2, :-1] = hu
        before = results['img'].copy()
        results = still()(results)
        assert np.array_equal(results['img'][:, : x // 2], before[:, : x // 2])
        assert 0 < results['gt_seg_map'].sum() < whole.sum()
        assert not results['gt_seg_map'][:, : x // 2 * 2].any()


@pytest.mark.parametrize('hu', [-2, 88])
def test_soft_tissue_takes_a_bleed(hu):
    assert (paste(host_hu=hu)['img'][CENTER, CENTER, 0] != hu).all()


def test_neighbours_get_what_the_donors_neighbours_show(host):
    results, before = still()(host()), host()['img']
    changed = [(results['img'][..., i] != before[..., i]).sum() for i in range(4)]
    # Below, the donor bleeds in a part; above, the scan ends, and the slice itself is repeated.
    assert 0.5 < changed[0] / changed[1] < 0.75  # half of it, and what fades
    assert changed[2] == changed[1]
    assert changed[3] == 0


def test_labels_are_those_of_the_slice_itself(host):
    """Bone in its neighbours takes none of them."""
    results, whole = host(), still()(host())['gt_seg_map'].sum()
    results['img'][..., 0] = results['img'][..., 2] = 200
    np.random.seed(0)
    assert still()(results)['gt_seg_map'].sum() == whole


SIZE, CENTER = 120, 60  # of a shrunk slice
HALF = 10  # of the square bleed's sides


def flat(hu, x=0, y=0, bleed=None, shrink=1, pixel_mm=0.5):
    """A slice of one HU, with a square bleed so far from the centre of an upright head."""
    mask = np.zeros((shrink * SIZE, shrink * SIZE), np.uint8)
    if bleed is not None:
        middle = np.array([y, x]) + shrink * CENTER
        top, left = middle - shrink * HALF
        mask[top : top + 2 * shrink * HALF, left : left + 2 * shrink * HALF] = 1
    img = np.full((SIZE, SIZE, 2), hu, np.int16)
    img[..., 0][mask[::shrink, ::shrink] == 1] = bleed or 0
    return dict(
        img=img,
        pixel_mm=pixel_mm,
        img_pixel_mm=shrink * pixel_mm,
        gt_seg_map=mask,
        shrink=shrink,
        head_center=(shrink * CENTER - 0.5, shrink * CENTER - 0.5),
        head_angle=0.0,
        scan={1: SliceFiles('a', 'a')},
        slice=1,
        img_path='a',
    )


def paste(x=0, y=0, shrink=1, bleed=60, donor_hu=30, host_hu=40, **options):
    """Paste a bleed of 30 HU more than what is around it."""
    donor = flat(donor_hu, x, y, bleed=bleed, shrink=shrink)
    host = flat(host_hu, shrink=shrink) | dict(draw_donor=lambda: donor)
    return still(**options)(host)


def pasted(**options):
    return int(paste(**options)['img'][CENTER, CENTER, 0])


def middles(number=300, **options):
    """Where the middle of the bleed comes to in so many draws, from the head's centre."""
    found = []
    for _ in range(number):
        rows, columns = np.nonzero(mask := paste(**options)['gt_seg_map'])
        center = (len(mask) - 1) / 2
        found.append((columns.mean() - center, rows.mean() - center))
    return np.transpose(found)


def test_prob_is_the_share_of_slices_that_are_pasted_on():
    shares = [paste(prob=0.3)['gt_seg_map'].any() for _ in range(400)]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.07)
    assert (paste(prob=0)['img'] == 40).all()


def test_strength_is_the_weight_of_the_bleed():
    assert paste(strength=(0.5, 0.5))['img'][CENTER, CENTER].tolist() == [55, 40]
    drawn = np.array([pasted(strength=(0.2, 0.8)) for _ in range(300)])
    assert 46 <= drawn.min() < 48 and 62 < drawn.max() <= 64
    assert drawn.mean() == pytest.approx(55, abs=1)


@pytest.mark.parametrize('bleed, expected', [(60, 70), (33, 43), (10, 20)])
def test_a_bleed_keeps_its_contrast_to_what_is_around_it(bleed, expected):
    """40 HU of the host, and the bleed's difference to the donor's 30; also where it is darker."""
    assert pasted(bleed=bleed) == expected


def test_around_it_means_soft_tissue_within_4_mm():
    """Neither the skull, nor tissue farther away, nor what else bleeds."""
    donor, host = flat(30, bleed=60), flat(40)
    donor['img'][:, CENTER + HALF :, 0] = 200
    donor['img'][: CENTER - HALF - 8, :, 0] = 0  # half a mm to a pixel
    host['img'][:, CENTER + HALF :, 0] = -50
    host['img'][CENTER + HALF + 8 :, :, 0] = 80
    donor['draw_donor'] = host['draw_donor'] = lambda: donor
    assert still()(host)['img'][CENTER, CENTER, 0] == 70
    nearer = flat(30, bleed=60)
    nearer['img'][: CENTER - HALF - 7, :, 0] = 0
    again = flat(40) | dict(draw_donor=lambda: nearer)
    assert still()(again)['img'][CENTER, CENTER, 0] > 70


@pytest.mark.parametrize('options', [dict(donor_hu=200), dict(donor_hu=-50)])
def test_where_nothing_is_around_it_a_bleed_keeps_its_hu(options):
    """In a donor, as in a pocket of the skull."""
    assert pasted(**options) == 60


def test_where_nothing_is_around_its_place_a_bleed_keeps_its_hu():
    host = flat(200) | dict(draw_donor=lambda: flat(30, bleed=60))
    square = slice(CENTER - HALF, CENTER + HALF)
    host['img'][square, square] = 40
    assert still()(host)['img'][CENTER, CENTER, 0] == 60


def test_texture_stays():
    donor, host = flat(30, bleed=60), flat(40)
    donor['img'][CENTER - HALF : CENTER, :, 0][:, CENTER - HALF : CENTER + HALF] = 70
    donor['img'][CENTER : CENTER + HALF, :, 0][:, CENTER - HALF : CENTER + HALF] = 50
    bleed = still()(host | dict(draw_donor=lambda: donor))['img'][..., 0]
    assert sorted([bleed[CENTER - 5, CENTER], bleed[CENTER + 5, CENTER]]) == [60, 80]


def test_contrast_hu_is_the_range_of_another_contrast():
    assert pasted(contrast_prob=1, contrast_hu=(10, 10)) == 50
    drawn = np.array([pasted(contrast_prob=1, contrast_hu=(5, 40)) for _ in range(300)])
    assert 45 <= drawn.min() < 47 and 78 < drawn.max() <= 80
    assert drawn.mean() == pytest.approx(62.5, abs=2)


def test_contrast_prob_is_the_share_of_bleeds_with_another_contrast():
    drawn = [pasted(contrast_prob=0.3, contrast_hu=(10, 10)) for _ in range(300)]
    assert set(drawn) == {50, 70}
    assert np.mean(np.array(drawn) == 50) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize('bleed, expected', [(33, 43), (10, 20), (34, 60)])
def test_a_bleed_that_is_no_brighter_than_noise_gets_no_other_contrast(bleed, expected):
    assert pasted(bleed=bleed, contrast_prob=1, contrast_hu=(20, 20)) == expected


def test_a_bleed_keeps_its_place_and_size_in_a_slice_of_other_pixels():
    """20 mm right of the centre and 10 mm wide, whatever the pixels are."""
    donor = flat(30, x=40, bleed=60, pixel_mm=0.5)
    host = flat(40, pixel_mm=0.8) | dict(draw_donor=lambda: donor)
    rows, columns = np.nonzero(still()(host)['gt_seg_map'])
    x, y = (0.8 * (axis - (SIZE - 1) / 2) for axis in (columns, rows))
    assert (abs(x.mean()), y.mean()) == pytest.approx((20, 0), abs=0.5)
    assert rows.size * 0.8**2 == pytest.approx(100, rel=0.15)


@pytest.mark.parametrize('shrink', [1, 2])
def test_shift_mm_is_a_deviation_in_mm(shrink):
    x, y = middles(shrink=shrink, shift_mm=3)
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
def test_the_edge_fades_over_mm(shrink):
    """As the integral of a Gaussian with a deviation of 0.86 mm; inside, the bleed is whole.

    What fades is what the donor shows around its bleed, here the skull.
    """
    row = paste(shrink=shrink, donor_hu=240)['img'][CENTER, :, 0].astype(float)
    distance = shrink * 0.5 * (np.arange(4) + 0.5)
    weight = [math.erfc(d / 0.86 / math.sqrt(2)) / 2 for d in distance]
    assert row[CENTER + HALF :][:4] == pytest.approx(40 + 200 * np.array(weight), abs=4)
    assert (row[CENTER - HALF : CENTER + HALF] == 60).all()


def test_beyond_the_edge_nothing_is_pasted():
    host = flat(40) | dict(draw_donor=lambda: flat(30, bleed=60), head_center=(500.0, 60.0))
    results = still()(host)
    assert (results['img'] == 40).all() and not results['gt_seg_map'].any()


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
    write_hu(tree)
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
    write_hu(tree)
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
