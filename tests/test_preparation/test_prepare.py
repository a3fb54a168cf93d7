import dataclasses
import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.manifest import mask_path, read_manifest
from cranium.preparation import tree as tree_module
from cranium.preparation.check import check_tree
from cranium.preparation.hounsfield import combine
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source
from cranium.slices import parse_slice_name, slice_name
from cranium.splits import read_splits
from cranium.windows import encode_hu


def prepare(raw_tree, out, overwrite=False, **options):
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(**{'folds': 3, **options}))
    return write_plan(plan, out, overwrite=overwrite)


def snapshot(out: Path) -> dict[str, bytes]:
    """Every file's content, by path."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob('*'))
        if path.is_file()
    }


def rows_of(out: Path) -> dict[str, dict[str, object]]:
    rows = read_manifest(out).to_dict('records')
    return {slice_name(row['patient'], row['slice']): row for row in rows}


def pixels_of(path: Path) -> np.ndarray:
    image = Image.open(path)
    assert image.format == 'PNG'
    return np.asarray(image)


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def test_images_masks_and_records(raw_tree, out):
    assert prepare(raw_tree, out) == 15
    rows = rows_of(out)
    assert len(rows) == 15
    row = rows['049_002']
    image = pixels_of(out / row['image'])
    source = raw_tree.root / 'Patients_CT/049/brain/2.jpg'
    assert np.array_equal(image, np.asarray(Image.open(source)))
    mask = pixels_of(out / mask_path(row['image']))
    expected = np.zeros((16, 16), np.uint8)
    expected[4:8, 4:8] = 1
    assert np.array_equal(mask, expected)
    assert row['hemorrhage_pixels'] == 16
    assert row['types'] == 'Intraparenchymal+Subdural'
    assert (row['age'], row['sex'], row['label'], row['notes']) == (35, 'Male', 'mask', '')
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert row['source_sha256'].split(';')[0] == digest
    assert row['image_sha256'] == hashlib.sha256((out / row['image']).read_bytes()).hexdigest()
    clean = rows['049_001']
    assert not pixels_of(out / mask_path(clean['image'])).any()
    recorded = json.loads((out / 'dataset.json').read_text())
    assert recorded['source'] == 'raw'
    assert sum(split['slices'] for split in recorded['splits'].values()) == 15
    assert sum(split['hemorrhage_pixels'] for split in recorded['splits'].values()) == 48
    assert str(raw_tree.root) not in (out / 'dataset.json').read_text()
    assert list(check_tree(out)) == []


def test_mask_threshold(raw_tree, out, encode_jpeg):
    mask = np.zeros((16, 16), np.uint8)
    mask[0:8, 0:8], mask[3, 2], mask[3, 5] = 255, 127, 128
    flat = encode_jpeg(mask)
    decoded = np.asarray(Image.open(raw_tree.write('Patients_CT/049/brain/2_HGE_Seg.jpg', flat)))
    prepare(raw_tree, out)
    assert rows_of(out)['049_002']['hemorrhage_pixels'] == (decoded > 127).sum()
    prepare(raw_tree, out, mask_threshold=254, overwrite=True)
    assert rows_of(out)['049_002']['hemorrhage_pixels'] == (decoded == 255).sum()


def test_windows(raw_tree, out):
    brain = np.asarray(Image.open(raw_tree.root / 'Patients_CT/049/brain/1.jpg'))
    bone = np.asarray(Image.open(raw_tree.root / 'Patients_CT/049/bone/1.jpg'))
    prepare(raw_tree, out / 'bone', window='bone')
    path = rows_of(out / 'bone')['049_001']['image']
    assert np.array_equal(pixels_of(out / 'bone' / path), bone)
    prepare(raw_tree, out / 'hu', window='hu')
    pixels = pixels_of(out / 'hu' / path)
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, encode_hu(combine(brain, bone)))
    assert rows_of(out / 'hu')['049_001']['sources'] == (
        'Patients_CT/049/brain/1.jpg;Patients_CT/049/bone/1.jpg'
    )
    recorded = json.loads((out / 'hu/dataset.json').read_text())
    assert recorded['ct'] == {
        'unit': 'HU',
        'offset': 32768,
        'window': [-900, 2300],
        'pixel_mm': None,  # of slices with another size than those of ct-ich
        'pixel_mm_assumed': True,
        'slice_mm': 5.0,
    }


def test_a_slice_in_hu_without_bone_window(raw_tree, out):
    (raw_tree.root / 'Patients_CT/049/bone/1.jpg').unlink()
    assert prepare(raw_tree, out, window='hu') == 15
    row = rows_of(out)['049_001']
    brain = np.asarray(Image.open(raw_tree.root / 'Patients_CT/049/brain/1.jpg'))
    assert np.array_equal(pixels_of(out / row['image']), encode_hu(combine(brain, None)))
    assert row['notes'] == 'no bone window: saturated at -20 and 100 HU'


def test_a_tree_of_rgb_images_is_refused(raw_tree, out):
    prepare(raw_tree, out)
    change_dataset_json(out, lambda content: content['options'].update(window='brain-bone'))
    for use in (lambda: prepare(raw_tree, out), lambda: list(check_tree(out))):
        with pytest.raises(CraniumError, match=r'run cranium prepare --window hu --overwrite'):
            use()
    prepare(raw_tree, out, window='hu', overwrite=True)
    assert list(check_tree(out)) == []


def test_a_tree_of_another_version(raw_tree, out):
    """Its manifest has other columns."""
    prepare(raw_tree, out)
    manifest = pd.read_csv(out / 'manifest.csv').drop(columns='pixel_mm')
    manifest.to_csv(out / 'manifest.csv', index=False)
    for use in (lambda: prepare(raw_tree, out), lambda: list(check_tree(out))):
        with pytest.raises(CraniumError, match=r'columns of another version; .* --overwrite'):
            use()
    prepare(raw_tree, out, overwrite=True)
    assert list(check_tree(out)) == []


def test_the_folds_do_not_depend_on_what_is_left_out(raw_tree, out):
    (raw_tree.root / 'Patients_CT/050/bone/1.jpg').unlink()
    (raw_tree.root / 'Patients_CT/050/brain/4.jpg').unlink()
    prepare(raw_tree, out / 'brain')
    assert prepare(raw_tree, out / 'bone', window='bone') == 13
    row = rows_of(out / 'bone')['050_001']
    assert (row['split'], row['image']) == ('', '')
    assert np.isnan(row['head_angle'])
    assert row['notes'] == 'no bone window;left out: no bone window'
    assert (out / 'brain/splits.json').read_bytes() == (out / 'bone/splits.json').read_bytes()


def test_large_numbers_are_names_like_others(raw_tree, out):
    raw_tree.add(1050, 1000, bleeds=True)
    raw_tree.write_csv()
    assert prepare(raw_tree, out) == 16
    row = rows_of(out)['1050_1000']
    assert (row['patient'], row['slice'], row['label']) == ('1050', 1000, 'mask')
    assert parse_slice_name(row['image']) == ('1050', 1000)
    assert (out / row['image']).exists() and (out / mask_path(row['image'])).exists()
    members = [name for fold in read_splits(out / 'splits.json').folds for name in fold]
    assert sorted(members) == ['049', '050', '051', '052', '053', '1050']
    assert list(check_tree(out)) == []


DISC, TURNED, NOTHING = np.zeros((3, 130, 140), np.uint8)
cv2.circle(DISC, (70, 60), 52, 1, -1)
cv2.ellipse(TURNED, (70, 60), (30, 50), 20, 0, 360, 1, -1)


@pytest.mark.parametrize(
    ('window', 'brain', 'bone'),
    [
        ('brain', 120 * TURNED, 80 * DISC),
        ('bone', 120 * DISC, 80 * TURNED),
        ('hu', 120 * TURNED, 80 * TURNED),
        ('hu', 255 * DISC, 100 * DISC + 150 * TURNED),  # only the bone window tells
    ],
)
def test_the_pose_of_the_head(raw_tree, out, encode_jpeg, window, brain, bone):
    """20 degrees clockwise, about (70, 60); in the first slice nothing is seen."""
    for number in range(1, 5):
        raw_tree.add(60, number, bleeds=False)
        for kind, pixels in {'brain': brain, 'bone': bone}.items():
            shown = encode_jpeg(NOTHING if number == 1 else pixels)
            raw_tree.write(f'Patients_CT/060/{kind}/{number}.jpg', shown)
    raw_tree.write_csv()
    prepare(raw_tree, out, window=window)
    rows = read_manifest(out).set_index(['patient', 'slice']).loc['060']
    assert rows.loc[1, ['head_x', 'head_y']].isna().all()
    assert rows.loc[2, ['head_x', 'head_y']].tolist() == pytest.approx([70, 60], abs=0.3)
    assert rows['head_angle'].tolist() == pytest.approx([20] * 4, abs=2)


def test_unlabelled_slices_are_left_out_or_ignored(raw_tree, out):
    raw_tree.add(54, 1, bleeds=True)
    raw_tree.write_csv()
    (raw_tree.root / 'Patients_CT/054/brain/1_HGE_Seg.jpg').unlink()
    assert prepare(raw_tree, out) == 15
    row = rows_of(out)['054_001']
    assert row['image'] == '' and np.isnan(row['head_angle'])
    assert not list(out.glob('*/*/054_001.png'))
    assert prepare(raw_tree, out, unlabelled='keep') == 16
    row = rows_of(out)['054_001']
    assert np.unique(pixels_of(out / mask_path(row['image']))).tolist() == [255]
    with pytest.raises(CraniumError, match=r'has 1 slices that .* lacks, 054_001 first'):
        prepare(raw_tree, out)


def test_an_empty_mask(raw_tree, out, encode_jpeg):
    """An error where the diagnosis says hemorrhage, a note where it does not."""
    empty = encode_jpeg(np.zeros((16, 16), np.uint8))
    path = raw_tree.write('Patients_CT/049/brain/2_HGE_Seg.jpg', empty)
    with pytest.raises(CraniumError, match=f'{path}: the mask is empty, but the diagnosis says'):
        prepare(raw_tree, out)
    raw_tree.rows[49, 2] = '0,0,0,0,0,1,0'
    raw_tree.write_csv()
    prepare(raw_tree, out)
    assert rows_of(out)['049_002']['notes'] == (
        'mask on a slice that the diagnosis calls clean;mask without a pixel above the threshold'
    )


@pytest.mark.parametrize('window', ['brain', 'hu'])
def test_a_slice_of_another_size_within_a_scan(raw_tree, out, encode_jpeg, window):
    for kind in ('brain', 'bone'):
        pixels = encode_jpeg(np.zeros((8, 12), np.uint8))
        raw_tree.write(f'Patients_CT/053/{kind}/4.jpg', pixels)
    message = (
        r'053/brain/4\.jpg has 12 x 8 pixels, but .*053/brain/1\.jpg has 16 x 16 pixels; a scan'
    )
    with pytest.raises(CraniumError, match=message):
        prepare(raw_tree, out, window=window)


def test_another_size_in_another_scan(raw_tree, out, encode_jpeg):
    for path in raw_tree.root.glob('Patients_CT/053/*/*.jpg'):
        path.write_bytes(encode_jpeg(np.zeros((8, 12), np.uint8)))
    assert prepare(raw_tree, out, window='hu') == 15


def test_another_fold_in_the_same_place(raw_tree, out):
    prepare(raw_tree, out)
    before = rows_of(out)
    assert prepare(raw_tree, out, fold=1) == 15
    after = rows_of(out)
    assert {name: row['split'] for name, row in before.items()} != {
        name: row['split'] for name, row in after.items()
    }
    assert list(check_tree(out)) == []
    prepare(raw_tree, out.with_name('fresh'), fold=1)
    assert snapshot(out) == snapshot(out.with_name('fresh'))


def test_a_changed_source_is_written_anew(raw_tree, out, encode_jpeg):
    prepare(raw_tree, out)
    raw_tree.write('Patients_CT/052/brain/1.jpg', encode_jpeg(np.full((16, 16), 9, np.uint8)))
    prepare(raw_tree, out)
    assert (pixels_of(out / rows_of(out)['052_001']['image']) == 9).all()


def test_a_missing_output_is_written_anew(raw_tree, out):
    prepare(raw_tree, out)
    before = snapshot(out)
    (out / rows_of(out)['052_001']['image']).unlink()
    prepare(raw_tree, out)
    assert snapshot(out) == before


def test_other_options_need_overwrite(raw_tree, out):
    prepare(raw_tree, out)
    before = snapshot(out)
    for options in ({'window': 'bone'}, {'mask_threshold': 254}):
        with pytest.raises(CraniumError, match=r'prepared with .* not .*; add --overwrite'):
            prepare(raw_tree, out, **options)
    assert snapshot(out) == before
    assert prepare(raw_tree, out, window='bone', overwrite=True) == 15


def test_an_upgrade_needs_no_overwrite(raw_tree, out, monkeypatch):
    prepare(raw_tree, out)
    monkeypatch.setattr('cranium.splits.version', lambda name: '99.0')
    assert prepare(raw_tree, out) == 15


def test_a_mask_corrected_by_hand_is_not_lost(raw_tree, out):
    prepare(raw_tree, out)
    corrected = out / mask_path(rows_of(out)['049_002']['image'])
    corrected.write_bytes(b'corrected')
    before = snapshot(out)
    with pytest.raises(CraniumError, match=f'{corrected}: changed since it was written; copy it'):
        prepare(raw_tree, out, fold=1)
    assert snapshot(out) == before
    prepare(raw_tree, out, fold=1, overwrite=True)
    assert list(check_tree(out)) == []


def test_a_corrected_mask_is_not_lost_with_its_image(raw_tree, out):
    prepare(raw_tree, out)
    image = rows_of(out)['049_002']['image']
    corrected = out / image.replace('images', 'masks')
    corrected.write_bytes(b'corrected')
    (out / image).unlink()
    (raw_tree.root / 'Patients_CT/049/brain/2.jpg').write_bytes(
        (raw_tree.root / 'Patients_CT/049/brain/1.jpg').read_bytes()
    )
    with pytest.raises(CraniumError, match=f'{corrected}: changed since it was written'):
        prepare(raw_tree, out)


def test_a_lost_splits_file_is_written_anew(raw_tree, out, tmp_path):
    prepare(raw_tree, out)
    expected = snapshot(out)
    elsewhere = tmp_path / 'mine.json'
    (out / 'splits.json').rename(elsewhere)
    prepare(raw_tree, out)
    assert snapshot(out) == expected
    (out / 'splits.json').unlink()
    prepare(raw_tree, out, splits_file=elsewhere)
    assert (out / 'splits.json').read_bytes() == elsewhere.read_bytes()


@pytest.mark.parametrize(
    ('window', 'number', 'message'),
    [
        ('hu', 1, r'bone/1\.jpg: another size than Patients_CT/049/brain/1'),
        ('bone', 2, r'bone/2\.jpg: another size than Patients_CT/049/brain/2'),
    ],
)
def test_a_bone_window_of_another_size(raw_tree, out, encode_jpeg, window, number, message):
    small = encode_jpeg(np.zeros((8, 8), np.uint8))
    raw_tree.write(f'Patients_CT/049/bone/{number}.jpg', small)
    with pytest.raises(CraniumError, match=message):
        prepare(raw_tree, out, window=window)


def test_edited_splits_are_used_or_refused_but_not_lost(raw_tree, out):
    prepare(raw_tree, out)
    path = out / 'splits.json'
    content = json.loads(path.read_text())
    folds = content['folds']
    clean = next(name for fold in folds[1:] for name in fold['members'] if name in ('052', '053'))
    for fold in folds:
        fold['members'] = [name for name in fold['members'] if name != clean]
    folds[0]['members'].append(clean)
    path.write_text(json.dumps(content))
    with pytest.raises(CraniumError, match=r'splits\.json: changed .* or --splits .* to use it'):
        prepare(raw_tree, out)
    prepare(raw_tree, out, splits_file=path)
    assert rows_of(out)[f'{clean}_001']['split'] == 'val'
    assert list(check_tree(out)) == []
    kept = path.read_bytes()
    with pytest.raises(CraniumError, match=f'folds came from a file.* add --splits {path} to keep'):
        prepare(raw_tree, out, fold=1)
    assert path.read_bytes() == kept
    prepare(raw_tree, out, fold=1, splits_file=path)
    assert json.loads(path.read_bytes())['folds'] == json.loads(kept)['folds']
    assert rows_of(out)[f'{clean}_001']['split'] == 'train'
    prepare(raw_tree, out, fold=1, overwrite=True)
    assert clean not in json.loads(path.read_bytes())['folds'][0]['members']


@pytest.mark.parametrize(
    'name', ['images/train/mine.png', 'masks/notes.txt', 'splits.json', 'manifest.csv']
)
@pytest.mark.parametrize('overwrite', [False, True])
def test_foreign_files_stop_a_first_run(raw_tree, out, name, overwrite):
    (out / name).parent.mkdir(parents=True)
    (out / name).write_bytes(b'mine')
    with pytest.raises(CraniumError, match=f'{name}: not .* Cranium.*; move it away'):
        prepare(raw_tree, out, overwrite=overwrite)
    assert (out / name).read_bytes() == b'mine'
    assert not list(out.glob('images/*/0*.png'))


@pytest.mark.parametrize('overwrite', [False, True])
def test_foreign_files_stop_a_later_run(raw_tree, out, overwrite):
    prepare(raw_tree, out)
    (out / 'images/val/mine.png').write_bytes(b'mine')
    before = snapshot(out)
    with pytest.raises(
        CraniumError, match=r'images/val/mine\.png: not written by Cranium; move it'
    ):
        prepare(raw_tree, out, fold=1, overwrite=overwrite)
    assert snapshot(out) == before


def test_a_file_that_appears_during_the_run_stops_it(raw_tree, out):
    prepare(raw_tree, out)
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3, fold=1))
    mine = out / 'masks/val/mine.png'
    with pytest.raises(CraniumError, match=r'masks/val/mine\.png: not written by Cranium; move it'):
        write_plan(plan, out, progress=lambda _: mine.write_bytes(b'mine'))
    assert mine.read_bytes() == b'mine'


def test_files_beside_the_tree_are_nobodys_business(raw_tree, out):
    raw_tree.root.rename(out)
    raw_tree.root = out
    before = snapshot(out)
    prepare(raw_tree, out)
    prepare(raw_tree, out, fold=1)
    assert before.items() <= snapshot(out).items()


@pytest.mark.parametrize('name', ['images', 'masks', 'dataset.json'])
def test_a_link_of_that_name_is_refused(raw_tree, out, tmp_path, name):
    out.mkdir()
    (tmp_path / 'elsewhere').mkdir()
    (out / name).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(CraniumError, match=f'{name}: not written by Cranium, but a link or'):
        prepare(raw_tree, out)


def test_a_file_called_masks_is_refused(raw_tree, out):
    out.mkdir()
    (out / 'masks').write_bytes(b'mine')
    with pytest.raises(CraniumError, match=r'masks: not written by Cranium, but a link or'):
        prepare(raw_tree, out, overwrite=True)
    assert (out / 'masks').read_bytes() == b'mine'


def test_a_manifest_cannot_lead_out_of_the_tree(raw_tree, out, tmp_path):
    prepare(raw_tree, out)
    precious = tmp_path / 'precious.png'
    precious.write_bytes(b'mine')
    manifest = (out / 'manifest.csv').read_text()
    image = rows_of(out)['049_001']['image']
    (out / 'manifest.csv').write_text(manifest.replace(image, '../precious.png'))
    with pytest.raises(CraniumError, match=r'manifest\.csv: not a manifest of Cranium'):
        prepare(raw_tree, out, overwrite=True)
    assert precious.read_bytes() == b'mine'


BAD_SOURCES = {
    'truncated': lambda data: data[:-30],
    'not a JPEG': lambda data: b'<html>',
    'zero bytes': lambda data: b'',
}


@pytest.mark.parametrize('damage', BAD_SOURCES.values(), ids=BAD_SOURCES)
@pytest.mark.parametrize('earlier', [False, True])
def test_a_bad_source_leaves_the_old_tree(raw_tree, out, damage, earlier):
    if earlier:
        prepare(raw_tree, out)
    before = snapshot(out)
    path = raw_tree.root / 'Patients_CT/053/brain/4.jpg'
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CraniumError, match=f'{path}: '):
        write_plan(plan, out)
    with pytest.raises(CraniumError, match=f'{path}: '):  # seen before anything is written
        prepare(raw_tree, out)
    assert {name: data for name, data in snapshot(out).items() if '.cranium' not in name} == {
        name: data for name, data in before.items() if '.cranium' not in name
    }
    assert [path.name for path in (out / '.cranium').iterdir()] == ['lock']


@pytest.mark.parametrize('earlier', [False, True])
def test_a_full_disk_leaves_the_old_tree(raw_tree, out, earlier, monkeypatch):
    if earlier:
        prepare(raw_tree, out)
    before = snapshot(out)
    write = Path.write_bytes

    def until_full(path, content):
        if path.name == '052_002.png':
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(path, content)

    monkeypatch.setattr(Path, 'write_bytes', until_full)
    with pytest.raises(CraniumError, match=r'052_002\.png: .*No space left.*; free some space'):
        prepare(raw_tree, out, window='bone', overwrite=True)
    after = snapshot(out)
    after.pop('.cranium/lock')
    before.pop('.cranium/lock', None)
    assert after == before


def test_an_out_that_is_a_file(raw_tree, out):
    out.write_bytes(b'mine')
    with pytest.raises(CraniumError, match=r'cannot be written .*; check the permissions or'):
        prepare(raw_tree, out)


def test_no_permission(raw_tree, tmp_path):
    """In a child that gives up root's rights, should it have them."""
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3))
    (tmp_path / 'closed').mkdir(mode=0o500)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            write_plan(plan, tmp_path / 'closed/out')
        except CraniumError as error:
            os._exit(3 if '(Permission denied); check the permissions' in str(error) else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert not list((tmp_path / 'closed').iterdir())


def test_two_runs_at_once(raw_tree, out):
    with (
        tree_module.locked(out),
        pytest.raises(CraniumError, match=r'another run is writing it; wait for its end'),
    ):
        prepare(raw_tree, out)
    assert prepare(raw_tree, out) == 15


def test_a_file_system_without_locks_is_not_another_run(raw_tree, out, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr('fcntl.flock', refuse)
    with pytest.raises(CraniumError, match=r'out: its file system refuses locks \(.*No locks'):
        prepare(raw_tree, out)
    assert not (out / 'images').exists()


SYSTEM_CALLS = ('replace', 'rename', 'rmdir', 'unlink', 'mkdir', 'open')


@pytest.mark.parametrize('earlier', [False, True])
def test_killed_before_any_system_call_then_run_again(raw_tree, tmp_path, earlier):
    """Die before each change of the file system in turn; the second run mends it, whatever it is.

    The killing is done in a forked child that leaves by ``os._exit``, so that no handler runs.
    """
    # Three slices are enough.
    for path in raw_tree.root.glob('Patients_CT/*/*/*.jpg'):
        if path.stem in '14' or path.parent.parent.name > '051':
            path.unlink()
    base, reference = tmp_path / 'base', tmp_path / 'reference'
    base.mkdir()
    if earlier:
        prepare(raw_tree, base)
    before = usable(snapshot(base))
    prepare(raw_tree, reference, fold=1)
    expected = snapshot(reference)
    step, finished = 0, False
    while not finished:
        out = tmp_path / f'out{step}'
        shutil.copytree(base, out)
        finished = _run_and_die_before_step(raw_tree, out, step)
        pairs = usable(snapshot(out))
        assert pairs in [{}, before, usable(expected)], f'step {step} left half of a tree'
        prepare(raw_tree, out, fold=1)
        assert snapshot(out) == expected, f'step {step}'
        step += 1
    assert step > 15


def usable(tree: dict[str, bytes]) -> dict[str, bytes]:
    """Images and masks, where there are images: without them nobody trains."""
    if not any(name.startswith('images/') for name in tree):
        return {}
    return {name: data for name, data in tree.items() if name.startswith(('images/', 'masks/'))}


def _run_and_die_before_step(raw_tree, out, step) -> bool:
    """Fork a run that dies before its ``step``-th change; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        left = [step]

        def dying(call):
            def wrapper(*args, **kwargs):
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return call(*args, **kwargs)

            return wrapper

        for name in SYSTEM_CALLS:
            setattr(os, name, dying(getattr(os, name)))
        try:
            prepare(raw_tree, out, fold=1)
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_swap_waits_for_its_end(raw_tree, out, monkeypatch, number):
    prepare(raw_tree, out)
    replace = os.replace

    def interrupted(source, target):
        os.kill(os.getpid(), number)
        replace(source, target)

    received = []
    handler = signal.signal(number, lambda *_: received.append(number))
    try:
        monkeypatch.setattr(os, 'replace', interrupted)
        prepare(raw_tree, out, fold=1)
    finally:
        signal.signal(number, handler)
    assert received
    assert list(check_tree(out)) == []
    assert {row['split'] for row in rows_of(out).values()} == {'train', 'val'}


def test_check_finds_missing_changed_and_foreign(raw_tree, out):
    prepare(raw_tree, out)
    rows = rows_of(out)
    (out / rows['049_001']['image']).unlink()
    (out / rows['050_001']['image']).write_bytes(b'changed')
    (out / 'masks/train/mine.png').write_bytes(b'mine')
    (out / 'splits.json').write_text('{}')
    before = snapshot(out)
    assert sorted(check_tree(out)) == sorted(
        [
            f'{out}/{rows["049_001"]["image"]}: missing',
            f'{out}/{rows["050_001"]["image"]}: changed',
            f'{out}/masks/train/mine.png: foreign, not in the manifest',
            f'{out}/splits.json: changed',
        ]
    )
    assert snapshot(out) == before


def test_check_finds_a_leak(raw_tree, out):
    prepare(raw_tree, out, split='slice')
    assert list(check_tree(out)) == []  # the protocol says so itself
    change_dataset_json(out, lambda content: content['options'].update(split='patient'))
    assert any('is in train and val' in finding for finding in check_tree(out))


def test_check_compares_the_counts(raw_tree, out):
    prepare(raw_tree, out)
    change_dataset_json(out, lambda content: content['splits']['train'].update(slices=1))
    assert list(check_tree(out)) == [
        f'{out}/dataset.json: its counts are not those of the manifest'
    ]


def change_dataset_json(out, change):
    """Change it and its digest, so that it looks as if Cranium had written it."""
    content = json.loads((out / 'dataset.json').read_text())
    change(content)
    content['sha256'] = tree_module.dataset_digest(content)
    (out / 'dataset.json').write_text(json.dumps(content))


@pytest.mark.parametrize(
    'damage',
    [
        lambda text: text.replace('"mask_threshold": 127', '"mask_threshold": 254'),
        lambda text: text.replace('"sha256": ', '"no_sha256": '),
        lambda text: text[:-9],
        lambda text: '[]',
    ],
)
def test_a_changed_dataset_json(raw_tree, out, damage):
    prepare(raw_tree, out)
    path = out / 'dataset.json'
    path.write_text(damage(path.read_text()))
    for use in (lambda: prepare(raw_tree, out), lambda: list(check_tree(out))):
        with pytest.raises(CraniumError, match=f'{path}: missing, or changed since it was'):
            use()
    prepare(raw_tree, out, overwrite=True)
    assert list(check_tree(out)) == []


def test_check_without_a_tree(tmp_path):
    with pytest.raises(CraniumError, match=r'dataset\.json: missing, or changed'):
        list(check_tree(tmp_path))


def test_check_of_an_interrupted_swap(raw_tree, out):
    prepare(raw_tree, out)
    (out / '.cranium/ready').mkdir()
    with pytest.raises(CraniumError, match=r'a run was killed; run cranium prepare again'):
        list(check_tree(out))


def test_processes_write_what_one_process_writes(raw_tree, out, tmp_path):
    prepare(raw_tree, out)
    with joblib.parallel_config(backend='loky', n_jobs=2):
        prepare(raw_tree, tmp_path / 'two')
    assert snapshot(tmp_path / 'two') == snapshot(out)


def test_a_worker_reports_the_file(raw_tree, out):
    path = raw_tree.write('Patients_CT/053/brain/4.jpg', b'')
    with (
        joblib.parallel_config(backend='loky', n_jobs=2),
        pytest.raises(CraniumError, match=f'{path}: empty'),
    ):
        prepare(raw_tree, out)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_reported(raw_tree, out):
    plan = make_plan(read_raw(find_source(raw_tree.root)), Options(folds=3))
    source = SimpleNamespace(read=die, describe=str)
    plan = dataclasses.replace(plan, raw=dataclasses.replace(plan.raw, source=source))
    with (
        joblib.parallel_config(backend='loky', n_jobs=2),
        pytest.raises(CraniumError, match=r'a worker process died.*fewer --jobs'),
    ):
        write_plan(plan, out)
    assert not (out / 'images').exists()


def test_a_dask_cluster_is_a_backend(raw_tree, out, tmp_path):
    distributed = pytest.importorskip('distributed')
    prepare(raw_tree, out)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as it,
        distributed.Client(it),
        joblib.parallel_config(backend='dask'),
    ):
        prepare(raw_tree, tmp_path / 'dask')
    assert snapshot(tmp_path / 'dask') == snapshot(out)


def test_no_torch_and_no_slow_import():
    code = (
        'import sys, cranium.preparation.check, cranium.preparation.prepare; '
        'print({"torch", "sklearn", "scipy", "matplotlib", "joblib"} & set(sys.modules))'
    )
    printed = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert printed.stdout == 'set()\n', printed.stderr


def test_a_limit_on_file_sizes_is_a_full_disk(raw_tree, out):
    """A real refusal by the kernel, in a child with a limit of 100 bytes a file."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            prepare(raw_tree, out)
        except CraniumError as error:
            os._exit(3 if 'free some space' in str(error) else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert not (out / 'images').exists()
