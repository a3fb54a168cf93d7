"""The server without a browser: what it does, and above all what it refuses."""

import gzip
import io
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cranium.demo import samples, server
from cranium.demo.server import make_app, safe_path, unique
from cranium.demo.sessions import Limits
from cranium.errors import CraniumError
from tests.test_demo.segmenter import NETWORK, segment_scan

BRAIN = samples.FOLDER / 'Patients_CT/071/brain'


class Page(TestClient):
    """A page that talks to the server."""

    def __init__(self, app) -> None:
        super().__init__(app, base_url='http://127.0.0.1:7860')

    def begin(self) -> 'Page':
        self.session = f'/sessions/{self.post("/sessions").json()["session"]}'
        return self

    def upload(self, *files: tuple[str, bytes]):
        return self.post(f'{self.session}/uploads', files=[('file', file) for file in files])

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


@contextmanager
def serve(segment=segment_scan, **limits):
    with Page(make_app(segment, NETWORK, Limits(**limits))) as page:
        yield page.begin()


@pytest.fixture(scope='module')
def page():
    with serve() as page:
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
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


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
    assert (found['score'], found['threshold']) == (2, 0.5)
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


def test_a_lesion_leads_to_the_slice_that_shows_most_of_it(page):
    found = page.sample('071')
    largest = found['lesions'][0]
    (first, *_), (after, *_) = largest['box']
    assert first <= largest['slice'] < after
    assert largest['pixels'] > found['lesions'][1]['pixels']


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


def test_several_files_in_one_upload_become_several_scans():
    with serve() as page:
        answer = page.upload(*((f'{n}.jpg', (BRAIN / '12.jpg').read_bytes()) for n in 'ab'))
        assert answer.status_code == 202
        assert sorted(scan['name'] for scan in page.wait()) == ['a', 'b']


def test_a_zip_is_unpacked_and_its_files_are_deleted_when_all_is_done():
    with serve() as page:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, 'w') as archive:
            for number in (11, 12):
                archive.write(BRAIN / f'{number}.jpg', f'head/{number}.jpg')
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
    'short.jpg': (BRAIN / '12.jpg').read_bytes()[:2000],
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
    assert str(folder_of(page)) not in failed['message']
    page.upload(('049_001.png', png()))
    assert page.wait()[-1]['state'] == 'done'


@pytest.mark.parametrize(
    'error, told', [(CraniumError('b.png: no head'), 'b.png: no head'), (KeyError('x'), 'KeyError')]
)
def test_what_goes_wrong_in_the_network_is_told_in_the_list(error, told, capsys):
    def fail(scan, progress):
        raise error

    with serve(fail) as page:
        page.upload(('049_001.png', png()))
        (scan,) = page.wait()
    assert scan['state'] == 'failed'
    assert told in scan['message']
    assert ('Traceback' in capsys.readouterr().err) == isinstance(error, KeyError)


@pytest.mark.parametrize(
    'name',
    ['../../../evil.png', '/etc/evil.png', '..\\..\\evil.png', 'C:\\evil.png', '....//evil.png'],
)
def test_names_cannot_leave_the_folder(name, monkeypatch):
    saved = []
    monkeypatch.setattr(server, '_save', lambda files, paths: saved.extend(paths))
    with serve() as page:
        page.upload((name, png()))
        (path,) = saved
        upload = folder_of(page)
        assert upload in path.resolve().parents
        assert path.name == 'evil.png'


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


def test_an_upload_that_does_not_say_how_large_it_is_is_cut():
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'

    def parts():
        yield head
        for _ in range(100):
            yield b'\0' * 1000

    with serve(upload_bytes=10_000) as page:
        kind = {'content-type': 'multipart/form-data; boundary=x'}
        answer = page.post(f'{page.session}/uploads', content=parts(), headers=kind)
        assert answer.status_code == 413
        assert page.scans() == []
        assert files_in(folder_of(page)) == []


def test_too_many_files_are_refused():
    with serve(files=3) as page:
        answer = page.upload(*((f'{n}.png', png()) for n in range(4)))
        assert answer.status_code == 400
        assert 'Maximum number of files is 3' in answer.json()['error']


@pytest.mark.parametrize('content', [b'', b'nonsense'])
def test_an_upload_without_files_is_refused(page, content):
    kind = {'content-type': 'multipart/form-data; boundary=x'}
    answer = page.post(f'{page.session}/uploads', content=content, headers=kind)
    assert answer.status_code == 400
    assert answer.json()['error']


def test_a_full_disk_is_told(monkeypatch):
    def fail(files, paths):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(server, '_save', fail)
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
