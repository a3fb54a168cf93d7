import cv2
import numpy as np
import pytest

from cranium.datasets import LoadMask


@pytest.fixture
def path(tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[2, 3:6] = [1, 0, 255]
    mask[4, 3] = 1
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    return str(tmp_path / 'mask.png')


def load(transform, path):
    results = transform(dict(seg_map_path=path, reduce_zero_label=False, seg_fields=[]))
    assert results['seg_fields'] == ['gt_seg_map']
    return results['gt_seg_map']


@pytest.mark.parametrize('empty', [False, True])
def test_a_kept_mask_is_the_one_that_was_read(path, empty):
    if empty:
        cv2.imwrite(path, np.zeros((6, 8), np.uint8))
    expected = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    transform = LoadMask(cache=True)
    first = load(transform, path)
    assert np.array_equal(first, expected)
    first[:] = 7  # as a transform that pastes into it
    cv2.imwrite(path, np.full((6, 8), 1, np.uint8))
    kept = load(transform, path)
    assert np.array_equal(kept, expected)
    kept[:] = 7
    assert np.array_equal(load(transform, path), expected)


def test_without_cache_it_is_read_each_time(path):
    transform = LoadMask()
    load(transform, path)
    cv2.imwrite(path, np.full((6, 8), 1, np.uint8))
    assert load(transform, path).all()


def test_of_a_slice_without_a_mask_there_is_nothing_to_load():
    """As mmseg's inference gives it."""
    results = dict(img=np.zeros((6, 8)))
    assert LoadMask()(dict(results)).keys() == results.keys()
