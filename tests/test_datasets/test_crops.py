import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from cranium.datasets import CraniumDataset, CropOnHemorrhage


def numbered(height: int, width: int, hemorrhage: list[tuple[int, int]] = ()) -> dict:
    """A slice, each pixel of which holds its own number, in three channels."""
    numbers = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    for pixel in hemorrhage:
        mask[pixel] = 1
    return dict(
        img=np.stack([numbers, numbers, numbers], axis=2),
        gt_seg_map=mask,
        numbers=numbers.copy(),
        seg_fields=['gt_seg_map', 'numbers'],
        img_shape=(height, width),
    )


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(image=sizes, size=sizes, prob=st.sampled_from([0.0, 0.5, 1.0]), data=st.data())
def test_window(image, size, prob, data):
    pixels = st.tuples(*(st.integers(0, length - 1) for length in image))
    hemorrhage = data.draw(st.lists(pixels, max_size=3))
    np.random.seed(data.draw(st.integers(0, 1000)))
    source = numbered(*image, hemorrhage)
    before = source['img'].copy()
    made = CropOnHemorrhage(size, prob)(source)
    img, mask, numbers = made['img'], made['gt_seg_map'], made['numbers']
    assert img.shape == (*size, 3) and mask.shape == numbers.shape == made['img_shape'] == size
    assert (img.dtype, mask.dtype, numbers.dtype) == (np.uint16, np.uint8, np.uint16)
    # What is inside is a window of the slice, of the image and of the masks alike.
    height, width = np.minimum(image, size)
    top, left = divmod(int(numbers[0, 0]), image[1])
    inside = before[top : top + height, left : left + width]
    assert inside.shape[:2] == (height, width)
    assert (img[:height, :width] == inside).all()
    assert (numbers[:height, :width] == inside[..., 0]).all()
    assert all(
        mask[y - top, x - left] == 1
        for y, x in hemorrhage
        if top <= y < top + height and left <= x < left + width
    )
    for part in ((slice(height, None),), (slice(None), slice(width, None))):
        assert (img[part] == 0).all()
        assert (mask[part] == 255).all() and (numbers[part] == 255).all()
    if hemorrhage and prob == 1:
        assert (mask == 1).any()


def places(crop: CropOnHemorrhage, draws: int, **slice_of) -> dict[tuple[int, int], int]:
    """How often each place of the window was drawn on a slice of 8x7."""
    np.random.seed(0)
    count = {}
    for _ in range(draws):
        first = int(crop(numbered(8, 7, **slice_of))['numbers'][0, 0])
        count[divmod(first, 7)] = count.get(divmod(first, 7), 0) + 1
    return count


@pytest.mark.parametrize(
    'prob, hemorrhage', [(0.0, [(0, 0)]), (1.0, [])], ids=['never', 'none there']
)
def test_each_place_alike(prob, hemorrhage):
    count = places(CropOnHemorrhage((4, 5), prob), 3000, hemorrhage=hemorrhage)
    assert count.keys() == {(top, left) for top in range(5) for left in range(3)}
    # 200 expected; the deviation is 13.7.
    assert min(count.values()) > 140 and max(count.values()) < 260


def test_each_window_with_the_pixel_alike():
    count = places(CropOnHemorrhage((4, 5), 1.0), 1200, hemorrhage=[(1, 1)])
    assert count.keys() == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert min(count.values()) > 240 and max(count.values()) < 360


def test_each_pixel_alike():
    count = places(CropOnHemorrhage((3, 3), 1.0), 600, hemorrhage=[(0, 0), (7, 6)])
    assert count.keys() == {(0, 0), (5, 4)}
    assert abs(count[0, 0] - 300) < 60


def test_as_often_as_prob_says():
    # One window of 30 of the slice holds the corner.
    count = places(CropOnHemorrhage((3, 3), 0.25), 2000, hemorrhage=[(7, 6)])
    assert count[5, 4] / 2000 == pytest.approx(0.25 + 0.75 / 30, abs=0.04)


def test_same_seed_same_windows():
    crop = CropOnHemorrhage((3, 2), 0.5)
    drawn = []
    for _ in range(2):
        np.random.seed(7)
        slices = [crop(numbered(8, 7, [(2, 2), (6, 1)])) for _ in range(20)]
        drawn.append([int(made['numbers'][0, 0]) for made in slices])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(size=256), r'size=256: expected height and width'),
        (dict(size=(0, 4)), 'expected height and width'),
        (dict(size=(1, 2, 3)), 'expected height and width'),
        (dict(size=(4, 4), prob=1.5), 'prob=1.5: expected a probability'),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        CropOnHemorrhage(**arguments)


def test_in_a_gray_pipeline(tree):
    init_default_scope('mmseg')
    assert 'size=(96, 48), prob=1.0' in repr(
        TRANSFORMS.build(dict(type='CropOnHemorrhage', size=[96, 48], prob=1.0))
    )
    dataset = CraniumDataset(
        data_root=str(tree),
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        pipeline=[
            dict(type='LoadImageFromFile', color_type='grayscale'),
            dict(type='LoadAnnotations'),
            dict(type='CropOnHemorrhage', size=(96, 48), prob=1.0),
            dict(type='PackSegInputs'),
        ],
    )
    sample = dataset[1]
    assert sample['inputs'].shape == (1, 96, 48)
    assert sample['data_samples'].img_shape == (96, 48)
    labels = sample['data_samples'].gt_sem_seg.data
    assert labels.unique().tolist() == [0, 1, 255] and (labels[0, 64:] == 255).all()
