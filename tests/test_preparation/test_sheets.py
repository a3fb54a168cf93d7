import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.preparation.collection import open_collection
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.sheets import choose, load
from cranium.preparation.source import find_source


@pytest.fixture
def collection(raw_tree):
    return open_collection(raw_tree.root)


def names(collection, **wish):
    return choose(collection, **{'number': 99} | wish).index.tolist()


def test_choosing(collection):
    bleeding = ['049_002', '050_002', '051_002']
    assert names(collection) == bleeding
    assert names(collection, patients=['050']) == ['050_002']
    assert names(collection, kind='Subdural', pixels=(16, None)) == bleeding
    assert names(collection, pixels=(0, 16)) == bleeding
    clean = names(collection, clean=True)
    assert len(clean) == 12 and '049_002' not in clean and clean == sorted(clean)
    drawn = [names(collection, number=5, clean=True, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_unlabelled_slice_is_not_clean(raw_tree):
    (raw_tree.root / 'Patients_CT/050/brain/2_HGE_Seg.jpg').unlink()
    collection = open_collection(raw_tree.root)
    slices = collection.slices
    assert slices.index[slices['label'] == 'unlabelled'].tolist() == ['050_002']
    assert '050_002' not in names(collection, clean=True)
    (view,) = load(collection, slices.loc[['050_002']])
    assert view.caption == '050 / 2  unlabelled' and (view.mask == 255).all()


@pytest.mark.parametrize(
    ('wish', 'message'),
    [
        ({'patients': ['099']}, 'no patient 099; it has 049 to 053'),
        ({'kind': 'Epidural'}, 'no slice is like this'),
        ({'pixels': (17, None)}, 'no slice is like this'),
        ({'pixels': (0, 15)}, 'no slice is like this'),
    ],
)
def test_nothing_to_choose(collection, wish, message):
    with pytest.raises(CraniumError, match=message):
        choose(collection, number=1, **wish)


def test_views_of_a_download(collection):
    clean, bleeding = load(collection, collection.slices.loc[['049_001', '049_002']])
    assert clean.caption == '049 / 1  no hemorrhage' and not clean.mask.any()
    assert bleeding.caption == '049 / 2  Intraparenchymal + Subdural'
    expected = np.zeros((16, 16), bool)
    expected[4:8, 4:8] = True
    assert np.array_equal(bleeding.mask == 1, expected)
    assert bleeding.bone is not None and not np.array_equal(bleeding.image, bleeding.bone)


@pytest.mark.parametrize('window', ['brain', 'hu'])
def test_views_of_a_prepared_tree_are_those_of_its_source(raw_tree, collection, tmp_path, window):
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3, window=window))
    write_plan(plan, tmp_path / 'out')
    prepared = open_collection(tmp_path / 'out')
    (raw,) = load(collection, choose(collection, number=1, patients=['050']))
    (view,) = load(prepared, choose(prepared, number=1, patients=['050']))
    assert np.array_equal(view.mask, raw.mask)
    if window == 'brain':
        assert np.array_equal(view.image, raw.image) and view.bone is None
    else:  # in whole HU, of which two windows are made again; what is nearly black becomes black
        for seen, expected, most in ((view.image, raw.image, 4), (view.bone, raw.bone, 1)):
            difference = np.abs(seen.astype(int) - expected)
            assert difference[raw.image > 4].max() <= 1 and difference.max() <= most


def test_a_damaged_picture_is_named(raw_tree, tmp_path):
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3))
    write_plan(plan, tmp_path / 'out')
    for image in tmp_path.glob('out/images/*/050_002.png'):
        image.write_bytes(b'none')
    prepared = open_collection(tmp_path / 'out')
    with pytest.raises(CraniumError, match=r'050_002\.png: neither a JPEG nor a PNG; repl'):
        load(prepared, prepared.slices.loc[['050_002']])
