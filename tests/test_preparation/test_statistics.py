import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.preparation.collection import open_collection
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.report import FORMATS, render, save_figure
from cranium.preparation.source import find_source
from cranium.preparation.statistics import (
    describe_histogram,
    head_region,
    histogram_of,
    lesion_sizes,
    measure,
    summarize,
)
from cranium.preparation.tables import markdown_table


def report_on(path: Path, **options) -> dict:
    collection = open_collection(path, **options)
    return summarize(collection, measure(collection))


def prepare(raw_tree, out: Path, **options) -> Path:
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(**{'folds': 3, **options}))
    write_plan(plan, out)
    return out


def test_lesions_touch_at_sides_and_corners():
    mask = np.array(
        [
            [1, 0, 0, 0, 1],
            [0, 1, 0, 0, 1],
            [0, 0, 0, 0, 0],
            [1, 1, 1, 0, 1],
        ],
        bool,
    )
    assert lesion_sizes(mask) == (1, 2, 2, 3)
    assert lesion_sizes(np.zeros((3, 3), bool)) == ()


def test_histogram_mean_std_and_percentiles():
    image = np.array([[0, 10], [20, 30]], np.uint8)[..., None]
    described = describe_histogram(histogram_of(image, np.ones((2, 2), bool))[0])
    assert described['mean'] == 15
    assert described['std'] == pytest.approx(125**0.5)  # (225 + 25 + 25 + 225) / 4
    assert (described['p5'], described['p50'], described['p75']) == (0, 10, 20)
    assert described['p99.5'] == 30
    assert set(describe_histogram(np.zeros(256)).values()) == {None}


def test_histogram_of_a_region():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    region = np.array([[True, False, False], [False, False, True]])
    assert histogram_of(image, region)[0].nonzero()[0].tolist() == [0, 5]


def test_the_head_is_the_largest_region_filled():
    image = np.zeros((20, 20), np.uint8)
    image[2:14, 2:14] = 255  # skull
    image[4:12, 4:12] = 0  # and air in it
    image[16:18, :] = 200  # the table
    expected = np.zeros((20, 20), bool)
    expected[2:14, 2:14] = True
    assert np.array_equal(head_region(image), expected)
    assert not head_region(np.zeros((5, 5), np.uint8)).any()


def test_a_raw_tree_by_hand(raw_tree):
    report = report_on(raw_tree.root)
    # 3 masks of 16 pixels among 15 slices of 256.
    assert report['classes']['all']['hemorrhage'] == {'slices': 3, 'percent': 100 * 48 / 3840}
    assert report['classes']['all']['background'] == {'slices': 15, 'percent': 100 - 1.25}
    assert report['splits'] == {
        'all': {
            'patients': 5,
            'slices': 15,
            'hemorrhage_patients': 3,
            'hemorrhage_slices': 3,
        }
    }
    assert report['types']['Subdural'] == {
        'patients': 3,
        'slices': 3,
        'slices_alone': 0,
        'pixels_alone': 0,
        'with': {'Intraventricular': 0, 'Intraparenchymal': 3, 'Subarachnoid': 0, 'Epidural': 0},
    }
    assert report['type_combinations'] == {'Intraparenchymal+Subdural': {'slices': 3, 'pixels': 48}}
    assert report['lesion_pixels'] == [16, 16, 16]
    assert report['lesions']['lesions per hemorrhage slice']['mean'] == 1
    people = report['people']
    assert people['all']['sex'] == {'Female': 1, 'Male': 1, 'unknown': 3}
    assert (people['all']['age']['min'], people['all']['age']['max']) == (0.5, 35)
    assert people['hemorrhage']['under_18'] == 1


def test_intensities_are_those_of_the_pixels(raw_tree):
    report = report_on(raw_tree.root)
    pixels, inside = [], []
    for path in sorted(raw_tree.root.glob('Patients_CT/*/brain/?.jpg')):
        image = np.asarray(Image.open(path))
        pixels.append(image)
        if path.with_name(f'{path.stem}_HGE_Seg.jpg').exists():
            inside.append(image[4:8, 4:8])
    assert report['intensity']['image']['mean'] == pytest.approx(np.mean(pixels))
    assert report['intensity']['image']['std'] == pytest.approx(np.std(pixels))
    assert report['intensity']['hemorrhage']['mean'] == pytest.approx(np.mean(inside))
    assert report['normalization']['mean'] == [round(float(np.mean(pixels)), 2)] * 3


def test_a_prepared_tree_counts_like_its_source(raw_tree, tmp_path):
    raw, prepared = report_on(raw_tree.root), report_on(prepare(raw_tree, tmp_path / 'out'))
    same = ('types', 'type_combinations', 'lesions', 'people', 'intensity', 'unlabelled_slices')
    assert {key: raw[key] for key in same} == {key: prepared[key] for key in same}
    assert raw['classes']['all'] == prepared['classes']['all']
    assert set(prepared['splits']) == {'train', 'val'}
    assert sum(fold['slices'] for fold in prepared['folds']) == 15
    contents = prepared['contents']
    assert contents['train']['lesions'] + contents['val']['lesions'] == 3
    assert contents['val'] == {
        'Intraventricular': 0,
        'Intraparenchymal': 1,
        'Subarachnoid': 0,
        'Epidural': 0,
        'Subdural': 1,
        'hemorrhage pixels': 16,
        'lesions': 1,
        'median lesion': 16,
    }


def test_normalization_is_of_the_training_split(raw_tree, tmp_path):
    out = prepare(raw_tree, tmp_path / 'out', window='brain-bone')
    pixels = np.stack([np.asarray(Image.open(path)) for path in out.glob('images/train/*.png')])
    normalization = report_on(out)['normalization']
    assert normalization['over'] == 'train'
    assert normalization['mean'] == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=0.006)
    assert normalization['std'] == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=0.006)
    assert normalization['mean'][0] != normalization['mean'][1]


def test_unlabelled_pixels_are_in_no_class(raw_tree, tmp_path):
    (raw_tree.root / 'Patients_CT/049/brain/2_HGE_Seg.jpg').unlink()
    raw_tree.add(54, 1, bleeds=True)
    raw_tree.write_csv()
    for path in (raw_tree.root, prepare(raw_tree, tmp_path / 'out', unlabelled='keep')):
        report = report_on(path)
        assert report['unlabelled_slices'] == 1
        assert report['classes']['all']['hemorrhage']['percent'] == 100 * 48 / 3840
        assert report['classes']['all']['background']['slices'] == 15


def test_threshold(raw_tree, tmp_path, encode_jpeg):
    mask = np.zeros((16, 16), np.uint8)
    mask[8:] = 200
    raw_tree.write('Patients_CT/049/brain/2_HGE_Seg.jpg', encode_jpeg(mask))
    assert report_on(raw_tree.root)['lesion_pixels'] == [16, 16, 128]
    assert report_on(raw_tree.root, mask_threshold=254)['lesion_pixels'] == [16, 16]
    out = prepare(raw_tree, tmp_path / 'out')
    remedy = 'use --source with the raw download: its zip, or its folder Patients_CT'
    with pytest.raises(CraniumError, match=f'prepared with mask threshold 127, not 254; {remedy}'):
        open_collection(out, mask_threshold=254)


@pytest.mark.parametrize('wrapping', ['', 'ct-ich'])
@pytest.mark.parametrize('zipped', [False, True])
def test_the_remedy_for_another_threshold_works_as_printed(raw_tree, tmp_path, wrapping, zipped):
    data = tmp_path / 'data'
    prepare(raw_tree, data)
    (data / wrapping).mkdir(exist_ok=True)
    if zipped:
        shutil.make_archive(str(data / wrapping / 'archive'), 'zip', raw_tree.root)
    else:
        shutil.copytree(raw_tree.root, data / wrapping, dirs_exist_ok=True)
    with pytest.raises(CraniumError, match='; use --source ') as caught:
        open_collection(data, mask_threshold=254)
    source = Path(str(caught.value).rpartition('--source ')[2])
    assert len(open_collection(source, mask_threshold=254).items) == 15


def test_the_predecessors_table(raw_tree, tmp_path):
    text = render(report_on(prepare(raw_tree, tmp_path / 'out')), 'markdown')
    assert (
        '| Class Name | Num. Train | Pct. Train | Num. Val | Pct. Val | Num. Test | Pct. Test |\n'
        in text
    )
    assert '| background |         15 |      98.75 |        - |        - |         - |' in text
    assert '| hemorrhage |          3 |       1.25 |        - |        - |         - |' in text


def test_authors_folds_of_a_raw_tree(raw_tree):
    folds = report_on(raw_tree.root)['folds']
    # 049 is n = 0 in the fourth fold; 050, 052 and 053 are 1, 3 and 4; 051 is 2 in the first.
    assert [fold['patients'] for fold in folds] == [1, 0, 1, 1, 2]


def test_other_patients_have_no_authors_folds(raw_tree):
    raw_tree.add(500, 1, bleeds=False)
    raw_tree.write_csv()
    report = report_on(raw_tree.root)
    assert report['folds'] == []
    assert 'Folds' not in render(report, 'text')


@pytest.mark.parametrize('kind', FORMATS)
def test_every_format(raw_tree, tmp_path, kind):
    report = report_on(raw_tree.root)
    if kind == 'figure':
        path = tmp_path / 'figure.png'
        save_figure(report, path)
        assert Image.open(path).width > 1000
    elif kind == 'json':
        assert json.loads(render(report, kind)) == report
    else:
        assert 'Subdural' in render(report, kind)


def test_an_empty_tree_of_masks_has_no_lesions(raw_tree, tmp_path):
    for path in raw_tree.root.glob('Patients_CT/*/brain/*_HGE_Seg.jpg'):
        path.unlink()
    report = report_on(raw_tree.root)
    assert report['lesions']['pixels of a lesion']['mean'] is None
    assert '| pixels of a lesion           |      0 |    - |' in render(report, 'text')
    save_figure(report, tmp_path / 'figure.png')


def test_markdown_table():
    assert markdown_table(['what', 'n'], [['a', 1], ['bcdef', 1000]]) == (
        '| what  |    n |\n| :---- | ---: |\n| a     |    1 |\n| bcdef | 1000 |'
    )
