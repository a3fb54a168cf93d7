import pickle

import cv2
import numpy as np
import pytest

from cranium.datasets import LoadScan
from cranium.datasets.sample import SliceFiles
from cranium.errors import CraniumError
from cranium.scans.pictures import read_pixels
from cranium.windows import decode_hu, encode_hu
from tests.test_head import hu_head


def write(path, hu):
    cv2.imwrite(str(path), encode_hu(hu))
    return SliceFiles(str(path), None)


@pytest.fixture
def scan(tmp_path):
    """Four slices of 130x130 with 10, 20, 30, 40 HU in a corner."""
    found = {}
    for number in range(1, 5):
        hu = cv2.resize(hu_head(9), (130, 130))
        hu[:20, :20] = 10 * number
        found[number] = write(tmp_path / f'049_{number:03d}.png', hu)
    return found


@pytest.fixture
def reads(monkeypatch):
    """The paths of all images that are read."""
    paths = []
    read = 'cranium.datasets.scan.read_pixels'
    monkeypatch.setattr(read, lambda path: paths.append(path) or read_pixels(path))
    return paths


def sample(scan, number, **keys):
    return dict(img_path=scan[number].image, slice=number, scan=scan) | keys


def load(scan, number, **options):
    return LoadScan(**options)(sample(scan, number))


def corners(results):
    return results['img'][2, 2].tolist()


def test_the_stack_and_the_slice_itself_are_channels(scan):
    results = load(scan, 2)
    assert results['img'].shape == (65, 65, 4)
    assert results['img'].dtype == np.int16
    assert corners(results) == [10, 20, 30, 20]
    assert results['ori_shape'] == (130, 130)
    assert results['img_shape'] == (65, 65)
    assert results['shrink'] == 2


def test_soft_tissue_is_clipped_before_pixels_become_means_and_the_range_is_not(tmp_path):
    """Or a pixel half on bone would be as bright as blood."""
    half = np.repeat([[30, 1500], [30, -1000], [60, 60]], 2, axis=0).astype(np.int16)
    results = load({1: write(tmp_path / '049_001.png', half)}, 1)
    assert results['img'].shape == (3, 1, 4)
    assert results['img'][:, 0].tolist() == [
        [115, 115, 115, 765],
        [-35, -35, -35, -485],
        [60, 60, 60, 60],
    ]


def test_pixels_are_those_of_ct_ich_unless_something_is_known(scan):
    results = load(scan, 2, shrink=4)
    assert (results['pixel_mm'], results['img_pixel_mm']) == (0.36, 1.44)
    results = LoadScan(shrink=4)(sample(scan, 2, pixel_mm=0.5))
    assert (results['pixel_mm'], results['img_pixel_mm']) == (0.5, 2.0)


def test_edge_slices_are_repeated_and_gaps_filled_with_the_slice_itself(scan):
    assert corners(load(scan, 1, neighbors=2)) == [10, 10, 10, 20, 30, 10]
    assert corners(load(scan, 4)) == [30, 40, 40, 40]
    del scan[3]
    assert corners(load(scan, 2)) == [10, 20, 20, 20]


@pytest.mark.parametrize('shrink', [1, 2])
def test_angle_and_centre_of_the_head_in_the_whole_slice(scan, shrink):
    results = load(scan, 3, shrink=shrink)
    assert results['head_angle'] == pytest.approx(9, abs=2)
    # 130 pixels for the 325 of the head at (160, 170).
    assert results['head_center'] == pytest.approx((64, 68), abs=1.5)


def test_the_angle_is_that_of_the_mean_of_brain_and_bone_window(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr('cranium.views.head_angle', lambda s: seen.extend(s) or 7.0)
    files = write(tmp_path / '049_001.png', np.array([[-1000, 16, 40, 700, 3000]], np.int16))
    assert load({1: files}, 1, shrink=1)['head_angle'] == 7
    # Brain window 0, 76.5, 127.5, 255, 255; bone window 0, 73.0, 74.9, 127.5, 255.
    assert seen[0][0] == pytest.approx([0, 74.7, 101.2, 191.2, 255], abs=1)


def test_without_a_bone_window_the_angle_is_that_of_the_brain_window(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr('cranium.views.head_angle', lambda s: seen.extend(s) or 7.0)
    files = write(tmp_path / '049_001.png', np.array([[-20, 16, 40, 100]], np.int16))
    load({1: files}, 1, shrink=1)
    assert seen[0][0] == pytest.approx([0, 76.5, 127.5, 255], abs=0.6)


def test_the_pose_of_the_manifest_is_taken(scan, reads):
    results = LoadScan()(sample(scan, 2, head_center=(3.0, 4.0), head_angle=5.0))
    assert (results['head_center'], results['head_angle']) == ((3, 4), 5)
    assert len(reads) == 3  # no slices for the angle
    results = LoadScan()(sample(scan, 2, head_center=None, head_angle=5.0))
    assert results['head_center'] == (64.5, 64.5)  # the middle of the slice


def test_foam_around_a_head_is_none_of_it(tmp_path):
    hu = hu_head(center=(160, 170))
    hu[250:] = np.maximum(hu[250:], -500)
    results = load({1: write(tmp_path / '049_001.png', hu)}, 1, shrink=1)
    assert results['head_center'] == pytest.approx((160, 170), abs=2)


def test_no_head(tmp_path):
    files = write(tmp_path / '049_001.png', np.full((130, 130), -1000, np.int16))
    results = load({1: files}, 1)
    assert (results['head_center'], results['head_angle']) == ((64.5, 64.5), 0)


def test_a_path_alone_finds_the_slices_beside_it(scan, tmp_path):
    assert corners(LoadScan()(dict(img_path=scan[2].image))) == [10, 20, 30, 20]
    file = write(tmp_path / 'slice.png', decode_hu(read_pixels(scan[2].image))).image
    assert corners(LoadScan()(dict(img_path=file))) == [20, 20, 20, 20]


def test_slices_that_are_tested_alone(scan):
    """What is known of the scan, as the pose of its head, is not what a lone slice tells."""
    known = dict(pixel_mm=0.5, head_angle=3.0, head_center=(1.0, 2.0))
    found = LoadScan(alone=True)(sample(scan, 2, **known))
    alone = LoadScan()(dict(img=decode_hu(read_pixels(scan[2].image)), pixel_mm=0.5))
    assert corners(found) == [20, 20, 20, 20]
    assert np.array_equal(found['img'], alone['img'])
    for key in ('pixel_mm', 'img_pixel_mm', 'head_angle', 'head_center', 'ori_shape'):
        assert found[key] == alone[key]


def test_a_path_alone_is_read_each_time(tmp_path):
    """Somebody writes slice after slice to one file."""
    transform, path = LoadScan(shrink=1), tmp_path / 'slice.png'
    for angle, value in ((9, 10), (-9, 20)):
        hu = cv2.resize(hu_head(angle), (130, 130))
        hu[:20, :20] = value
        # As after mmseg's LoadImageFromFile, of which nothing is wanted.
        results = transform(dict(img_path=write(path, hu).image, img=np.zeros((9, 9), np.uint8)))
        assert corners(results) == [value] * 4
        assert results['head_angle'] == pytest.approx(angle, abs=2)


def test_coarse_slices_are_shrunk_more(scan):
    transform = LoadScan()
    for coarsening in (2, 1, 2):
        results = transform(sample(scan, 2, coarsening=coarsening))
        expected = load(scan, 2, shrink=2 * coarsening)
        assert results['shrink'] == 2 * coarsening
        assert results['img'].shape[:2] == (65 // coarsening, 65 // coarsening)
        for key in ('img', 'head_center', 'head_angle'):
            assert np.array_equal(results[key], expected[key])


def test_a_test_reads_each_slice_once_and_estimates_the_angle_once(scan, reads, monkeypatch):
    angles = []
    monkeypatch.setattr('cranium.views.head_angle', lambda s: angles.append(len(s)) or 7.0)
    transform = LoadScan()
    for number in scan:
        assert transform(sample(scan, number))['head_angle'] == 7
    assert sorted(reads) == [files.image for files in scan.values()]
    assert angles == [4]


def test_the_cache_forgets_the_slice_that_was_not_used_for_longest(scan, reads):
    transform = LoadScan(neighbors=0, cache_slices=2)
    for number in (1, 2, 1, 3, 1, 2):
        results = transform(sample(scan, number, head_center=(1, 1), head_angle=0))
        assert corners(results)[0] == 10 * number
    assert [path[-5] for path in reads] == ['1', '2', '3', '2']
    # Workers may be started by pickling: then what is kept goes along.
    assert len(pickle.dumps(transform)) > 8 * 65 * 65


def test_missing_neighbour_is_named(scan):
    scan[2] = SliceFiles(scan[2].image + 'x', None)
    with pytest.raises(FileNotFoundError, match=r'049_002\.pngx cannot be read'):
        load(scan, 1)


GRAY = np.full((64, 64), 128, np.uint8)


@pytest.mark.parametrize(
    'image, seen',
    [
        (GRAY, r' holds uint8; expected 16-bit gray.*`cranium prepare --window hu --overwrite`'),
        (np.dstack([GRAY, GRAY + 1, GRAY]), ': a RGB image, where gray was expected; replace it'),
    ],
    ids=['gray', 'brain, bone, brain'],
)
def test_other_images_are_not_in_hu(tmp_path, image, seen):
    path = str(tmp_path / 'gray.png')
    cv2.imwrite(path, image)
    with pytest.raises(CraniumError, match=rf'gray\.png{seen}'):
        LoadScan()(dict(img_path=path))


@pytest.mark.parametrize('kind', [np.int16, np.float32])
def test_an_array_of_hu_is_the_same_as_its_file(scan, kind):
    hu = decode_hu(cv2.imread(scan[2].image, cv2.IMREAD_UNCHANGED)).astype(kind)
    one = {1: scan[2]}
    expected = LoadScan()(sample(one, 1))
    for array in (hu, hu[..., None]):
        results = LoadScan()(dict(img=array, img_path=None))  # as after LoadImageFromNDArray
        for key in expected.keys() - {'img_path', 'slice', 'scan'}:
            assert np.array_equal(results[key], expected[key]), key


def test_an_array_of_halves_is_rounded_and_kept_in_range():
    results = LoadScan(shrink=1)(dict(img=np.array([[20.7, -1e6, 1e6]])))
    assert results['img'][0, :, -1].tolist() == [21, -32768, 32767]


def test_an_array_as_a_tree_stores_it(scan):
    stored = read_pixels(scan[2].image)
    results = LoadScan(shrink=1)(dict(img=stored))
    assert np.array_equal(results['img'][..., -1], decode_hu(stored))


def test_an_array_with_a_hole():
    with pytest.raises(CraniumError, match='holds nan; put -1000, air, in its place'):
        LoadScan()(dict(img=np.full((64, 64), np.nan)))


@pytest.mark.parametrize('image', [GRAY, np.zeros((64, 64, 3), np.int16)])
def test_an_array_of_something_else(image):
    with pytest.raises(CraniumError, match=r'an image has the shape .*; expected HU, \(H, W\)'):
        LoadScan()(dict(img=image))


def test_neighbours_of_another_size(scan):
    cv2.imwrite(scan[2].image, np.zeros((64, 64), np.uint16))
    with pytest.raises(CraniumError, match=r'049_002.png is of another size'):
        load(scan, 1)
