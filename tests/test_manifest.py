import math

import pandas as pd
import pytest

from cranium.errors import CraniumError
from cranium.manifest import (
    COLUMNS,
    EMPTY_ROW,
    listed_images,
    mask_path,
    read_manifest,
    write_manifest,
)

ROWS = [
    {
        **EMPTY_ROW,
        'patient': '049',
        'slice': 1,
        'split': 'train',
        'label': 'mask',
        'image': 'images/train/049_001.png',
        'types': 'Epidural+Subdural',
        'hemorrhage_pixels': 7,
        'age': 0.583333333,
        'sex': 'Male',
        'head_x': 320.25,
        'head_y': 300.5,
        'head_angle': -3.0,
        'pixel_mm': 0.36,
        'slice_mm': 5.0,
        'notes': 'a, "b";c',
    },
    {**EMPTY_ROW, 'patient': '1050', 'slice': 1000, 'label': 'unlabelled'},
]


def test_what_is_written_is_read(tmp_path):
    write_manifest(pd.DataFrame(ROWS), tmp_path)
    first = (tmp_path / 'manifest.csv').read_bytes()
    rows = read_manifest(tmp_path)
    assert tuple(rows.columns) == COLUMNS
    assert rows.iloc[0].to_dict() == ROWS[0]
    assert (rows.loc[1, 'patient'], rows.loc[1, 'slice'], rows.loc[1, 'sex']) == ('1050', 1000, '')
    assert math.isnan(rows.loc[1, 'age']) and math.isnan(rows.loc[1, 'head_x'])
    write_manifest(rows, tmp_path)
    assert (tmp_path / 'manifest.csv').read_bytes() == first
    assert first.splitlines()[2] == b'1050,1000,,unlabelled,,,0,,,,,,,,,,,,'


def test_a_tree_that_was_written_without_slice_mm(tmp_path):
    write_manifest(pd.DataFrame(ROWS), tmp_path)
    path = tmp_path / 'manifest.csv'
    pd.read_csv(path, dtype=str).drop(columns='slice_mm').to_csv(path, index=False)
    rows = read_manifest(tmp_path)
    assert tuple(rows.columns) == COLUMNS and rows['slice_mm'].isna().all()
    assert rows.loc[0, 'pixel_mm'] == 0.36


def test_the_mask_of_an_image():
    assert mask_path('images/train/049_001.png') == 'masks/train/049_001.png'


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('049,1,', '049,one,'),
        ('049,1,', '049,,'),
        ('images/train/049', 'images/train/../049'),
        ('images/train/049', '/images/train/049'),
        ('images/train/049', 'masks/train/049'),
        ('"a, ""b"";c"', '"a'),
    ],
)
def test_what_cranium_did_not_write(tmp_path, old, new):
    write_manifest(pd.DataFrame(ROWS), tmp_path)
    path = tmp_path / 'manifest.csv'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CraniumError, match=r'manifest\.csv: not a manifest of Cranium') as caught:
        read_manifest(tmp_path)
    assert '\n' not in str(caught.value)


def test_other_columns(tmp_path):
    """A tree of another version is told so; its images are found all the same."""
    write_manifest(pd.DataFrame(ROWS), tmp_path)
    rows = pd.read_csv(tmp_path / 'manifest.csv', dtype=str).drop(columns='pixel_mm')
    rows.to_csv(tmp_path / 'manifest.csv', index=False)
    with pytest.raises(CraniumError, match=r'columns of another version; .* --overwrite'):
        read_manifest(tmp_path)
    assert listed_images(tmp_path) == ['images/train/049_001.png']
    (tmp_path / 'manifest.csv').write_text('mine\n')
    with pytest.raises(CraniumError, match=r'manifest\.csv: not a manifest of Cranium'):
        listed_images(tmp_path)


def test_no_manifest(tmp_path):
    with pytest.raises(
        CraniumError, match=r'manifest\.csv: cannot be read .*; move .* cranium prepare'
    ):
        read_manifest(tmp_path)
