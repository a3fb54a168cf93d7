import numpy as np
import pandas as pd
import pytest

from cranium.datasets import CraniumDataset
from cranium.datasets.records import find_record
from cranium.manifest import COLUMNS, read_manifest, write_manifest


@pytest.fixture
def manifest(tree):
    """The manifest of the tree, with another pixel size; slice 2 has no head."""
    rows = [
        dict.fromkeys(COLUMNS, '')
        | dict(patient='071', slice=number, image=f'images/val/071_{number:03d}.png', age=1.0)
        | dict(hemorrhage_pixels=7, head_angle=-3.0, pixel_mm=0.5)
        | dict(head_x=np.nan if number == 2 else 10.5, head_y=np.nan if number == 2 else 20.0)
        for number in (1, 2, 3)
    ]
    write_manifest(pd.DataFrame(rows), tree)


def test_it_is_what_a_data_set_says(tree, manifest, monkeypatch):
    prefix = dict(img_path='images/val', seg_map_path='masks/val')
    dataset = CraniumDataset(data_root=str(tree), data_prefix=prefix)
    for index in range(3):
        expected = dataset.get_data_info(index)
        found = find_record(expected['img_path'])
        assert found['pixel_mm'] == 0.5 and found['head_angle'] == -3
        for key in found.keys() - {'scan'}:
            assert found[key] == expected[key], key
        images = {number: files.image for number, files in found['scan'].items()}
        assert images == {n: files.image for n, files in expected['scan'].items()}
    monkeypatch.chdir(tree / 'images/val')
    assert find_record('071_002.png') | dict(scan=0) == found | dict(
        scan=0, slice=2, head_center=None
    )


def test_a_manifest_that_has_changed(tree, manifest):
    path = str(tree / 'images/val/071_001.png')
    assert find_record(path)['head_angle'] == -3
    rows = read_manifest(tree)
    write_manifest(rows.assign(head_angle=4.0), tree)
    assert find_record(path)['head_angle'] == 4
    (tree / 'manifest.csv').unlink()
    assert find_record(path).keys() == {'patient', 'slice', 'scan'}


def test_only_slices_of_the_same_scan_and_format_lie_beside_it(tmp_path):
    for name in ('7_1.png', '7_3.png', '7_2.jpg', '77_2.png', '7_2_old.png', 'x.png'):
        (tmp_path / name).touch()
    found = find_record(str(tmp_path / '7_3.png'))
    assert (found['patient'], found['slice'], [*found['scan']]) == ('007', 3, [1, 3])
    assert find_record(str(tmp_path / 'x.png')) == {}
