"""The table of a network on degraded slices."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import robustness as benchmark
from benchmarks.degradations import TRIALS
from cranium.errors import CraniumError
from cranium.manifest import COLUMNS, EMPTY_ROW, write_manifest
from cranium.windows import encode_hu


def row(patient, number, split, label='background'):
    image = f'images/{split}/{patient}_{number:03d}.png'
    return EMPTY_ROW | dict(
        patient=patient, slice=number, split=split, label=label, image=image, pixel_mm=0.36
    )


@pytest.fixture
def tree(tmp_path):
    """A tree of heads of 030 and 031; a bleed in slice 2 of 031, slice 1 of 030 not labelled."""
    rows = [row('031', n, 'test', 'mask' if n == 2 else 'background') for n in (2, 1)]
    rows += [row('030', n, 'train', 'unlabelled' if n == 1 else 'background') for n in (1, 2)]
    for each in rows:
        hu, mask = np.full((130, 130), -1000, np.int16), np.zeros((130, 130), np.uint8)
        hu[20:110, 30:100] = 30
        if each['label'] == 'mask':
            hu[50:70, 50:70], mask[50:70, 50:70] = 70, 1
        for folder, pixels in (('images', encode_hu(hu)), ('masks', mask)):
            path = tmp_path / each['image'].replace('images', folder, 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    write_manifest(pd.DataFrame(rows, columns=list(COLUMNS)), tmp_path)
    folds = [{'members': ['030']}, {'members': ['031']}]
    (tmp_path / 'splits.json').write_text(json.dumps({'protocol': 'authors', 'folds': folds}))
    return tmp_path


def test_patients_of_the_tree_and_of_a_fold(tree):
    (of_tree,) = benchmark.find_patients(tree, None)
    assert of_tree.name == '031' and of_tree.pixel_mm == 0.36
    slices = of_tree.read()
    assert slices.hu[:, 60, 60].tolist() == [30, 70]  # in the order of their numbers
    assert slices.masks.sum(axis=(1, 2)).tolist() == [0, 400]
    (of_fold,) = benchmark.find_patients(tree, 0)
    assert [image.name for image in of_fold.images] == ['030_002.png']


def test_no_patients(tree):
    with pytest.raises(CraniumError, match='no fold 2; choose one of 0 to 1'):
        benchmark.find_patients(tree, 2)
    rows = pd.DataFrame([row('030', 1, 'train')], columns=list(COLUMNS))
    write_manifest(rows, tree)
    with pytest.raises(CraniumError, match='no patient to test on; name a --fold'):
        benchmark.find_patients(tree, None)


def test_never_on_patients_that_were_trained_on(tree):
    patients = benchmark.find_patients(tree, 1)
    benchmark.refuse_trained('iter_1.pth', ['030'], patients)
    with pytest.raises(CraniumError, match=r'iter_1.pth: was trained on 031; name the --fold'):
        benchmark.refuse_trained('iter_1.pth', ['030', '031'], patients)


def test_slices_that_count():
    bleeds = np.array([0, 0, 0, 1, 0, 0, 1], bool)
    assert benchmark.choose_slices(bleeds, None) == list(range(7))
    assert benchmark.choose_slices(bleeds, 2) == [0, 3, 5, 6]
    assert benchmark.choose_slices(bleeds, 9) == list(range(7))


def test_figures_of_four_slices():
    outcome = benchmark.Outcome()
    bleed, none = np.array([[1, 1, 0, 0]], np.uint8), np.zeros((1, 4), np.uint8)
    outcome.add(0, bleed, 2.0, np.array([[0, 1, 0, 0]], np.uint8))  # Dice 2/3
    outcome.add(0, bleed, 0.0, none)  # Dice 0
    outcome.add(1, none, 1.0, none)
    outcome.add(1, none, -1.0, bleed)
    assert outcome.figures(0.5) == {
        'slice AUC': '0.750',
        'Dice per hemorrhage slice': '0.333',
        'sensitivity': '0.500',
        'specificity': '0.500',
    }
    assert outcome.figures(0.0)['sensitivity'] == '1.000'  # what reaches it


def test_nothing_to_sum_up():
    assert set(benchmark.Outcome().figures(0.0).values()) == {'nan'}


def test_trials_by_the_begin_of_their_names():
    assert benchmark.choose_trials(()) == list(TRIALS)
    chosen = benchmark.choose_trials(['JPEG', 'noise'])
    assert {each.name for each in chosen} == {'none, whole scan', 'noise', 'JPEG'}
    with pytest.raises(CraniumError, match="no degradation 'sharpness'; choose from JPEG; alone"):
        benchmark.choose_trials(['noise', 'sharpness'])


def test_the_pretrained_network(tree, capsys):
    checkpoint = 'checkpoints/unet-cranium_small_1xb8-8k_cranium-aligned-192x160.pth'
    names = ['one slice', 'side cut off, pixel']
    table = benchmark.measure(tree, checkpoint, 1, names=names)
    assert [row['degradation'] for row in table[:2]] == ['none, whole scan', 'one slice alone']
    assert [row['strength'] for row in table] == ['', '', '5%', '10%', '20%']
    assert all(0 <= float(row['slice AUC']) <= 1 for row in table)
    assert capsys.readouterr().err == '1 of 1: 031\n'
    rows = benchmark.measure(tree, checkpoint, 1, thresholds=(-99, 99), names=['one slice'])
    assert [row['sensitivity'] for row in rows] == ['1.000', '0.000']
