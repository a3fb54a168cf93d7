import random
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from cranium.datasets import CraniumDataset
from cranium.datasets.sampler import Draw
from cranium.errors import CraniumError
from cranium.manifest import COLUMNS, write_manifest
from tests.conftest import run_command, write_hu, write_slice

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


def identities(dataset):
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [(info['patient'], info['slice']) for info in infos]


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
    assert len(build(tree, patients=123)) == len(build(tree, patients='123')) == 1
    with pytest.raises(CraniumError, match='no patient 050; it has 049, 123'):
        build(tree, patients=[50])


def test_slices_of_all_splits_without_naming_one(tree):
    """As a cross-validation needs them: one tree, patients chosen."""
    prefix = dict(img_path='images', seg_map_path='masks')
    whole = build(tree, data_prefix=prefix)
    assert [patient for patient, _ in identities(whole)] == ['049'] * 8 + ['071'] * 3
    one = build(tree, data_prefix=prefix, patients=[71])
    assert identities(one) == [('071', 1), ('071', 2), ('071', 3)]
    assert one[1]['data_samples'].gt_sem_seg.data.sum() == 12 * 18
    assert scan_of(one, 0) == ['071_001.png', '071_002.png', '071_003.png']


def test_names_of_any_length(tree):
    write_slice(tree, 'train', '1050_1000', *np.zeros((2, 64, 64), np.uint8))
    assert identities(build(tree, patients=[1050])) == [('1050', 1000)]


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
    with pytest.raises(FileNotFoundError, match=f'{folder}/train.*cranium prepare'):
        build(tree)


def test_empty_folder(tree):
    for path in (tree / 'images/train').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r'images/train.*no \.png.*cranium prepare'):
        build(tree)


def test_image_without_mask(tree):
    (tree / 'masks/train/049_004.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'masks/train/049_004\.png.*mask of.*cranium prepare'
    ):
        build(tree)


def test_list_that_names_a_missing_image(tree):
    (tree / 'list.txt').write_text('049_099\n')
    with pytest.raises(FileNotFoundError, match=r'images/train/049_099\.png.*cranium prepare'):
        build(tree, ann_file='list.txt')
    with pytest.raises(FileNotFoundError, match=r'nowhere\.txt'):
        build(tree, ann_file='nowhere.txt')


@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_a_pipeline_for_gray_values_refuses_hu(tree, color_type):
    pipeline = [dict(type='LoadImageFromFile', color_type=color_type), *PIPELINE[1:]]
    assert len(build(tree, pipeline=pipeline)[0]['inputs']) == (3 if color_type == 'color' else 1)
    write_hu(tree)
    file = tree / 'images/train/049_001.png'
    with pytest.raises(CraniumError, match=f'{file} holds .*--window brain --overwrite'):
        build(tree, pipeline=pipeline)
    with pytest.raises(CraniumError, match=f'{file} holds .*--window brain --overwrite'):
        build(tree, pipeline=pipeline[1:], load=pipeline[:1])
    unchanged = dict(type='LoadImageFromFile', color_type='unchanged')
    with pytest.raises(CraniumError, match=f'{file} holds .*--window brain --overwrite'):
        build(tree, pipeline=[unchanged, dict(type='GrayChannels', channels=3)])
    hu = build(tree, pipeline=[unchanged, dict(type='LoadScan')])
    assert [type(step).__name__ for step in hu.pipeline.transforms] == ['LoadScan']  # read once


def test_a_test_without_masks(tree):
    shutil.rmtree(tree / 'masks/train')
    match = 'masks/train is not a folder; .* slices that have none: `cranium predict`'
    with pytest.raises(FileNotFoundError, match=match):
        build(tree)


@pytest.fixture
def manifest(tree):
    """The manifest of the tree; slice 5 alone shows hemorrhage, slice 6 has no head."""
    rows = [
        dict.fromkeys(COLUMNS, '')
        | dict(patient='049', slice=number, image=f'images/train/049_{number:03d}.png', age=1.0)
        | dict(hemorrhage_pixels=7 * (number == 5), head_angle=-3.0)
        | dict(head_x=np.nan if number == 6 else 10.5, head_y=np.nan if number == 6 else 20.0)
        | dict(pixel_mm=np.nan if number == 3 else 0.5, slice_mm=4.0 if number == 2 else np.nan)
        for number in range(1, 8)
    ]
    left_out = rows[0] | dict(image='', slice=9)
    write_manifest(pd.DataFrame([*rows, left_out]), tree)


def test_the_manifest_tells_what_is_known_of_a_slice(tree, manifest):
    dataset = build(tree)
    info = [dataset.get_data_info(index) for index in range(8)]
    assert [i['slice'] for i in info] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert info[4]['head_center'] == (10.5, 20.0) and info[4]['head_angle'] == -3
    assert info[5]['head_center'] is None and info[5]['head_angle'] == -3
    # Of slice 3 it is not known, and 8 was added by hand.
    assert [i['pixel_mm'] for i in info] == [0.5, 0.5, 0.36, 0.5, 0.5, 0.5, 0.5, 0.36]
    assert [i.get('voxel_mm') for i in info] == [None, (4, 0.5, 0.5)] + [None] * 6
    assert 'head_angle' not in info[7]  # not in the manifest: somebody added it by hand
    for number in range(1, 8):
        (tree / f'masks/train/049_{number:03d}.png').write_bytes(b'not read')
    assert dataset.has_hemorrhage().tolist() == [False] * 4 + [True] + [False] * 2 + [True]


def test_a_manifest_of_something_else(tree):
    (tree / 'manifest.csv').write_text('a,b\n1,2\n')
    with pytest.raises(CraniumError, match=r'manifest\.csv: not a manifest of Cranium'):
        build(tree)


def test_foreign_name(tree):
    shutil.copy(tree / 'images/train/049_001.png', tree / 'images/train/photo.png')
    shutil.copy(tree / 'masks/train/049_001.png', tree / 'masks/train/photo.png')
    with pytest.raises(CraniumError, match=r'photo\.png is not named <patient>_<slice>'):
        build(tree)


@pytest.mark.parametrize(
    'labels, wrong', [((0, 255), '255'), ((0, 1, 2), '2'), ((0, 1, 255), '255'), ((0, 254), '254')]
)
def test_mask_with_another_value(tree, labels, wrong):
    mask = np.zeros((64, 64), np.uint8)
    mask[0, : len(labels)] = labels
    Image.fromarray(mask).save(tree / 'masks/train/049_002.png')
    dataset = build(tree)
    with pytest.raises(CraniumError, match=rf'049_002\.png holds the value {wrong}; .*only 0, 1'):
        dataset[1]
    dataset[0]


def test_colour_mask(tree):
    Image.new('RGB', (64, 64)).save(tree / 'masks/train/049_002.png')
    with pytest.raises(CraniumError, match=r'049_002\.png has the shape \(64, 64, 3\)'):
        build(tree)[1]


def test_wholly_ignored_mask_is_accepted(tree):
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(tree / 'masks/train/049_002.png')
    assert (build(tree)[1]['data_samples'].gt_sem_seg.data == 255).all()


def test_reduce_zero_label_is_refused(tree):
    with pytest.raises(CraniumError, match='reduce_zero_label'):
        build(tree, reduce_zero_label=True)


def scan_of(dataset, index):
    info = dataset.get_data_info(index)
    assert info['scan'][info['slice']].image == info['img_path']
    return [files.image.rpartition('/')[2] for files in info['scan'].values()]


def test_slices_come_in_order_of_patient_and_number(tree):
    # Without leading zeros, as the predecessor wrote them, the order of names is another one.
    for number in (9, 10, 11):
        write_slice(tree, 'train', f'123_{number}', *np.zeros((2, 64, 64), np.uint8))
    expected = ['123_9.png', '123_10.png', '123_11.png']
    assert [s for _, s in identities(build(tree))] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
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


def test_donors_are_drawn_by_patient_first(tree):
    """One slice of patient 050 shows hemorrhage, and six of 049."""
    image, mask = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    write_slice(tree, 'train', '050_001', image, mask)
    mask[:5, :5] = 1
    write_slice(tree, 'train', '050_002', image, mask)
    dataset = build(tree)
    draw = dataset.begin(2)['draw_donor']
    np.random.seed(0)
    drawn = [draw() for _ in range(200)]
    assert 70 < sum(donor['patient'] == '050' for donor in drawn) < 130
    slices = {(donor['patient'], donor['slice']) for donor in drawn}
    assert slices == {('050', 2), *(('049', number) for number in (1, 2, 4, 5, 7, 8))}
    dataset.get_subset_([0, 1])  # another data set, with other donors
    assert {draw()['patient'] for _ in range(20)} == {'049'}


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
    with pytest.raises(CraniumError, match=r'049_002\.png holds the value 255'):
        build(tree).has_hemorrhage()
    dataset = build(tree, data_prefix=dict(img_path='images/train'))
    with pytest.raises(CraniumError, match=r'images/train was given without masks'):
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


def test_the_pipeline_knows_the_progress_of_the_training(tree):
    dataset = build(tree, pipeline=[])
    assert dataset[Draw(1, 5, 30, progress=0.3)]['progress'] == 0.3
    assert dataset[1]['progress'] == 1.0


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
    output = run_command(
        'python', '-c', 'import datasets', cwd=tmp_path, env={'PYTHONPATH': ''}, status=1
    )
    assert "No module named 'datasets'" in output
