"""mmseg's own inference functions with configs and checkpoints of Cranium."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.apis import MMSegInferencer, inference_model, init_model, show_result_pyplot
from mmseg.registry import DATASETS
from PIL import Image

from cranium.errors import CraniumError
from cranium.visualization.overlay import COLOURS, PREDICTION, read_gray
from cranium.windows import decode_hu
from tests.conftest import ROOT, call_cranium, write_hu
from tests.test_configs import shrink

SMALL = 'unet-cranium_small_1xb8-8k_cranium-aligned-192x160'
PRETRAINED = str(ROOT / f'configs/{SMALL}.py'), str(ROOT / f'checkpoints/{SMALL}.pth')


@pytest.fixture(scope='module')
def hu_tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp('hu') / 'tree'
    source = ROOT / 'data/sample'
    done = call_cranium('prepare', '--source', source, '--window', 'hu', '--out', tree)
    assert done.exit_code == 0, done.output
    return tree


@pytest.fixture(scope='module')
def paths(hu_tree):
    """Slices of the sample with much, little and no hemorrhage."""
    names = ('076_016', '076_019', '081_011', '081_015')
    return [str(hu_tree / f'images/val/{name}.png') for name in names]


@pytest.fixture(scope='module')
def model():
    return init_model(*PRETRAINED, device='cpu')


@pytest.fixture(scope='module')
def tested(hu_tree, paths, model):
    """The masks that `mim test` makes, by path."""
    settings = Config.fromfile(PRETRAINED[0]).test_dataloader.dataset
    dataset = DATASETS.build(settings | dict(data_root=str(hu_tree)))
    found = {}
    with torch.no_grad():
        for index in range(len(dataset)):
            if (path := dataset.get_data_info(index)['img_path']) in paths:
                (sample,) = model.test_step(pseudo_collate([dataset[index]]))
                found[path] = mask_of(sample)
    assert sum(mask.any() for mask in found.values()) == 3
    return found


def mask_of(sample):
    return sample.pred_sem_seg.data[0].numpy()


def read_hu(path):
    return decode_hu(np.asarray(Image.open(path), np.uint16))


def test_paths_give_the_masks_of_a_test(model, paths, tested):
    for path, sample in zip(paths, inference_model(model, paths)):
        assert np.array_equal(mask_of(sample), tested[path])
    one = inference_model(model, paths[1])
    assert np.array_equal(mask_of(one), tested[paths[1]]) and 'slice_score' in one


def test_an_array_is_a_slice_without_neighbours(paths, tested, tmp_path):
    lone = shutil.copy(paths[1], tmp_path / 'slice.png')
    expected = mask_of(inference_model(init_model(*PRETRAINED, device='cpu'), str(lone)))
    # About the same as with its neighbours.
    assert 0.5 < 2 * (expected & tested[paths[1]]).sum() / (expected + tested[paths[1]]).sum() < 1
    model, hu = init_model(*PRETRAINED, device='cpu'), read_hu(lone)
    for sample in inference_model(model, [hu, hu.astype(np.float32)[..., None]]):
        assert np.array_equal(mask_of(sample), expected)
    with pytest.raises(CraniumError, match='type uint8; expected HU'):
        inference_model(model, read_gray(lone))


def test_the_inferencer_and_its_pictures(paths, tested, tmp_path):
    inferencer = MMSegInferencer(*PRETRAINED, device='cpu')
    found = inferencer(paths, batch_size=3, out_dir=str(tmp_path), return_vis=True)
    for path, mask, picture in zip(paths, found['predictions'], found['visualization']):
        assert np.array_equal(mask, tested[path])
        saved = np.asarray(Image.open(tmp_path / 'vis' / Path(path).name))
        assert np.array_equal(saved, picture)
        middle = picture[picture.shape[0] // 2, 200:450]
        assert 60 < np.median(middle) < 160  # brain, neither black nor white
        assert (picture[48:] == COLOURS[PREDICTION]).all(axis=-1).any() == tested[path].any()
    assert sorted(file.name for file in (tmp_path / 'pred').iterdir()) == [
        f'{number:08d}_pred.png' for number in range(4)
    ]
    array = inferencer(read_hu(paths[1]), return_vis=True)
    assert array['predictions'].any() and array['visualization'].std() > 30
    whole = inferencer(str(Path(paths[0]).parent), batch_size=5)  # a folder
    assert len(whole['predictions']) == 15


def test_a_picture_by_pyplot(model, paths, tmp_path):
    image = np.dstack([read_gray(paths[3])] * 3)
    result = inference_model(model, paths[3])
    show_result_pyplot(model, image, result, show=False, out_file=str(tmp_path / 'picture.png'))
    assert Image.open(tmp_path / 'picture.png').size == (650, 650)


@pytest.mark.parametrize(
    'name',
    [
        'fcn-unet-s4-d8-c16_unet_1xb8-2k_cranium-96x96',
        'fcn-unet-s5-d16_unet_1xb16-0.01-20k_cranium-512x512',
        'segformer-mit-b0_1xb16-20k_cranium-512x512',
    ],
)
def test_networks_in_gray_values(name, tree, tmp_path):
    config = Config.fromfile(ROOT / f'configs/{name}.py')
    shrink(config, tree, tmp_path)
    config.test_pipeline = copy.deepcopy(config.test_dataloader.dataset.pipeline)
    torch.manual_seed(0)
    model = init_model(config, device='cpu')
    meta = dict(dataset_meta=dict(classes=('background', 'hemorrhage'), palette=[[0] * 3, [9] * 3]))
    weights = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=model.state_dict(), meta=meta), weights)
    paths = sorted(map(str, (tree / 'images/val').iterdir()))
    expected = inference_model(model, paths)
    grays = [np.asarray(Image.open(path)) for path in paths]
    for sample, path_sample in zip(inference_model(model, grays), expected):
        assert torch.equal(sample.seg_logits.data, path_sample.seg_logits.data)
    colour = inference_model(model, np.dstack([grays[0]] * 3))  # as cv2.imread gives it
    assert torch.allclose(colour.seg_logits.data, expected[0].seg_logits.data, atol=1e-5)
    with pytest.raises(CraniumError, match='an image holds int16; expected gray values of 8 bits'):
        inference_model(model, grays[0].astype(np.int16))
    inferencer = MMSegInferencer(config, weights, device='cpu')
    for inputs in (paths, grays):
        found = inferencer(inputs, out_dir=str(tmp_path / 'out'), return_vis=True)
        for mask, picture, sample in zip(*found.values(), expected):
            assert np.array_equal(mask, mask_of(sample))
            assert picture.shape[2] == 3 and picture[48:].std() > 20
    write_hu(tree)
    with pytest.raises(CraniumError, match=r'holds uint16; expected gray .* --window brain'):
        inferencer(paths)
