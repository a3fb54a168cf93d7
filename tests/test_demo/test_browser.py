"""The page as somebody sees it, in a Chromium without a window."""

import base64
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cranium.demo import samples
from cranium.demo.server import make_app
from cranium.demo.sessions import Limits
from cranium.windows import Window
from tests.test_demo.segmenter import NETWORK, segment_scan

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine'),
]
ARGUMENTS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
]
SLICE = samples.FOLDER / 'Patients_CT/071/brain/12.jpg'

# Counts the pixels of a canvas that show something.
COUNT = """id => {
  const canvas = document.getElementById(id), context = canvas.getContext('2d');
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
  return count;
}"""
GRAYS = """() => {
  const canvas = document.getElementById('picture'), context = canvas.getContext('2d');
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let at = 1; at < data.length; at += 4) text += String.fromCharCode(data[at]);
  return btoa(text);
}"""


@pytest.fixture(scope='module')
def address() -> Iterator[str]:
    """Of the page, with a stand-in for the network; takes 3 MB at a time."""
    import uvicorn

    from cranium.demo.serve import listen

    app = make_app(segment_scan, NETWORK, Limits(upload_bytes=3 * 2**20))
    server = uvicorn.Server(uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=1))
    with listen(0) as listener:
        thread = threading.Thread(target=server.run, kwargs={'sockets': [listener]})
        thread.start()
        yield f'http://127.0.0.1:{listener.getsockname()[1]}/'
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope='module')
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page, opened anew; the test fails if it asks elsewhere or its script does."""
    faults = []
    page = browser.new_page(viewport={'width': 1280, 'height': 900})
    page.set_default_timeout(20_000)
    page.on('request', lambda request: faults.append(request.url))
    page.on('pageerror', lambda error: faults.append(f'error: {error}'))
    page.on('console', lambda message: faults.append(f'{message.type}: {message.text}'))
    page.goto(address)
    yield page
    page.goto('about:blank')  # leaves it
    page.close()
    # The browser logs what the server refuses; the page shows it.
    usual = (address, 'data:', 'about:blank', 'error: Failed to load resource', 'warning: Canvas2D')
    assert [fault for fault in faults if not fault.startswith(usual)] == []


def open_sample(page, patient: str = '071') -> None:
    page.click(f'[data-sample="{patient}"]')
    page.wait_for_selector(f'#findings-title:text("{patient}")')
    page.wait_for_selector('#corner-slice:not(:empty)')


def see(page, number: int) -> None:
    page.wait_for_selector(f'#corner-slice:text-matches("^{number} /")')


def test_an_uploaded_slice_is_outlined_and_the_outline_can_be_switched_off(page):
    page.set_input_files('#files', SLICE)
    page.wait_for_selector('#result:not([hidden])')
    page.wait_for_selector('#corner-slice:not(:empty)')
    assert page.text_content('#verdict') == 'Hemorrhage: yes'
    assert 'Probability88 % of hemorrhage' in page.text_content('#figures')
    assert page.text_content('#corner-slice') == '1 / 1, hemorrhage 25 %'
    both = page.evaluate(COUNT, 'layer')
    page.uncheck('#outline')
    filled = page.evaluate(COUNT, 'layer')
    assert 0 < filled < both
    page.fill('#fill', '0')
    assert page.evaluate(COUNT, 'layer') == 0
    page.check('#outline')
    assert 0 < page.evaluate(COUNT, 'layer') < filled
    # With the keys, once the picture has the focus.
    page.focus('#stage')
    page.keyboard.press('o')
    assert page.evaluate(COUNT, 'layer') == 0
    page.keyboard.press('f')
    assert page.evaluate(COUNT, 'layer') == filled


def test_slices_are_scrolled_by_wheel_keys_slider_and_buttons(page):
    open_sample(page)
    page.keyboard.press('Home')
    see(page, 1)
    first = page.evaluate(GRAYS)
    page.keyboard.press('ArrowUp')
    see(page, 2)
    assert page.evaluate(GRAYS) != first
    page.hover('#stage')
    page.mouse.wheel(0, -100)
    see(page, 3)
    page.mouse.wheel(0, 100)
    see(page, 2)
    page.fill('#slice', '5')
    see(page, 5)
    page.click('#up')
    see(page, 6)
    page.click('#up')
    see(page, 6)
    page.focus('#stage')
    page.keyboard.press('PageDown')
    see(page, 1)
    assert 'Slice 1 of 6' in page.get_attribute('#stage', 'aria-label')
    assert 'slice 1 of 6' in page.get_attribute('#slice', 'aria-valuetext').lower()


def test_a_finger_scrolls_through_the_slices(browser, address):
    context = browser.new_context(viewport={'width': 390, 'height': 844}, has_touch=True)
    page = context.new_page()
    page.goto(address)
    open_sample(page)
    page.locator('#stage').scroll_into_view_if_needed()
    page.keyboard.press('Home')
    see(page, 1)
    box = page.locator('#stage').bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    touch = context.new_cdp_session(page)

    def finger(kind: str, *points: dict) -> None:
        touch.send('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': points})

    finger('touchStart', {'x': x, 'y': y})
    for step in range(1, 8):
        finger('touchMove', {'x': x, 'y': y - 10 * step})
    finger('touchEnd')
    see(page, 3)  # 70 pixels, and a slice every 200 / 6
    assert page.text_content('#corner-window').split() == ['L', '40', 'W', '80']
    page.goto('about:blank')
    context.close()


@pytest.mark.parametrize('key, level, width', [(1, 40, 80), (3, 80, 200), (5, 700, 3200)])
def test_the_picture_shows_the_window_as_cranium_does_elsewhere(page, key, level, width):
    open_sample(page, '105')
    page.focus('#stage')
    page.keyboard.press('Home')
    see(page, 1)
    page.keyboard.press(str(key))
    shown = np.frombuffer(base64.b64decode(page.evaluate(GRAYS)), np.uint8).astype(int)
    expected = Window(level, width).to_gray(samples.read_sample('105').hu[0]).ravel()
    assert np.abs(shown - expected).max() <= 1  # of halves, either neighbour
    assert page.text_content('#corner-window').split() == ['L', str(level), 'W', str(width)]


def test_level_and_width_are_free(page):
    open_sample(page, '105')
    page.fill('#level', '55')
    page.fill('#width', '90')
    page.keyboard.press('Enter')
    assert page.text_content('#corner-window').split() == ['L', '55', 'W', '90']
    assert page.locator('#presets input:checked').count() == 0
    box = page.locator('#stage').bounding_box()
    x, y = box['x'] + 100, box['y'] + 100
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y - 20)
    page.mouse.up()
    assert page.text_content('#corner-window').split() == ['L', '75', 'W', '110']


def test_the_probability_lies_over_the_slice_only_where_asked_for(page):
    open_sample(page)
    page.uncheck('#outline')
    page.fill('#fill', '0')
    assert page.evaluate(COUNT, 'layer') == 0
    page.check('#probability')
    assert page.evaluate(COUNT, 'layer') > 0
    assert page.is_visible('#scale')


def test_a_lesion_leads_to_its_slice(page):
    open_sample(page)
    for row in page.locator('#lesions tbody tr').all()[:3]:
        row.locator('button').click()
        named = int(
            re.findall(r'slice (\d+)', row.locator('button').get_attribute('aria-label'))[0]
        )
        see(page, named)
        assert row.get_attribute('class') == 'chosen'


def test_the_pixel_under_the_pointer_is_read_off(page):
    open_sample(page, '105')
    page.keyboard.press('Home')
    see(page, 1)
    box = page.locator('#stage').bounding_box()
    page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    hu = samples.read_sample('105').hu[0]
    middle = hu[tuple(slice(n // 2 - 2, n // 2 + 3) for n in hu.shape)]
    shown = int(page.text_content('#corner-reading').split()[0])
    assert shown in middle


@pytest.mark.parametrize('kind', ['text/plain', ''])
def test_a_file_is_dropped_anywhere(page, kind):
    data = page.evaluate_handle(
        """async ([url, type]) => {
          const bytes = await (await fetch(url)).blob(), data = new DataTransfer();
          data.items.add(new File([bytes], 'dropped_1.png', {type}));
          return data;
        }""",
        [f'{page.url}samples/071.png', kind],
    )
    page.dispatch_event('footer', 'drop', {'dataTransfer': data})
    page.wait_for_selector('#scans .name:text("dropped")')


def test_masks_and_tables_are_saved(page, tmp_path):
    open_sample(page, '105')
    links = page.locator('#saves a')
    links.first.wait_for()
    for link in links.all():
        with page.expect_download() as started:
            link.click()
        started.value.save_as(tmp_path / started.value.suggested_filename)
    with zipfile.ZipFile(tmp_path / '105_mask.zip') as archive:
        assert len(archive.namelist()) == 3
    assert (tmp_path / '105_lesions.csv').read_text().startswith('scan,lesion,')


def test_several_scans_are_listed_opened_and_removed(page):
    open_sample(page, '105')
    open_sample(page, '112')
    items = page.locator('#scans li')
    assert items.count() == 2
    items.nth(0).locator('.open').click()
    page.wait_for_selector('#findings-title:text("105")')
    assert items.nth(0).locator('.open').get_attribute('aria-pressed') == 'true'
    items.nth(0).locator('.remove').click()
    page.wait_for_selector('#findings-title:text("112")')
    assert items.count() == 1
    items.nth(0).locator('.remove').click()
    page.wait_for_selector('#result', state='hidden')
    assert page.evaluate(COUNT, 'layer') == 0
    assert page.is_visible('#empty')


def test_what_is_no_scan_is_told_beside_what_is_one(page, tmp_path):
    (tmp_path / 'notes.dcm').write_text('no DICOM')
    page.set_input_files('#files', [tmp_path / 'notes.dcm', SLICE])
    page.wait_for_selector('#result:not([hidden])')
    failed = page.locator('#scans .failed .state').text_content()
    assert 'notes.dcm' in failed
    assert 'cranium-demo-' not in failed


def test_too_much_is_refused_before_it_is_sent(page, tmp_path):
    (tmp_path / 'large.nii').write_bytes(b'\0' * (4 * 2**20))
    page.set_input_files('#files', tmp_path / 'large.nii')
    page.wait_for_selector('#problem:not([hidden])')
    assert page.text_content('#problem') == '4 MB are more than 3 MB; take fewer files.'


def test_whoever_is_faster_than_the_server_is_waited_for(browser, address):
    page = browser.new_page()
    waiting = []
    page.route('**/sessions', lambda route: waiting.append(route))
    page.goto(address)
    page.click('[data-sample="105"]')
    page.wait_for_timeout(300)
    waiting[0].continue_()
    page.wait_for_selector('#findings-title:text("105")')
    assert page.is_hidden('#problem')
    page.goto('about:blank')
    page.close()


def test_a_program_that_has_ended_is_told(page):
    page.route('**/sessions/**', lambda route: route.abort())
    page.click('[data-sample="071"]')
    page.wait_for_selector('#problem:not([hidden])')
    assert 'start cranium demo again' in page.text_content('#problem')
    page.unroute('**/sessions/**')


def test_leaving_the_page_deletes_what_it_held(browser, address):
    page = browser.new_page()
    page.goto(address)
    with page.expect_request('**/scans/1') as request:
        open_sample(page, '105')
    session = request.value.url.removesuffix('/scans/1')
    assert page.request.get(session).status == 200
    page.goto('about:blank')
    for _ in range(100):
        if page.request.get(session).status == 410:
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError('still there')
    page.close()


@pytest.mark.parametrize('width, height', [(390, 844), (320, 600), (800, 600), (1280, 900)])
def test_nothing_is_wider_than_the_screen(page, width, height):
    page.set_viewport_size({'width': width, 'height': height})
    open_sample(page)
    page.check('#probability')
    page.locator('details').evaluate_all('all => all.forEach(one => { one.open = true; })')
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    stage = page.locator('#stage').bounding_box()
    assert stage['x'] >= 0
    assert stage['x'] + stage['width'] <= width


def test_everything_that_can_be_used_has_a_name(page):
    open_sample(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, a, [tabindex]')].filter(one =>
          !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length))
          .map(one => one.outerHTML)"""
    )
    assert nameless == []
    assert page.get_attribute('#live', 'aria-live') == 'polite'
    assert 'sample 071' in page.text_content('#live')


def test_colours_can_be_told_apart_in_both_themes():
    """Text against its ground: 4.5 to 1 and more, as WCAG 2.2 wants (1.4.3)."""
    css = (Path(samples.__file__).parent / 'static/demo.css').read_text()
    light, dark = (dict(re.findall(r'--([\w-]+): (#\w+);', block)) for block in blocks(css))
    for theme in (light, light | dark):
        for text, grounds in {
            'ink': ('paper', 'card', 'warn-paper'),
            'faint': ('paper', 'card'),
            'link': ('card',),
            'bad': ('card',),
            'on-link': ('link',),
        }.items():
            for ground in grounds:
                bright, dim = sorted(map(luminance, (theme[text], theme[ground])), reverse=True)
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)


def blocks(css: str) -> list[str]:
    return re.findall(r':root \{(.*?)\}', css, re.DOTALL)[:2]


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else ''.join(2 * digit for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))
