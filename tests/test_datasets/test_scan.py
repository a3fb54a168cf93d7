import pickle

import cv2
import numpy as np
import pytest

from cranium.datasets import LoadScan
from cranium.datasets.sample import SliceFiles
from cranium.errors import CraniumError
from tests.test_head import head


def write(path, brain, bone):
    cv2.imwrite(str(path), np.stack([brain, bone, brain], axis=-1))
    return SliceFiles(str(path), None)


@pytest.fixture
def scan(tmp_path):
    """Four slices of 130x130, whose brain windows hold 10, 20, 30, 40 in a corner."""
    found = {}
    for number in range(1, 5):
        image = cv2.resize(head(9), (130, 130))
        image[:20, :20] = 10 * number
        found[number] = write(tmp_path / f'049_{number:03d}.png', image, image // 2)
    return found


@pytest.fixture
def reads(monkeypatch):
    """The paths of all images that are read."""
    paths, original = [], cv2.imread
    monkeypatch.setattr(cv2, 'imread', lambda *args: paths.append(args[0]) or original(*args))
    return paths


def sample(scan, number, **keys):
    return dict(img_path=scan[number].image, slice=number, scan=scan) | keys


def load(scan, number, **options):
    return LoadScan(**options)(sample(scan, number))


def corners(results):
    return results['img'][2, 2].tolist()


def test_neighbours_and_bone_are_channels(scan):
    results = load(scan, 2)
    assert results['img'].shape == (65, 65, 4)
    assert corners(results) == [10, 20, 30, 10]
    assert results['ori_shape'] == (130, 130)
    assert results['img_shape'] == (65, 65)
    assert results['shrink'] == 2


def test_edge_slices_are_repeated_and_gaps_filled_with_the_slice_itself(scan):
    assert corners(load(scan, 1, neighbors=2)) == [10, 10, 10, 20, 30, 5]
    assert corners(load(scan, 4)) == [30, 40, 40, 20]
    del scan[3]
    assert corners(load(scan, 2)) == [10, 20, 20, 10]


@pytest.mark.parametrize('shrink', [1, 2])
def test_angle_and_centre_of_the_head_in_the_whole_slice(scan, shrink):
    results = load(scan, 3, shrink=shrink)
    assert results['head_angle'] == pytest.approx(9, abs=2)
    # 130 pixels for the 325 of the head at (160, 170).
    assert results['head_center'] == pytest.approx((64, 68), abs=1.5)


@pytest.mark.parametrize('turned', ['brain', 'bone'])
def test_the_angle_is_seen_in_either_window(tmp_path, turned):
    """Each time the other window shows a disc, which is symmetric about any axis."""
    disc = cv2.circle(np.zeros((325, 325), np.uint8), (160, 170), 118, 90, -1)
    windows = dict(brain=disc, bone=disc) | {turned: head(15)}
    files = write(tmp_path / '049_001.png', **windows)
    results = load({1: files}, 1, shrink=1)
    assert results['head_angle'] == pytest.approx(15, abs=2)


def test_the_pose_of_the_manifest_is_taken(scan, reads):
    results = LoadScan()(sample(scan, 2, head_center=(3.0, 4.0), head_angle=5.0))
    assert (results['head_center'], results['head_angle']) == ((3, 4), 5)
    assert len(reads) == 3  # no slices for the angle
    results = LoadScan()(sample(scan, 2, head_center=None, head_angle=5.0))
    assert results['head_center'] == (64.5, 64.5)  # the middle of the slice


def test_no_head(tmp_path):
    files = write(tmp_path / '049_001.png', *np.zeros((2, 130, 130), np.uint8))
    results = load({1: files}, 1)
    assert (results['head_center'], results['head_angle']) == ((64.5, 64.5), 0)


def test_a_slice_alone_is_its_own_neighbour(scan):
    assert corners(LoadScan()(dict(img_path=scan[2].image))) == [20, 20, 20, 10]


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
    monkeypatch.setattr('cranium.datasets.scan.head_angle', lambda s: angles.append(len(s)) or 7.0)
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
    assert len(pickle.dumps(transform)) > 4 * 65 * 65


def test_missing_neighbour_is_named(scan):
    scan[2] = SliceFiles(scan[2].image + 'x', None)
    with pytest.raises(FileNotFoundError, match=r'049_002\.pngx cannot be read'):
        load(scan, 1)


def test_a_gray_slice_has_no_bone_window(tmp_path):
    path = str(tmp_path / 'gray.png')
    cv2.imwrite(path, head())
    with pytest.raises(CraniumError, match=r'gray\.png has the shape .*--window brain-bone'):
        LoadScan()(dict(img_path=path))


def test_neighbours_of_another_size(scan):
    cv2.imwrite(scan[2].image, np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(CraniumError, match=r'049_002.png is of another size'):
        load(scan, 1)
