import random
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from cranium.datasets import CraniumDataset
from cranium.datasets.sampler import Draw
from tests.conftest import run_command, write_slice

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


@pytest.mark.parametrize('channels, refused', [((60, 60, 60), False), ((60, 90, 60), True)])
def test_gray_pipeline_refuses_two_windows(tree, channels, refused):
    gray = [dict(type='LoadImageFromFile', color_type='grayscale'), *PIPELINE[1:]]
    file = tree / 'images/train/049_001.png'
    Image.new('RGB', (64, 64), channels).save(file)
    build(tree)  # in colour all is well
    if refused:
        with pytest.raises(ValueError, match=f'{file} holds .*--window brain --overwrite'):
            build(tree, pipeline=gray)
    else:
        assert build(tree, pipeline=gray)[0]['inputs'].shape[0] == 1


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


def scan_of(dataset, index):
    info = dataset.get_data_info(index)
    names = [path.rpartition('/')[2] for path in info['scan']]
    assert info['img_path'] in info['scan']
    return names


def test_scan_is_the_patients_slices_in_order_of_number(tree):
    # Without leading zeros, as the predecessor wrote them, the order of names is another one.
    for number in (9, 10, 11):
        write_slice(tree, 'train', f'123_{number}', *np.zeros((2, 64, 64), np.uint8))
    expected = ['123_9.png', '123_10.png', '123_11.png']
    for serialize_data in (True, False):
        dataset = build(tree, serialize_data=serialize_data)
        assert [scan_of(dataset, index) for index in (-3, -2, -1)] == [expected] * 3
        assert scan_of(dataset, 0) == [f'049_{number:03d}.png' for number in range(1, 9)]


def test_scan_holds_slices_that_the_data_set_leaves_out(tree):
    write_slice(tree, 'train', '123_001', *np.zeros((2, 64, 64), np.uint8))
    (tree / 'list.txt').write_text('049_003\n049_001\n')
    whole = [f'049_{number:03d}.png' for number in range(1, 9)]
    for dataset in (
        build(tree, ann_file='list.txt'),
        build(tree, patients=[49]),
        build(tree, indices=[4]),
        build(tree).get_subset([2]),
        build(tree, lazy_init=True),
    ):
        assert scan_of(dataset, 0) == whole


def test_scan_ends_at_the_folder(tree):
    """As the predecessor's lists name slices of both folders."""
    write_slice(tree, 'val', '049_020', *np.zeros((2, 64, 64), np.uint8))
    (tree / 'train.txt').write_text('train/049_001\nval/049_020\n')
    (tree / 'images/train/photo.png').touch()
    prefix = dict(img_path='images/', seg_map_path='masks/')
    dataset = build(tree, ann_file='train.txt', data_prefix=prefix)
    assert len(scan_of(dataset, 0)) == 8
    assert scan_of(dataset, 1) == ['049_020.png']


def test_scan_and_identity_reach_the_pipeline(tree):
    @TRANSFORMS.register_module(force=True)
    class Look:
        def __call__(self, results):
            # A tuple: what one sample does must not reach the next.
            assert isinstance(results['scan'], tuple)
            seen.append((results['patient'], results['slice'], len(results['scan'])))
            return results

    seen = []
    dataset = build(tree, pipeline=[dict(type='Look'), *PIPELINE])
    assert [dataset[index]['data_samples'].slice for index in (2, 2)] == [3, 3]
    assert seen == [('049', 3, 8)] * 2


def test_has_hemorrhage(tree):
    """Slices 3 and 6 of conftest.write_tree are without; here slice 4 is unlabelled."""
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(tree / 'masks/train/049_004.png')
    expected = [True, True, False, False, True, False, True, True]
    for serialize_data in (True, False):
        dataset = build(tree, serialize_data=serialize_data)
        flags = dataset.has_hemorrhage()
        assert (flags.dtype, flags.tolist()) == (bool, expected)
        assert dataset.get_subset([2, 0, 5]).has_hemorrhage().tolist() == [False, True, False]
        dataset.get_subset_([7, 3])
        assert dataset.has_hemorrhage().tolist() == [True, False]
    assert build(tree, lazy_init=True).has_hemorrhage().tolist() == expected


def test_has_hemorrhage_reads_the_masks_once(tree):
    dataset = build(tree)
    flags = dataset.has_hemorrhage()
    shutil.rmtree(tree / 'masks')
    assert dataset.has_hemorrhage().tolist() == flags.tolist()


def test_has_hemorrhage_sees_a_single_pixel(tree):
    mask = np.zeros((64, 64), np.uint8)
    mask[63, 63] = 1
    Image.fromarray(mask).save(tree / 'masks/train/049_003.png')
    assert build(tree).has_hemorrhage()[2]


def test_has_hemorrhage_refuses_what_loading_would_refuse(tree):
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(tree / 'masks/train/049_002.png')
    with pytest.raises(ValueError, match=r'049_002\.png holds the value 255'):
        build(tree).has_hemorrhage()
    dataset = build(tree, data_prefix=dict(img_path='images/train'))
    with pytest.raises(ValueError, match=r'images/train was given without masks'):
        dataset.has_hemorrhage()


AUGMENT = [
    *PIPELINE[:2],
    dict(type='RandomResize', scale=(64, 64), ratio_range=(0.5, 2.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomCrop', crop_size=(24, 24)),
    PIPELINE[2],
]
DRAWS = [Draw(index, 5, number) for number, index in enumerate([1, 1, 4, 1, 7, 0])]


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_a_draw_is_augmented_the_same_in_any_process(tree, workers):
    dataset = build(tree, pipeline=AUGMENT)
    random.seed(workers)
    np.random.seed(workers)
    expected = [dataset[draw]['inputs'] for draw in DRAWS]
    # In another order, so that what a worker drew before is another thing as well.
    loader = DataLoader(
        dataset, sampler=DRAWS[::-1], num_workers=workers, collate_fn=pseudo_collate
    )
    for sample, inputs in zip(loader, expected[::-1]):
        torch.testing.assert_close(sample['inputs'][0], inputs, rtol=0, atol=0)
    # Draws of one slice differ, and so the augmentation is not switched off.
    assert not torch.equal(expected[0], expected[1]) and not torch.equal(expected[0], expected[3])


def test_the_pipeline_knows_the_number_of_a_draw(tree):
    dataset = build(tree, pipeline=[])
    assert dataset[Draw(1, 5, 30)]['draw'] == 30
    assert 'draw' not in dataset[1]


def test_a_plain_index_is_not_seeded(tree):
    dataset = build(tree, pipeline=AUGMENT)
    assert not torch.equal(dataset[1]['inputs'], dataset[1]['inputs'])


def test_the_doorway_of_the_predecessors_configs():
    code = (
        'import datasets.cranium_dataset, cranium.datasets.cranium_dataset\n'
        'assert datasets.cranium_dataset.CraniumDataset is cranium.datasets.CraniumDataset\n'
    )
    run_command('python', '-c', code, env={'PYTHONPATH': '.'})


def test_top_level_datasets_is_nobodys_without_pythonpath(tmp_path):
    output = run_command('python', '-c', 'import datasets', cwd=tmp_path, status=1)
    assert "No module named 'datasets'" in output
