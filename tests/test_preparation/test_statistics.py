import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.preparation.collection import open_collection, read_image
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.report import render, save_figure
from cranium.preparation.source import FolderSource, find_source
from cranium.preparation.statistics import (
    describe,
    describe_histogram,
    histogram_of,
    lesion_sizes,
)


def statistics_of(path, **options):
    return describe(open_collection(path, **options))


def tables_of(path, **options):
    """By key, and by row and column."""
    tables = statistics_of(path, **options).tables
    return {key: table.rows.to_dict('index') for key, table in tables.items()}


def prepare(raw_tree, out, **options):
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
    assert lesion_sizes(mask) == [1, 2, 2, 3]
    assert lesion_sizes(np.zeros((3, 3), bool)) == []


def test_histogram_mean_std_and_percentiles():
    image = np.array([[0, 10], [20, 30]], np.uint8)[..., None]
    described = describe_histogram(histogram_of(image, np.ones((2, 2), bool))[0])
    assert described['mean'] == 15
    assert described['std'] == pytest.approx(125**0.5)  # (225 + 25 + 25 + 225) / 4
    assert (described['p5'], described['p50'], described['p75']) == (0, 10, 20)
    assert described['p99.5'] == 30
    assert np.isnan([*describe_histogram(np.zeros(256, int)).values()]).all()


def test_histogram_of_a_region():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    region = np.array([[True, False, False], [False, False, True]])
    assert histogram_of(image, region)[0].nonzero()[0].tolist() == [0, 5]


def test_a_raw_tree_by_hand(raw_tree):
    statistics = statistics_of(raw_tree.root)
    tables = {key: table.rows.to_dict('index') for key, table in statistics.tables.items()}
    # 3 masks of 16 pixels among 15 slices of 256.
    assert tables['classes'] == {
        'background': {'Num. All': 15, 'Pct. All': 98.75},
        'hemorrhage': {'Num. All': 3, 'Pct. All': 1.25},
    }
    counts = dict(patients=5, slices=15, hemorrhage_patients=3, hemorrhage_slices=3)
    assert tables['splits'] == {'all': counts}
    subdural = tables['types']['Subdural']
    assert np.isnan(subdural.pop('with Subdural'))
    assert subdural == {
        'patients': 3,
        'slices': 3,
        'alone': 0,
        'pixels alone': 0,
        'with Intraventricular': 0,
        'with Intraparenchymal': 3,
        'with Subarachnoid': 0,
        'with Epidural': 0,
    }
    combination = {'Intraparenchymal+Subdural': {'slices': 3, 'pixels': 48}}
    assert tables['type_combinations'] == combination
    assert statistics.lesions == [16, 16, 16]
    assert tables['lesions']['lesions per hemorrhage slice']['mean'] == 1
    people = tables['people']
    assert [people['all'][sex] for sex in ('female', 'male', 'unknown')] == [1, 1, 3]
    assert (people['all']['youngest'], people['all']['oldest']) == (0.5, 35)
    assert [people[group]['under 18'] for group in ('with hemorrhage', 'without')] == [1, 0]


def test_intensities_are_those_of_the_pixels(raw_tree):
    statistics = statistics_of(raw_tree.root)
    pixels, inside = [], []
    for path in sorted(raw_tree.root.glob('Patients_CT/*/brain/?.jpg')):
        image = np.asarray(Image.open(path))
        pixels.append(image)
        if path.with_name(f'{path.stem}_HGE_Seg.jpg').exists():
            inside.append(image[4:8, 4:8])
    intensity = statistics.tables['intensity'].rows
    assert intensity.loc['image', 'mean'] == pytest.approx(np.mean(pixels))
    assert intensity.loc['image', 'std'] == pytest.approx(np.std(pixels))
    assert intensity.loc['hemorrhage', 'mean'] == pytest.approx(np.mean(inside))
    assert statistics.normalization['mean'] == [round(float(np.mean(pixels)), 2)] * 3


def test_a_prepared_tree_counts_like_its_source(raw_tree, tmp_path):
    raw, prepared = tables_of(raw_tree.root), tables_of(prepare(raw_tree, tmp_path / 'out'))
    for key in ('types', 'type_combinations', 'lesions', 'people', 'intensity'):
        assert str(raw[key]) == str(prepared[key])  # nan is not equal to nan
    for name, row in raw['classes'].items():
        assert row.items() <= prepared['classes'][name].items()
    assert set(prepared['splits']) == {'train', 'val'}
    assert sum(fold['slices'] for fold in prepared['folds'].values()) == 15
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
    out = prepare(raw_tree, tmp_path / 'out', window='hu')
    pixels = np.stack([read_image(FolderSource(out), str(p)) for p in out.glob('images/train/*')])
    normalization = statistics_of(out).normalization
    assert normalization['over'] == 'train'
    assert normalization['mean'] == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=0.006)
    assert normalization['std'] == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=0.006)
    assert normalization['mean'][0] != normalization['mean'][1]


def test_unlabelled_pixels_are_in_no_class(raw_tree, tmp_path):
    (raw_tree.root / 'Patients_CT/049/brain/2_HGE_Seg.jpg').unlink()
    raw_tree.add(54, 1, bleeds=True)
    raw_tree.write_csv()
    for path in (raw_tree.root, prepare(raw_tree, tmp_path / 'out', unlabelled='keep')):
        tables = statistics_of(path).tables
        assert 'Unlabelled slices: 1.' in tables['splits'].note
        classes = tables['classes'].rows
        assert classes.loc['hemorrhage', 'Pct. All'] == 100 * 48 / 3840
        assert classes.loc['background', 'Num. All'] == 15


def test_threshold(raw_tree, tmp_path, encode_jpeg):
    mask = np.zeros((16, 16), np.uint8)
    mask[8:, :8] = 200
    raw_tree.write('Patients_CT/049/brain/2_HGE_Seg.jpg', encode_jpeg(mask))
    assert statistics_of(raw_tree.root).lesions == [16, 16, 64]
    assert statistics_of(raw_tree.root, mask_threshold=254).lesions == [16, 16]
    out = prepare(raw_tree, tmp_path / 'out')
    remedy = 'use --source with the raw download: its zip, or its folder Patients_CT'
    with pytest.raises(CraniumError, match=f'prepared with mask threshold 127, not 254; {remedy}'):
        open_collection(out, mask_threshold=254)


def test_a_tree_of_another_threshold_is_described_by_its_own(raw_tree, tmp_path):
    out = prepare(raw_tree, tmp_path / 'out', mask_threshold=254)
    assert 'is hemorrhage above 254' in statistics_of(out).tables['classes'].note


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
    assert len(open_collection(source, mask_threshold=254).slices) == 15


def test_authors_folds_of_a_raw_tree(raw_tree):
    folds = statistics_of(raw_tree.root).tables['folds'].rows
    # 049 is n = 0 in the fourth fold; 050, 052 and 053 are 1, 3 and 4; 051 is 2 in the first.
    assert folds['patients'].tolist() == [1, 0, 1, 1, 2]


def test_other_patients_have_no_authors_folds(raw_tree):
    raw_tree.add(500, 1, bleeds=False)
    raw_tree.write_csv()
    assert 'folds' not in statistics_of(raw_tree.root).tables


def test_a_split_by_slices_is_called_inflated(raw_tree, tmp_path):
    out = prepare(raw_tree, tmp_path / 'out', split='slice')
    assert 'inflated' in statistics_of(out).tables['splits'].note


def test_text_markdown_and_json_hold_the_same(raw_tree):
    statistics = statistics_of(raw_tree.root)
    row = '| hemorrhage   |          3 |       1.25 |'
    assert 'Classes:\n\n| Class Name ' in (text := render(statistics, 'text')) and row in text
    markdown = render(statistics, 'markdown')
    assert '## Classes\n\n| Class Name ' in markdown and row in markdown
    assert '```python\nmean=[' in markdown
    content = json.loads(render(statistics, 'json'))
    assert content['tables']['classes']['hemorrhage'] == {'Num. All': 3, 'Pct. All': 1.25}
    assert content['tables']['types']['Epidural']['with Epidural'] is None
    assert sum(content['histograms']['image']) == 15 * 256 and content['lesions'] == [16, 16, 16]


def test_figure(raw_tree, monkeypatch, tmp_path):
    from matplotlib.figure import Figure

    saved = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, path, **_: saved.append(self))
    save_figure(statistics_of(raw_tree.root), tmp_path / 'figure.png')
    intensity, sizes, types, folds = saved[0].axes
    assert [line.get_label() for line in intensity.lines] == ['head', 'hemorrhage']
    assert sum(patch.get_height() for patch in sizes.patches) == 3  # lesions
    names = [text.get_text() for text in types.get_yticklabels()]
    others = dict(zip(names, (bar.get_width() for bar in types.patches[5:])))
    assert others['Subdural'] == 3 and others['Epidural'] == 0
    assert [bar.get_height() for bar in folds.patches[:5]] == [3, 0, 3, 3, 6]


def test_a_tree_without_masks_has_no_lesions(raw_tree, tmp_path):
    for path in raw_tree.root.glob('Patients_CT/*/brain/*_HGE_Seg.jpg'):
        path.unlink()
    statistics = statistics_of(raw_tree.root)
    assert statistics.tables['lesions'].rows.loc['pixels of a lesion', 'count'] == 0
    assert 'pixels of a lesion' in render(statistics, 'text')
    save_figure(statistics, tmp_path / 'figure.png')
