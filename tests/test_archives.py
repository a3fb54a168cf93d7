import zipfile

import pytest

from cranium.archives import unpack
from cranium.errors import CraniumError


def write_zip(path, **files):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace('__', '/'), content)
    return path


def test_unpack(tmp_path):
    path = write_zip(tmp_path / 'x.zip', a=b'1', b__c__d=b'22', e__=b'')
    unpack(path, tmp_path / 'out')
    files = {file: file.read_bytes() for file in (tmp_path / 'out').rglob('*') if file.is_file()}
    assert files == {tmp_path / 'out/a': b'1', tmp_path / 'out/b/c/d': b'22'}


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('../x', b'x', 'points outside the zip'),
        ('/x', b'x', 'is an absolute or foreign path'),
        ('x', bytes(10**7), 'unpacks to more than 200 times its size'),
    ],
)
def test_nothing_of_a_dangerous_zip_is_unpacked(tmp_path, name, content, message):
    path = write_zip(tmp_path / 'x.zip', a=b'1', **{name: content})
    with pytest.raises(CraniumError, match=rf'^{path}: .*{message}'):
        unpack(path, tmp_path / 'out')
    assert [file.name for file in tmp_path.rglob('*')] == ['x.zip']


def test_more_than_may_be_unpacked(tmp_path):
    path = write_zip(tmp_path / 'x.zip', a=bytes(600), b=bytes(401))
    unpack(path, tmp_path / 'out', most_bytes=1001)
    with pytest.raises(CraniumError, match=rf'^{path}: unpacks to more than 1e-06 GB; download'):
        unpack(path, tmp_path / 'not', most_bytes=1000)
    assert not (tmp_path / 'not').exists()


def test_a_slice_of_nothing_but_air_is_no_bomb(tmp_path):
    """512 x 512 of one value are compressed to a 900th."""
    path = write_zip(tmp_path / 'x.zip', slice=bytes(2 * 512 * 512))
    unpack(path, tmp_path / 'out')
    assert (tmp_path / 'out/slice').stat().st_size == 2 * 512 * 512


def test_a_damaged_member(tmp_path):
    path = write_zip(tmp_path / 'x.zip', a=b'abcdefghijklmnopqrstuvwxyz' * 20)
    content = bytearray(path.read_bytes())
    content[40] ^= 255
    path.write_bytes(content)
    with pytest.raises(CraniumError, match=rf'^{path}:a: damaged .*; download the zip again'):
        unpack(path, tmp_path / 'out')


def test_more_than_the_directory_says(tmp_path, monkeypatch):
    """Python's own reader stops at what it says."""
    path = write_zip(tmp_path / 'x.zip', a=bytes(1000))
    content = path.read_bytes()
    size = (1000).to_bytes(4, 'little')
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, (10).to_bytes(4, 'little')))
    with pytest.raises(CraniumError, match=r'x.zip:a: damaged'):
        unpack(path, tmp_path / 'out')
    assert (tmp_path / 'out/a').stat().st_size <= 10


def test_an_error_of_writing_is_its_own(tmp_path):
    """A full disk is no fault of the zip."""
    path = write_zip(tmp_path / 'x.zip', a=b'1')
    (tmp_path / 'out').write_text('a file where the folder should be')
    with pytest.raises(OSError, match='out'):
        unpack(path, tmp_path / 'out')
