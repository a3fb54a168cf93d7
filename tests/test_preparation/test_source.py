import hashlib
import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from cranium.errors import CraniumError
from cranium.preparation import source as source_module
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.source import FolderSource, ZipSource, find_source

WRAPPING = 'computed-tomography-images-for-intracranial-hemorrhage-detection-and-segmentation-1.0.0'


def zip_tree(raw_tree, path, prefix=''):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(raw_tree.root.rglob('*')):
            archive.write(file, prefix + file.relative_to(raw_tree.root).as_posix())
    return path


@pytest.mark.parametrize('wrapping', ['', WRAPPING, f'Cranium/{WRAPPING}', f'a/b/{WRAPPING}'])
def test_folders_as_users_have_them(raw_tree, tmp_path, wrapping):
    data = tmp_path / 'data'
    (data / wrapping).parent.mkdir(parents=True, exist_ok=True)
    if wrapping:
        raw_tree.root.rename(data / wrapping)
    else:
        raw_tree.root.rename(data)
    assert find_source(data) == FolderSource(data / wrapping)


def test_the_patients_folder_itself(raw_tree):
    assert find_source(raw_tree.root / 'Patients_CT') == FolderSource(raw_tree.root)


@pytest.mark.parametrize(
    ('inside', 'place'),
    [('', '.'), ('', 'Patients_CT'), ('Patients_CT', '.'), ('Patients_CT', '..')],
)
def test_from_inside_the_download(raw_tree, monkeypatch, inside, place):
    expected = read_raw(find_source(raw_tree.root)).slices
    monkeypatch.chdir(raw_tree.root / inside)
    found = find_source(Path(place))
    assert read_raw(found).slices == expected
    assert 'hemorrhage_diagnosis.csv' in found.members()
    assert found.read(expected[0].brain)


@pytest.mark.parametrize('prefix', ['', f'{WRAPPING}/', f'archive/{WRAPPING}/'])
def test_a_zip_reads_like_its_folder(raw_tree, tmp_path, prefix):
    data = tmp_path / 'data'
    data.mkdir()
    path = zip_tree(raw_tree, data / 'archive.zip', prefix)
    for place in (path, data):
        found = find_source(place)
        assert found == ZipSource(path, prefix)
        folder = find_source(raw_tree.root)
        assert sorted(found.members()) == sorted(folder.members())
        assert read_raw(found).slices == read_raw(folder).slices
        name = 'Patients_CT/049/brain/2.jpg'
        assert found.read(name) == folder.read(name)


def test_a_folder_is_preferred_to_the_zip_it_came_from(raw_tree, tmp_path):
    zip_tree(raw_tree, raw_tree.root.parent / 'archive.zip')
    assert isinstance(find_source(raw_tree.root), FolderSource)
    (tmp_path / 'raw' / 'archive.zip').write_bytes((tmp_path / 'archive.zip').read_bytes())
    assert isinstance(find_source(raw_tree.root), FolderSource)


@pytest.mark.parametrize('wrapping', [WRAPPING, f'a/b/{WRAPPING}'])
def test_a_folder_is_preferred_to_a_zip_above_it(raw_tree, tmp_path, wrapping):
    data = tmp_path / 'data'
    (data / wrapping).parent.mkdir(parents=True)
    zip_tree(raw_tree, data / 'archive.zip')
    raw_tree.root.rename(data / wrapping)
    assert find_source(data) == FolderSource(data / wrapping)


def test_the_sample_is_used_only_when_named(raw_tree, tmp_path):
    data = tmp_path / 'data'
    data.mkdir()
    raw_tree.root.rename(data / 'sample')
    with pytest.raises(CraniumError, match=r'no ct-ich download in it; get it from https.*sample'):
        find_source(data)
    assert find_source(data / 'sample') == FolderSource(data / 'sample')


def test_two_downloads(raw_tree, tmp_path):
    data = tmp_path / 'data'
    for name in ('one', 'two'):
        (data / name / 'Patients_CT').mkdir(parents=True)
    with pytest.raises(
        CraniumError, match=r'several downloads, .*one/Patients_CT and .*two/Patients_CT; keep'
    ):
        find_source(data)


def test_two_downloads_in_a_zip(raw_tree, tmp_path):
    """As in a folder: refused where both are wrapped alike, else the less wrapped one counts."""
    path = tmp_path / 'zips/x.zip'
    path.parent.mkdir()
    with zipfile.ZipFile(path, 'w') as archive:
        for wrapping in ('one/', 'two/', 'a/b/', '__MACOSX/', 'sample/'):
            archive.writestr(f'{wrapping}Patients_CT/049/brain/1.jpg', b'x')
    for place in (path, path.parent):
        with pytest.raises(
            CraniumError, match=r'several downloads, .*x\.zip:one/Patients_CT and .*two/Patients_CT'
        ):
            find_source(place)
    path = zip_tree(raw_tree, tmp_path / 'zips/y.zip')
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('old/Patients_CT/049/brain/1.jpg', b'x')
    assert find_source(path) == ZipSource(path, '')


@pytest.mark.parametrize('zipped', [False, True])
def test_checksums_are_used_where_they_are(raw_tree, tmp_path, zipped):
    name = 'Patients_CT/049/brain/2.jpg'
    content = (raw_tree.root / name).read_bytes()
    lines = [
        f'{hashlib.sha256(content).hexdigest().upper()} {name}',
        f'{"0" * 64}  ./Patients_CT/049/brain/1.jpg',
        f'{"0" * 64} Patients_CT/049/brain/99.jpg',  # not in this download
        'no digest at all',
    ]
    raw_tree.write('SHA256SUMS.txt', '\n'.join(lines).encode())
    place = zip_tree(raw_tree, tmp_path / 'x.zip', 'w/') if zipped else raw_tree.root
    source = find_source(place)
    assert source.read(name) == content
    assert source.read('Patients_CT/050/brain/1.jpg')  # not listed
    with pytest.raises(
        CraniumError, match=r'brain/1\.jpg: not the original, by SHA256SUMS\.txt; download it again'
    ):
        source.read('Patients_CT/049/brain/1.jpg')
    with pytest.raises(CraniumError, match=r'not the original'):
        make_plan(read_raw(source), Options(folds=3))


def test_nothing_there(tmp_path):
    with pytest.raises(CraniumError, match=r'no such file or folder; get it from'):
        find_source(tmp_path / 'absent')


@pytest.mark.parametrize(
    'name', ['Patients_CT/049/brain/9.jpg', 'Patients_CT/060', 'patient_demographics.csv']
)
def test_a_symbolic_link_among_the_files(raw_tree, tmp_path, name):
    (raw_tree.root / name).unlink(missing_ok=True)
    (raw_tree.root / name).symlink_to(tmp_path)
    with pytest.raises(CraniumError, match=f'{name}: a symbolic link'):
        find_source(raw_tree.root).members()


def write_zip(path, *infos):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for info, content in (('Patients_CT/049/brain/1.jpg', b'x'), *infos):
            archive.writestr(info, content)
    return path


def symlink_info(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ('info', 'content', 'message'),
    [
        ('../../etc/cron.d/x', b'x', 'points outside the zip'),
        ('Patients_CT/../../x', b'x', 'points outside the zip'),
        ('/etc/passwd', b'x', 'is an absolute or foreign path'),
        ('C:/Windows/x', b'x', 'is an absolute or foreign path'),
        ('..\\..\\x', b'x', 'is an absolute or foreign path'),
        (symlink_info('Patients_CT/049/brain/2.jpg'), b'/etc/passwd', 'is a symbolic link'),
        ('Patients_CT/049/brain/2.jpg', b'\0' * 10**7, 'unpacks to more than 200 times its size'),
    ],
)
def test_dangerous_zips(tmp_path, info, content, message):
    path = write_zip(tmp_path / 'x.zip', (info, content))
    with pytest.raises(CraniumError, match=rf'x.zip: .*{message}; download the zip again'):
        find_source(path)
    assert [file.name for file in tmp_path.rglob('*')] == ['x.zip']


def test_a_zip_that_unpacks_to_too_much(tmp_path, monkeypatch):
    path = write_zip(tmp_path / 'x.zip', ('a', b'abcdefgh'))
    monkeypatch.setattr('cranium.archives.MAX_TOTAL_BYTES', 8)
    with pytest.raises(CraniumError, match=r'unpacks to more than 8e-09 GB'):
        find_source(path)


def test_a_name_twice_in_a_zip(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        path = write_zip(tmp_path / 'x.zip', ('Patients_CT/049/brain/1.jpg', b'y'))
    with pytest.raises(CraniumError, match=r'is in it twice'):
        find_source(path)


def test_half_a_zip(raw_tree, tmp_path):
    path = zip_tree(raw_tree, tmp_path / 'x.zip')
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(CraniumError, match=r'x.zip: not a readable zip .*; download it again'):
        find_source(path)


def test_a_damaged_member(raw_tree, tmp_path):
    path = zip_tree(raw_tree, tmp_path / 'x.zip')
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo('Patients_CT/049/brain/2.jpg')
    content = bytearray(path.read_bytes())
    content[info.header_offset + 100] ^= 255
    path.write_bytes(content)
    with pytest.raises(CraniumError, match=r'x.zip:Patients_CT/049/brain/2.jpg: damaged'):
        find_source(path).read('Patients_CT/049/brain/2.jpg')


@pytest.mark.parametrize(
    ('offsets', 'value', 'message'),
    [
        ((8, 10), 9, 'That compression method is not supported'),
        ((6, None), 1, 'password|encrypted'),
    ],
)
def test_a_member_that_python_cannot_unpack(tmp_path, offsets, value, message):
    """A method of compression, or a flag, in the member's own header and in the directory."""
    path = write_zip(tmp_path / 'x.zip')
    content = bytearray(path.read_bytes())
    local, directory = offsets
    content[content.index(b'PK\3\4') + local] = value
    if directory:
        content[content.index(b'PK\1\2') + directory] = value
    path.write_bytes(content)
    source = find_source(path)
    if not directory:  # what the directory hides, as in a zip made to deceive
        source_module._open_zip(path).infolist()[0].flag_bits |= 1
    with pytest.raises(CraniumError, match=rf'1.jpg: cannot be unpacked \(.*({message}).*; unpack'):
        source.read('Patients_CT/049/brain/1.jpg')


def test_a_zip_of_a_version_to_come(tmp_path):
    path = write_zip(tmp_path / 'x.zip')
    content = bytearray(path.read_bytes())
    content[content.index(b'PK\1\2') + 6] = 99
    path.write_bytes(content)
    with pytest.raises(CraniumError, match=r'x.zip: not a readable zip .*version 9.9'):
        find_source(path)


def test_a_file_that_may_not_be_read(raw_tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr('pathlib.Path.read_bytes', refuse)
    with pytest.raises(CraniumError, match=r'2.jpg: cannot be read .Permission denied.; check'):
        find_source(raw_tree.root).read('Patients_CT/049/brain/2.jpg')


def test_a_huge_file(raw_tree, monkeypatch):
    monkeypatch.setattr('cranium.preparation.source.MAX_FILE_BYTES', 10)
    with pytest.raises(CraniumError, match=r'2.jpg: too large'):
        find_source(raw_tree.root).read('Patients_CT/049/brain/2.jpg')
