"""The server without a browser: what it does, and above all what it refuses."""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import os
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy import ndimage
from starlette.testclient import TestClient

from cranium.demo import results, samples, worker
from cranium.demo.parcel import Parcel, safe_path, unique
from cranium.demo.server import make_app
from cranium.demo.sessions import Limits
from cranium.errors import CraniumError
from cranium.preparation.images import encode_png
from cranium.scans.scan import Scan
from cranium.windows import BRAIN, Window, encode_hu
from tests.dicom_files import write_series
from tests.test_demo.segmenter import NETWORK, segment_scan

PICTURES = samples.FOLDER / 'Patients_CT/071/brain'


class Page(TestClient):
    """A page that talks to the server."""

    def __init__(self, app) -> None:
        super().__init__(app, base_url='http://127.0.0.1:7860')

    def begin(self) -> 'Page':
        self.session = f'/sessions/{self.post("/sessions").json()["session"]}'
        return self

    def upload(self, *files: tuple[str, bytes]):
        return self.post(f'{self.session}/uploads', content=parcel(*files))

    def scans(self) -> list[dict]:
        return self.get(self.session).json()['scans']

    def wait(self) -> list[dict]:
        """Return the list once nothing is being done."""
        for _ in range(600):
            scans = self.scans()
            if all(scan['state'] in ('done', 'failed') for scan in scans):
                return scans
            time.sleep(0.02)
        raise AssertionError(scans)

    def sample(self, patient: str) -> dict:
        """Open a sample, and return what was found."""
        number = self.post(f'{self.session}/samples/{patient}').json()['scan']
        self.wait()
        return self.get(f'{self.session}/scans/{number}').json()


def parcel(*files: tuple[str, bytes]) -> bytes:
    """Pack files as the page does; see :mod:`cranium.demo.parcel`."""
    names = json.dumps([(name, len(content)) for name, content in files]).encode()
    return len(names).to_bytes(4, 'big') + names + b''.join(content for _, content in files)


@contextmanager
def serve(segment=segment_scan, window=BRAIN, **limits):
    with Page(make_app(segment, NETWORK, Limits(**limits), window)) as page:
        yield page.begin()


@pytest.fixture(scope='module')
def page():
    with serve(scans=100) as page:
        yield page


def png(value: int = 80, size: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(buffer, 'PNG')
    return buffer.getvalue()


def folder_of(page: Page) -> Path:
    """The folder of the server, where all that is uploaded lies."""
    demo = page.app.routes[0].endpoint.__self__
    return demo.sessions.folder


def files_in(folder: Path) -> list[str]:
    # Not by `rglob`, which fails at a folder that is just being deleted.
    return sorted(name for _, _, names in os.walk(folder) for name in names)


def test_the_page_says_what_it_is_and_loads_nothing_from_elsewhere(page):
    answer = page.get('/')
    assert 'Not a medical device' in answer.text
    assert 'stay on this' in answer.text
    assert 'CC BY 4.0' in answer.text
    assert 'a stand-in' in answer.text
    texts = [answer.text, *(page.get(f'/static/demo.{kind}').text for kind in ('js', 'css'))]
    for text in texts:
        assert '//' not in text.replace('// ', '')  # but for comments
        assert ' on' + 'click=' not in text
    assert '<style' not in answer.text
    assert ' style=' not in answer.text


@pytest.mark.parametrize('path', ['/', '/static/demo.js', '/sessions/none', '/none'])
def test_every_answer_carries_the_policy(page, path):
    headers = page.get(path).headers
    assert "default-src 'none'" in headers['content-security-policy']
    assert headers['cache-control'] == 'no-store'
    assert headers['x-content-type-options'] == 'nosniff'
    assert 'access-control-allow-origin' not in headers


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:7860', '127.0.0.1.evil.org', ''])
def test_a_name_that_only_points_here_is_refused(page, host):
    answer = page.get('/', headers={'host': host})
    assert answer.status_code == 400
    assert 'content-security-policy' in answer.headers


@pytest.mark.parametrize('host', ['127.0.0.1:7860', 'localhost:8000', 'localhost'])
def test_the_names_of_this_machine_are_answered(page, host):
    assert page.get('/', headers={'host': host}).status_code == 200


@pytest.mark.parametrize('origin', ['http://evil.example', 'null', 'http://127.0.0.1:1'])
def test_pages_of_another_origin_may_ask_nothing(page, origin):
    answer = page.post('/sessions', headers={'origin': origin})
    assert answer.status_code == 403
    assert origin in answer.json()['error']
    assert page.post('/sessions', headers={'origin': 'http://127.0.0.1:7860'}).status_code == 201


def test_a_sample_is_what_the_preparation_makes_of_it(page):
    """In HU, also beyond the brain window; 6 slices of 071."""
    found = page.sample('071')
    assert found['shape'] == [6, 650, 650]
    assert found['volume_ml'] is None
    assert found['no_volume'] == 'the input tells no millimetres'
    assert found['hemorrhage'] is True
    assert (found['score'], found['threshold'], found['probability']) == (2, 0.5, 0.875)
    assert found['slices'][2]['probability'] == 0.25
    assert found['remarks'] == ['made by a stand-in for the network']
    (listed,) = [scan for scan in page.scans() if scan['name'] == 'sample 071']
    assert (listed['slices'], listed['segmented']) == (6, 6)
    address = f'{page.session}/scans/{listed["number"]}/slices'
    content = page.get(f'{address}/2').content
    expected = samples.read_sample('071').hu[2]
    hu = np.frombuffer(content, '<i2', 650 * 650).reshape(650, 650)
    np.testing.assert_array_equal(hu, expected)
    assert hu.max() > 1000
    mask, probability = np.frombuffer(content, np.uint8, offset=2 * 650 * 650).reshape(2, 650, 650)
    assert mask.sum() == found['slices'][2]['pixels'] > 0
    assert set(np.unique(mask)) == {0, 1}
    # 1 / (1 + e^-4) = 0.982 of 255, and the rest of it
    assert set(probability[mask == 1]) == {250}
    assert set(probability[mask == 0]) == {5}
    for wrong in (6, 999):
        assert page.get(f'{address}/{wrong}').status_code == 404


def test_a_lesion_leads_to_the_slice_that_shows_most_of_it(hu):
    """The largest of the cut lies in all three slices."""
    found = segment_scan(Scan(hu, 'cut', 'cut'), lambda done: None)
    (lesion, *_) = results._figures(found)['lesions']
    labels, _ = ndimage.label(found.masks)
    largest = np.bincount(labels[labels > 0]).argmax()
    areas = (labels == largest).sum((1, 2))
    assert lesion['pixels'] == areas.sum()
    assert lesion['slice'] == areas.argmax()
    assert len(set(areas)) == 3


def test_samples_are_listed_with_what_radiologists_saw(page):
    by_patient = {sample.patient: sample for sample in samples.list_samples()}
    assert len(by_patient) == 12
    assert sum(sample.slices for sample in by_patient.values()) == 61
    assert by_patient['071'].types == ('Intraparenchymal', 'Subdural')
    assert by_patient['105'].types == ()
    for patient in by_patient:
        image = Image.open(io.BytesIO(page.get(f'/samples/{patient}.png').content))
        assert image.size == (96, 96)
    assert page.get('/samples/nobody.png').status_code == 404


# Nothing of a patient may be guessed from the name of a series; this one is named by its UID.
SERIES = 'series-' + hashlib.sha256(b'1.2.3.4').hexdigest()[:8]


@pytest.fixture(scope='module')
def hu() -> np.ndarray:
    """Three real slices, cut to the half with the hemorrhage: (3, 400, 350)."""
    return samples.read_sample('071').hu[2:5, 100:500, 250:600].copy()


@pytest.fixture(scope='module')
def inputs(tmp_path_factory, hu) -> dict[str, list[tuple[str, bytes]]]:
    """Slices as files of each kind; pixels of 0.5 mm, slices every 5 mm."""
    folder = tmp_path_factory.mktemp('inputs')
    series = write_series(folder / 'series', hu, series='1.2.3.4')
    # x to the left, y to the front, z up
    voxels = hu[:, ::-1, ::-1].transpose(2, 1, 0)
    nibabel.Nifti1Image(voxels, np.diag([0.5, 0.5, 5, 1])).to_filename(folder / 'head.nii.gz')
    pictures = [encode_png(encode_hu(plane)) for plane in hu]
    return {
        'dicom': [(path.name, path.read_bytes()) for path in series],
        'nifti': [('head.nii.gz', (folder / 'head.nii.gz').read_bytes())],
        'pictures': [(f'071_{n:03d}.png', png) for n, png in enumerate(pictures, 10)],
    }


@pytest.mark.parametrize('kind', ['dicom', 'nifti', 'pictures'])
def test_what_is_saved_is_what_is_seen(page, inputs, hu, kind):
    page.upload(*inputs[kind])
    listed = page.wait()[-1]
    assert (listed['state'], listed['slices']) == ('done', 3), listed
    address = f'{page.session}/scans/{listed["number"]}'
    found = page.get(address).json()
    seen = []
    for number in range(3):
        content = page.get(f'{address}/slices/{number}').content
        seen.append(np.frombuffer(content, np.uint8, 400 * 350, offset=2 * 400 * 350))
    mask = np.reshape(seen, (3, 400, 350))
    expected = segment_scan(Scan(hu, 'cut', 'cut'), lambda done: None).masks
    assert expected.any()
    np.testing.assert_array_equal(mask, expected)
    if kind == 'pictures':
        assert listed['volume_ml'] is None
    else:
        assert listed['volume_ml'] == pytest.approx(mask.sum() * 0.5 * 0.5 * 5 / 1000)

    saved = {f['name']: page.get(f'{address}/files/{f["name"]}') for f in found['files']}
    for file in found['files']:
        answer = saved[file['name']]
        assert len(answer.content) == file['bytes']
        assert file['name'] in answer.headers['content-disposition']
    tables = [name for name in saved if name.endswith('.csv')]
    assert sorted(tables) == [f'{listed["name"]}_{which}.csv' for which in ('lesions', 'slices')]
    slices = list(csv.DictReader(io.StringIO(saved[f'{listed["name"]}_slices.csv'].text)))
    assert [int(row['pixels']) for row in slices] == mask.sum((1, 2)).tolist()
    check_mask[kind](saved, mask)


def check_pictures(saved, mask) -> None:
    with zipfile.ZipFile(io.BytesIO(saved['071_mask.zip'].content)) as archive:
        names = sorted(archive.namelist())
        assert names == [f'071_{number:03d}.png' for number in range(10, 13)]
        planes = [np.asarray(Image.open(archive.open(name))) for name in names]
    np.testing.assert_array_equal(planes, mask)


def check_nifti(saved, mask) -> None:
    content = gzip.decompress(saved['head_nifti.nii.gz'].content)
    image = nibabel.Nifti1Image.from_bytes(content)
    np.testing.assert_array_equal(image.affine, np.diag([0.5, 0.5, 5, 1]))
    voxels = np.asarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]
    np.testing.assert_array_equal(voxels, mask)


def check_dicom(saved, mask) -> None:
    segmentation = pydicom.dcmread(io.BytesIO(saved[f'{SERIES}_dicom-seg.dcm'].content))
    assert segmentation.Modality == 'SEG'
    assert segmentation.pixel_array.astype(bool).sum() == mask.sum()
    assert f'{SERIES}_nifti.zip' in saved


check_mask = {'dicom': check_dicom, 'nifti': check_nifti, 'pictures': check_pictures}


@pytest.mark.parametrize('name', ['slices.npy', '..%2F..%2Fsecret', 'nothing'])
def test_only_what_is_offered_can_be_saved(page, name):
    page.sample('105')
    number = page.scans()[-1]['number']
    answer = page.get(f'{page.session}/scans/{number}/files/{name}')
    assert answer.status_code == 404
    assert page.get(f'{page.session}/scans/{number}/slices/0').status_code == 200


def test_what_was_found_is_seen_while_files_are_written(monkeypatch):
    go_on = threading.Event()
    save = results.save
    monkeypatch.setattr(
        results, 'save', lambda *args: (go_on.wait(5) and file for file in save(*args))
    )
    with serve() as page:
        number = page.post(f'{page.session}/samples/105').json()['scan']
        wait_until(lambda: page.scans()[0]['state'] == 'writing')
        found = page.get(f'{page.session}/scans/{number}').json()
        assert found['files'] == []
        assert len(found['slices']) == found['shape'][0]
        go_on.set()
        page.wait()
        assert page.get(f'{page.session}/scans/{number}').json()['files']


def test_pictures_are_taken_for_the_window_that_was_named():
    """Gray 51 is a fifth of the way from the lower end: 50 - 100 + 40 HU."""
    with serve(window=Window(50, 200)) as page:
        assert '-50 to 150 HU' in page.get('/').text
        page.upload(('049_001.png', png(51)))
        (scan,) = page.wait()
        content = page.get(f'{page.session}/scans/{scan["number"]}/slices/0').content
        assert set(np.frombuffer(content, '<i2', 64 * 64)) == {-10}


def test_several_files_in_one_upload_become_several_scans():
    with serve() as page:
        answer = page.upload(*((f'{n}.jpg', (PICTURES / '12.jpg').read_bytes()) for n in 'ab'))
        assert answer.status_code == 202
        assert sorted(scan['name'] for scan in page.wait()) == ['a', 'b']


def test_a_zip_is_unpacked_and_its_files_are_deleted_when_all_is_done():
    with serve() as page:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, 'w') as archive:
            for number in (11, 12):
                archive.write(PICTURES / f'{number}.jpg', f'head/{number}.jpg')
        page.upload(('head.zip', packed.getvalue()))
        assert sum(scan['slices'] for scan in page.wait()) == 2
        wait_until(lambda: not [name for name in files_in(folder_of(page)) if 'jpg' in name])
        assert [name for name in files_in(folder_of(page)) if name.endswith('.npy')]


def wait_until(condition) -> None:
    for _ in range(250):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError('waited in vain')


BROKEN = {
    'text.dcm': b'this is no DICOM',
    'short.jpg': (PICTURES / '12.jpg').read_bytes()[:2000],
    'broken.zip': b'PK\x03\x04 and no more',
    'empty.nii': b'',
    'cut.nii.gz': gzip.compress(b'\0' * 400)[:-9],
    'notes.txt': b'nothing here',
}


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_file_is_told_and_the_next_is_done(page, name):
    page.upload((name, BROKEN[name]))
    failed = page.wait()[-1]
    assert failed['state'] == 'failed'
    assert failed['message']
    assert '\n' not in failed['message']
    assert failed['message'].startswith(name)
    page.upload(('049_001.png', png()))
    assert page.wait()[-1]['state'] == 'done'


@pytest.mark.parametrize(
    'error, told',
    [(CraniumError('b.png: no head'), 'b.png: no head'), (KeyError('a name'), 'KeyError')],
)
def test_what_goes_wrong_in_the_network_is_told_in_the_list(error, told, capsys):
    def fail(scan, progress):
        raise error

    with serve(fail) as page:
        page.upload(('049_001.png', png()))
        (scan,) = page.wait()
    assert scan['state'] == 'failed'
    assert told in scan['message']
    terminal = capsys.readouterr().err
    assert ('in fail\n' in terminal) == isinstance(error, KeyError)
    assert 'a name' not in terminal + scan['message']


@pytest.mark.parametrize(
    'name',
    ['../../../evil.png', '/etc/evil.png', '..\\..\\evil.png', 'C:\\evil.png', '....//evil.png'],
)
def test_names_cannot_leave_the_folder(name, monkeypatch):
    seen = []
    monkeypatch.setattr(worker, 'find_scans', lambda files, *_: seen.extend(files) or ([], []))
    with serve() as page:
        page.upload((name, png()))
        page.wait()
        (path,) = seen
        assert folder_of(page) in path.resolve().parents
        assert path.name in ('evil.png', 'etc', 'C_')


@pytest.mark.parametrize(
    'name, path',
    [
        ('', 'file'),
        ('..', 'file'),
        ('a\0b\n.png', 'a_b_.png'),
        ('x' * 300 + '.png', 'x' * 96 + '.png'),
        ('série/Kopf (1).dcm', 'série/Kopf (1).dcm'),
        ('/'.join('abcdefgh'), 'c/d/e/f/g/h'),
    ],
)
def test_names_become_fit_for_the_disk(name, path):
    assert str(safe_path(name)) == path


def test_names_that_are_there_get_a_number():
    paths = [Path(name) for name in ('a.png', 'A.png', 'b/a.png', 'a.png')]
    assert list(map(str, unique(paths))) == ['a.png', '2_A.png', 'b/a.png', '3_a.png']


def test_an_upload_that_says_it_is_too_large_is_refused():
    with serve(upload_bytes=10_000) as page:
        answer = page.upload(('a.png', b'\0' * 20_000))
        assert answer.status_code == 413
        assert 'larger than' in answer.json()['error']
        assert page.scans() == []


def test_too_many_files_are_refused():
    with serve(files=3) as page:
        answer = page.upload(*((f'{n}.png', png()) for n in range(4)))
        assert answer.status_code == 413
        assert 'more than 3 files' in answer.json()['error']


WHOLE = parcel(('a.png', png()), ('b.png', png()))


@pytest.mark.parametrize(
    'content, told',
    [
        (b'', 'broke off'),
        (WHOLE[:3], 'broke off'),
        (WHOLE[:20], 'broke off'),
        (WHOLE[:-1], 'broke off'),
        (b'\xff' * 100, 'too long'),
        (b'\0\0\0\4null', 'cannot be read'),
        (b'\0\0\0\3[1]', 'cannot be read'),
        (b'\0\0\0\2[]', 'no file'),
        (b'\0\0\0\x0b[["a", -5]]', 'smaller than nothing'),
    ],
)
def test_an_upload_that_is_damaged_is_refused_and_leaves_nothing(content, told):
    with serve() as page:
        answer = page.post(f'{page.session}/uploads', content=content)
        assert answer.status_code == 400
        assert told in answer.json()['error']
        assert page.scans() == []
        assert files_in(folder_of(page)) == []


def test_files_arrive_as_they_were_sent_in_whatever_pieces(tmp_path):
    files = [('a/1.dcm', b'first'), ('a/1.dcm', b''), ('b', bytes(range(256)) * 10)]
    content = parcel(*files)

    async def save(step: int, folder: Path) -> list[Path]:
        async def stream():
            for start in range(0, len(content), step):
                yield content[start : start + step]

        received = Parcel(stream(), Limits())
        await received.open()
        await received.save(folder)
        return received.paths

    for step in (1, 7, 100, 10_000):
        folder = tmp_path / str(step)
        paths = asyncio.run(save(step, folder))
        assert list(map(str, paths)) == ['a/1.dcm', 'a/2_1.dcm', 'b']
        assert [(folder / path).read_bytes() for path in paths] == [part for _, part in files]


def test_a_full_disk_is_told(monkeypatch):
    async def fail(self, folder):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Parcel, 'save', fail)
    with serve() as page:
        answer = page.upload(('a.png', png()))
        assert answer.status_code == 507
        assert 'No space left on device' in answer.json()['error']
        assert page.scans() == []


def test_a_page_holds_so_many_scans_at_most():
    with serve(scans=2) as page:
        for patient in ('105', '112'):
            page.sample(patient)
        answer = page.post(f'{page.session}/samples/122')
        assert answer.status_code == 429
        assert 'holds 2' in answer.json()['error']
        number = page.scans()[0]['number']
        assert page.delete(f'{page.session}/scans/{number}').status_code == 204
        assert page.get(f'{page.session}/scans/{number}').status_code == 404
        assert page.post(f'{page.session}/samples/122').status_code == 202


def test_more_scans_in_an_upload_than_fit_are_refused_together():
    with serve(scans=2) as page:
        page.upload(*((f'{n}.png', png()) for n in 'abc'))
        (scan,) = page.wait()
        assert '3 scans' in scan['message']


def test_so_many_pages_are_open_at_most():
    with serve(pages=2) as page:
        assert page.post('/sessions').status_code == 201
        answer = page.post('/sessions')
        assert answer.status_code == 429
        assert 'close one' in answer.json()['error']
        page.post(f'{page.session}/close')
        assert page.post('/sessions').status_code == 201


def test_closing_the_page_deletes_everything():
    with serve() as page:
        page.sample('105')
        assert files_in(folder_of(page))
        assert page.post(f'{page.session}/close').status_code == 204
        assert list(folder_of(page).iterdir()) == []
        answer = page.get(page.session)
        assert answer.status_code == 410
        assert 'reload the page' in answer.json()['error']


def test_a_page_that_is_heard_of_no_more_is_forgotten():
    with serve(idle_s=0.3) as page:
        folder = folder_of(page)
        assert list(folder.iterdir())
        wait_until(lambda: not list(folder.iterdir()))
        assert page.get(page.session).status_code == 410


def test_the_end_of_the_server_deletes_everything():
    with serve() as page:
        page.sample('105')
        folder = folder_of(page)
        assert files_in(folder)
    assert not folder.exists()


def test_closing_stops_what_is_being_segmented_and_nothing_of_it_stays():
    begun, go_on, reached_end = threading.Event(), threading.Event(), []

    def segment(scan, progress):
        begun.set()
        assert go_on.wait(5)
        progress(1)
        reached_end.append(scan)
        return segment_scan(scan, progress)

    with serve(segment) as page:
        page.upload(('049_001.png', png()))
        assert begun.wait(5)
        page.upload(('049_002.png', png()))
        assert [scan['state'] for scan in page.scans()] == ['segmenting', 'waiting']
        page.post(f'{page.session}/close')
        go_on.set()
        page.begin()
        page.upload(('049_003.png', png()))
        assert page.wait()[-1]['state'] == 'done'
        assert len(reached_end) == 1  # the third
        assert len(list(folder_of(page).iterdir())) == 1


def test_a_scan_that_is_not_done_is_not_shown():
    go_on = threading.Event()

    def segment(scan, progress):
        assert go_on.wait(5)
        return segment_scan(scan, progress)

    with serve(segment) as page:
        number = page.post(f'{page.session}/samples/105').json()['scan']
        answer = page.get(f'{page.session}/scans/{number}')
        go_on.set()
        assert answer.status_code == 409
        assert 'wait' in answer.json()['error']


def test_one_page_does_not_see_the_scans_of_another(page):
    page.sample('105')
    number = page.scans()[0]['number']
    other = f'/sessions/{page.post("/sessions").json()["session"]}'
    assert page.get(other).json() == {'scans': []}
    assert page.get(f'{other}/scans/{number}').status_code == 404
