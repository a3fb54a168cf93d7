import pickle

import cv2
import numpy as np
import pytest

from cranium.datasets import LoadScan
from tests.test_head import head


@pytest.fixture
def scan(tmp_path):
    """Four slices of 130x130, whose brain windows hold 10, 20, 30, 40 in a corner."""
    paths = []
    for number in range(1, 5):
        image = cv2.resize(head(9), (130, 130))
        image[:20, :20] = 10 * number
        path = str(tmp_path / f'049_{number:03d}.png')
        cv2.imwrite(path, np.stack([image, image // 2, image], axis=-1))
        paths.append(path)
    return paths


def load(scan, index, **options):
    return LoadScan(**options)(dict(img_path=scan[index], scan=scan))


def corners(results):
    return results['img'][2, 2].tolist()


def test_neighbours_and_bone_are_channels(scan):
    results = load(scan, 1)
    assert results['img'].shape == (65, 65, 4)
    assert corners(results) == [10, 20, 30, 10]
    assert results['ori_shape'] == (130, 130)
    assert results['img_shape'] == (65, 65)
    assert results['shrink'] == 2


def test_edge_slices_are_repeated(scan):
    assert corners(load(scan, 0, neighbors=2)) == [10, 10, 10, 20, 30, 5]
    assert corners(load(scan, 3)) == [30, 40, 40, 20]


def test_angle_and_centre_of_the_head(scan):
    results = load(scan, 2, shrink=1)
    assert results['head_angle'] == pytest.approx(9, abs=2)
    assert results['head_center'] == pytest.approx((64, 68), abs=1.5)


def test_a_slice_alone_is_its_own_neighbour(scan):
    alone = LoadScan()(dict(img_path=scan[1]))
    assert corners(alone) == [20, 20, 20, 10]
    array = LoadScan()(dict(img=cv2.imread(scan[1])))
    assert np.array_equal(array['img'], alone['img'])
    assert array['head_angle'] == alone['head_angle']


def test_an_array_after_a_file_is_not_taken_for_it(scan):
    transform = LoadScan()
    transform(dict(img_path=scan[0], scan=scan))
    dark = transform(dict(img_path=scan[0], img=np.zeros((130, 130, 3), np.uint8)))
    assert dark['img'].max() == 0
    assert dark['head_angle'] == 0
    assert dark['head_center'] == (32, 32)


def test_coarse_slices_are_shrunk_more_and_the_cache_forgets_the_others(scan):
    transform = LoadScan(cache_slices=4)
    record = dict(img_path=scan[1], scan=scan)
    for coarse in (2, 1, 2):
        results = transform(record | dict(coarse=coarse))
        expected = LoadScan(shrink=2 * coarse)(dict(record))
        assert results['shrink'] == 2 * coarse
        assert results['img'].shape[:2] == (65 // coarse, 65 // coarse)
        for key in ('img', 'head_center', 'head_angle'):
            assert np.array_equal(results[key], expected[key])


def test_cache_changes_nothing_but_reads_once(scan, monkeypatch):
    transform = LoadScan(cache_slices=2)
    first = transform(dict(img_path=scan[0], scan=scan))
    reads = []
    original = cv2.imread
    monkeypatch.setattr(cv2, 'imread', lambda *args: reads.append(args[0]) or original(*args))
    second = transform(dict(img_path=scan[0], scan=scan))
    assert np.array_equal(first['img'], second['img'])
    assert set(reads) < set(scan)
    assert len(pickle.dumps(transform)) > 2 * 65 * 65  # workers may be started by pickling


def test_missing_neighbour_is_named(scan):
    missing = [scan[0], scan[1] + 'x']
    with pytest.raises(FileNotFoundError, match=r'049_002\.pngx cannot be read'):
        LoadScan()(dict(img_path=scan[0], scan=missing))


def test_a_gray_slice_has_no_bone_window(tmp_path):
    path = str(tmp_path / 'gray.png')
    cv2.imwrite(path, head())
    with pytest.raises(ValueError, match=r'gray\.png has the shape .*--window brain-bone'):
        LoadScan()(dict(img_path=path))


def test_neighbours_of_another_size(scan):
    cv2.imwrite(scan[1], np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r'049_002.png is of another size'):
        load(scan, 0)
