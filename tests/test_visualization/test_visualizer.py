import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from cranium.visualization.contact_sheet import CAPTION, GAP, HEADER
from cranium.visualization.overlay import COLOURS, PREDICTION, TRUTH
from cranium.visualization.visualizer import SIDE, CraniumVisualizer
from cranium.windows import encode_hu
from tests.test_engine.training import tiny_config

HU = np.full((64, 64), 40, np.int16)  # the middle of the brain window, gray value 128


def square(corner):
    mask = torch.zeros(1, 64, 64, dtype=torch.long)
    mask[0, corner : corner + 16, corner : corner + 16] = 1
    return PixelData(data=mask)


def draw(image, path=None, **options):
    """Draw on an image; the picture below the legend, and the legend."""
    sample = SegDataSample(gt_sem_seg=square(8), pred_sem_seg=square(40))
    sample.set_metainfo(dict(img_path=path))
    visualizer = CraniumVisualizer()
    visualizer.add_datasample('049_001.png', image, sample, **options)
    picture = visualizer.get_image()
    return picture[HEADER : HEADER + SIDE, GAP : GAP + SIDE], picture[:HEADER]


def colours(pixels):
    """Kinds whose colour is among the pixels."""
    return {kind for kind, c in COLOURS.items() if (pixels == c).all(axis=-1).any()}


@pytest.mark.parametrize(
    'image',
    [
        HU,
        HU.astype(np.float32)[..., None],
        encode_hu(HU),
        np.full((64, 64), 128, np.uint8),
        np.full((64, 64, 3), 128, np.uint8),
    ],
    ids=['HU', 'HU with a channel', 'as stored', 'gray', 'RGB'],
)
def test_arrays_are_shown_in_the_brain_window(image):
    picture, legend = draw(image)
    assert (picture[:20] == 128).all()
    assert colours(picture) == colours(legend) == {TRUTH, PREDICTION}
    assert (picture[-1] == 128).all()


def test_a_file_is_read_whatever_mmseg_has_made_of_it(tmp_path):
    path = tmp_path / '049_001.png'
    Image.fromarray(encode_hu(HU)).save(path)
    picture, _ = draw(np.zeros((64, 64, 3), np.uint8), str(path))
    assert (picture[:20] == 128).all()


@pytest.mark.parametrize(
    ('options', 'kinds'),
    [(dict(draw_gt=False), {PREDICTION}), (dict(draw_pred=False), {TRUTH})],
)
def test_one_of_both(options, kinds):
    picture, legend = draw(HU, **options)
    assert colours(picture) == colours(legend) == kinds


def test_saved_to_a_file_in_its_colours(tmp_path):
    file = tmp_path / 'new/picture.png'
    picture, _ = draw(HU, out_file=str(file))
    saved = np.asarray(Image.open(file))
    assert saved.shape[0] == HEADER + SIDE + CAPTION + 2 * GAP
    assert np.array_equal(saved[HEADER : HEADER + SIDE, GAP : GAP + SIDE], picture)


def test_a_large_slice_keeps_its_pixels():
    visualizer = CraniumVisualizer()
    visualizer.add_datasample('x', np.full((600, 300), 90, np.uint8))
    assert visualizer.get_image().shape[:2] == (HEADER + 600 + CAPTION + 2 * GAP, 600 + 2 * GAP)


def test_a_test_draws_every_slice_and_wants_no_training_data(tree, tmp_path):
    """What `mim test --show-dir` sets."""
    config = tiny_config(tree, tmp_path / 'work')
    config.train_dataloader.dataset.data_root = 'nowhere'
    config.default_hooks.visualization.draw = True
    config.visualizer.save_dir = str(tmp_path / 'pictures')
    Runner.from_cfg(config).test()
    files = sorted((tmp_path / 'pictures').rglob('*.png'))
    assert [file.stem for file in files] == ['071_001_0', '071_002_0', '071_003_0']
    gray = np.asarray(Image.open(tree / 'images/val/071_003.png'))  # without hemorrhage
    picture = np.asarray(Image.open(files[2]))
    assert TRUTH in colours(np.asarray(Image.open(files[0])))
    assert abs(picture[HEADER : HEADER + SIDE, GAP : GAP + SIDE].mean() - gray.mean()) < 20


def test_no_sample_at_all():
    visualizer = CraniumVisualizer()
    visualizer.add_datasample('x', HU)
    assert colours(visualizer.get_image()) == set()
