import json
import re

import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.preparation.collection import open_collection
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.sheets import (
    TILE,
    choose,
    contact_sheet,
    load,
    outline,
    patient_page,
)
from cranium.preparation.source import find_source

YELLOW = (255, 221, 0)


@pytest.fixture
def collection(raw_tree):
    return open_collection(raw_tree.root)


def names(items):
    return [item.name for item in items]


def test_the_outline_lies_around_the_region_and_hides_none_of_it():
    mask = np.zeros((5, 5), bool)
    mask[1, 1] = True
    assert outline(mask).astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_choosing(collection):
    assert names(choose(collection, number=9)) == ['049_002', '050_002', '051_002']
    assert names(choose(collection, number=9, patients=['050'])) == ['050_002']
    assert names(choose(collection, number=9, kind='Subdural', pixels=(16, None))) == [
        '049_002',
        '050_002',
        '051_002',
    ]
    clean = names(choose(collection, number=99, clean=True))
    assert len(clean) == 12
    assert '049_002' not in clean
    assert clean == sorted(clean)
    drawn = [names(choose(collection, number=5, clean=True, seed=seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_unlabelled_slice_is_not_clean(raw_tree):
    (raw_tree.root / 'Patients_CT/050/brain/2_HGE_Seg.jpg').unlink()
    collection = open_collection(raw_tree.root)
    assert [item.name for item in collection.items if item.label == 'unlabelled'] == ['050_002']
    assert '050_002' not in names(choose(collection, number=99, clean=True))


@pytest.mark.parametrize(
    ('wish', 'message'),
    [
        ({'patients': ['099']}, 'no patient 099; it has 049 to 053'),
        ({'kind': 'Epidural'}, 'no slice is like this'),
        ({'pixels': (17, None)}, 'no slice is like this'),
        ({'pixels': (0, 15)}, 'no slice is like this'),
        ({'pixels': (0, 0)}, 'no slice is like this'),
    ],
)
def test_nothing_to_choose(collection, wish, message):
    with pytest.raises(CraniumError, match=message):
        choose(collection, number=1, **wish)


def test_a_sheet_shows_truth_bone_and_convention(collection):
    views = [load(collection, item) for item in choose(collection, number=3)]
    assert views[0].caption == '049 / 2  Intraparenchymal + Subdural'
    sheet = contact_sheet(views)
    pixels = np.asarray(sheet)
    # The mask is a square of 4 of 16 pixels at (4, 4): on the first tile, 80 pixels at (80, 80).
    ys, xs = np.nonzero((pixels[: TILE + 8, : TILE + 8] == YELLOW).all(axis=-1))
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (8 + 79, 8 + 160, 8 + 79, 8 + 160)
    bone = pixels[8 : 8 + TILE, 8 + TILE + 2 : 8 + 2 * TILE + 2]
    assert bone.mean() > 50
    assert not (bone == YELLOW).all(axis=-1).any()


def test_a_prepared_tree_without_bone(raw_tree, tmp_path):
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3))
    write_plan(plan, tmp_path / 'out')
    collection = open_collection(tmp_path / 'out')
    view = load(collection, choose(collection, number=1)[0])
    assert view.bone is None
    assert (view.mask[4:8, 4:8] == 1).all()
    assert contact_sheet([view]).width == TILE + 16


def test_a_page_holds_every_slice(collection):
    items = [item for item in collection.items if item.patient == '049']
    page = patient_page([load(collection, item) for item in items])
    slices = json.loads(re.search(r'const slices = (\[.*\]);', page)[1])
    assert [entry['caption'] for entry in slices] == [
        '049 / 1  no hemorrhage',
        '049 / 2  Intraparenchymal + Subdural',
        '049 / 4  no hemorrhage',
    ]
    assert [bool(entry['outline']) for entry in slices] == [False, True, False]
    assert all(entry['bone'].startswith('data:image/png;base64,') for entry in slices)
    assert 'radiological convention' in page
    assert 'src="http' not in page
    assert '{' + 'title}' not in page
