import shutil

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from cranium.datasets import CraniumDataset
from tests.conftest import run_command

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(tree, split='train', pipeline=PIPELINE, **kwargs):
    prefix = dict(img_path=f'images/{split}', seg_map_path=f'masks/{split}')
    return CraniumDataset(
        **dict(data_root=str(tree), data_prefix=prefix, pipeline=pipeline) | kwargs
    )


def test_samples(tree):
    dataset = build(tree)
    assert dataset.metainfo['classes'] == ('background', 'hemorrhage')
    assert len(dataset.metainfo['palette']) == 2
    assert len(dataset) == 8
    sample = dataset[1]
    assert sample['inputs'].shape == (3, 64, 64)
    data_sample = sample['data_samples']
    assert (data_sample.patient, data_sample.slice) == ('049', 2)
    # Slice 2 of conftest.write_tree: rows 10 to 21, columns 12 to 29.
    assert data_sample.gt_sem_seg.data.sum() == 12 * 18


def test_identity_reaches_every_augmented_copy(tree):
    flips = [[dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]]
    augment = dict(type='TestTimeAug', transforms=[*flips, *[[step] for step in PIPELINE[1:]]])
    samples = build(tree, pipeline=[PIPELINE[0], augment])[4]['data_samples']
    assert [(sample.patient, sample.slice) for sample in samples] == [('049', 5), ('049', 5)]


def test_patients_choose_a_subset(tree):
    shutil.copy(tree / 'images/train/049_001.png', tree / 'images/train/123_004.png')
    shutil.copy(tree / 'masks/train/049_001.png', tree / 'masks/train/123_004.png')
    assert len(build(tree)) == 9
    assert [build(tree, patients=p).get_data_info(0)['slice'] for p in ([123], ['123'])] == [4, 4]
    assert len(build(tree, patients=['049'])) == 8
    with pytest.raises(ValueError, match='no patient 050; it has 049, 123'):
        build(tree, patients=[50])


def test_ann_file_chooses_a_subset_in_its_order(tree):
    (tree / 'list.txt').write_text('049_003\n049_001\n')
    dataset = build(tree, ann_file='list.txt')
    assert [dataset.get_data_info(index)['slice'] for index in range(len(dataset))] == [3, 1]


def test_predecessors_lists_and_names(tree):
    for folder in ('images', 'masks'):
        (tree / folder / 'train/049_001.png').rename(tree / folder / 'train/049_1.png')
    (tree / 'train.txt').write_text('train/049_1\nval/071_002\n')
    dataset = build(
        tree, ann_file='train.txt', data_prefix=dict(img_path='images/', seg_map_path='masks/')
    )
    info = [dataset.get_data_info(index) for index in range(2)]
    assert [(i['patient'], i['slice']) for i in info] == [('049', 1), ('071', 2)]


def test_images_without_masks_can_be_predicted(tree):
    shutil.rmtree(tree / 'masks')
    dataset = build(
        tree, data_prefix=dict(img_path='images/val'), pipeline=[PIPELINE[0], PIPELINE[2]]
    )
    assert len(dataset) == 3
    assert dataset[0]['data_samples'].patient == '071'


@pytest.mark.parametrize('folder', ['images', 'masks'])
def test_missing_folder(tree, folder):
    shutil.rmtree(tree / folder / 'train')
    with pytest.raises(FileNotFoundError, match=f'{folder}/train.*prepare_dataset'):
        build(tree)


def test_empty_folder(tree):
    for path in (tree / 'images/train').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r'images/train.*no \.png.*prepare_dataset'):
        build(tree)


def test_image_without_mask(tree):
    (tree / 'masks/train/049_004.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'masks/train/049_004\.png.*mask of.*prepare_data'):
        build(tree)


def test_list_that_names_a_missing_image(tree):
    (tree / 'list.txt').write_text('049_099\n')
    with pytest.raises(FileNotFoundError, match=r'images/train/049_099\.png.*prepare_dataset'):
        build(tree, ann_file='list.txt')
    with pytest.raises(FileNotFoundError, match=r'nowhere\.txt'):
        build(tree, ann_file='nowhere.txt')


def test_foreign_name(tree):
    shutil.copy(tree / 'images/train/049_001.png', tree / 'images/train/photo.png')
    shutil.copy(tree / 'masks/train/049_001.png', tree / 'masks/train/photo.png')
    with pytest.raises(ValueError, match=r'photo\.png is not named <patient>_<slice>'):
        build(tree)


@pytest.mark.parametrize(
    'labels, wrong', [((0, 255), '255'), ((0, 1, 2), '2'), ((0, 1, 255), '255'), ((0, 254), '254')]
)
def test_mask_with_another_value(tree, labels, wrong):
    mask = np.zeros((64, 64), np.uint8)
    mask[0, : len(labels)] = labels
    Image.fromarray(mask).save(tree / 'masks/train/049_002.png')
    dataset = build(tree)
    with pytest.raises(ValueError, match=rf'049_002\.png holds the value {wrong}; .*only 0, 1'):
        dataset[1]
    dataset[0]


def test_colour_mask(tree):
    Image.new('RGB', (64, 64)).save(tree / 'masks/train/049_002.png')
    with pytest.raises(ValueError, match=r'049_002\.png has the shape \(64, 64, 3\)'):
        build(tree)[1]


def test_wholly_ignored_mask_is_accepted(tree):
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(tree / 'masks/train/049_002.png')
    assert (build(tree)[1]['data_samples'].gt_sem_seg.data == 255).all()


def test_reduce_zero_label_is_refused(tree):
    with pytest.raises(ValueError, match='reduce_zero_label'):
        build(tree, reduce_zero_label=True)


def test_predecessors_import_is_an_alias():
    code = (
        'import datasets.cranium_dataset, cranium.datasets.cranium_dataset\n'
        'assert datasets.cranium_dataset is cranium.datasets.cranium_dataset\n'
    )
    run_command('python', '-c', code, env={'PYTHONPATH': '.'})


def test_top_level_datasets_is_nobodys_without_pythonpath(tmp_path):
    output = run_command('python', '-c', 'import datasets', cwd=tmp_path, status=1)
    assert "No module named 'datasets'" in output
