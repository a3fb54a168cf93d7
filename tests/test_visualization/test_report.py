"""The report: its figures, its parts, and how a browser shows it."""

import csv
import html.parser
import json
import math
import re
import shutil
import subprocess
from collections import defaultdict

import numpy as np
import pytest
from sklearn import metrics

from cranium.evaluation import masks, results, results_table
from cranium.evaluation.records import SliceRecord
from cranium.visualization import published, report
from cranium.visualization.svg import Axis, Chart
from tests.test_tools.commands import save_masks

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('chrome')


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('work')
    save_masks(folder, num_patients=7)
    compared = masks.compare_folders(
        folder / 'good', folder / 'masks/val', images=folder / 'images/val'
    )
    provenance = {'protocol': 'slice', 'config': 'model = <UNet>', 'trained_on': ['001']}
    found = results.evaluate(
        compared.records,
        replicates=300,
        provenance=provenance,
        warnings=['Split by slices & so on.'],
    )
    results.write_results(found, folder / 'evaluation')
    vis_data = folder / '20250101_000000/vis_data'
    vis_data.mkdir(parents=True)
    entries = [{'step': step, 'loss': 1 / step} for step in range(10, 100, 10)]
    entries += [{'step': step, 'pixel/dice_hemorrhage': step / 100} for step in (50, 100)]
    (vis_data / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)))
    return folder


@pytest.fixture(scope='module')
def page(work_dir):
    return report.build_report(work_dir)


class Elements(html.parser.HTMLParser):
    """The elements of a page, and whether they are closed in order."""

    VOID = ('meta', 'link', 'img', 'input', 'br')

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope='module')
def elements(page):
    parsed = Elements(page)
    assert not parsed.open
    return parsed.found


def recomputed(file):
    """Headline figures from slices.csv, by other code than the summary's."""
    with open(file, newline='') as lines:
        rows = list(csv.DictReader(lines))
    counts = [tuple(int(row[name]) for name in ('tp', 'fp', 'fn', 'tn')) for row in rows]
    tp, fp, fn, tn = (sum(column) for column in zip(*counts))
    by_patient = defaultdict(list)
    for row, (t, p, n, _) in zip(rows, counts):
        by_patient[row['patient']].append((t, p, n))
    slice_dice = {
        patient: [2 * t / (2 * t + p + n) for t, p, n in group if t + n]
        for patient, group in by_patient.items()
    }
    positive = [patient for patient, dice in slice_dice.items() if dice]
    sums = {p: [sum(column) for column in zip(*by_patient[p])] for p in by_patient}
    areas = [t + p for t, p, _, _ in counts]
    lesions = [pair.split(':') for row in rows for pair in row['true_lesions'].split()]
    wrong = [p for row in rows for p in row['predicted_lesions'].split() if p.endswith(':0')]
    hd95 = [float(r['hd95']) for r, (t, _, n, _) in zip(rows, counts) if r['hd95'] and t + n]
    ious = tp / (tp + fp + fn), tn / (tn + fp + fn)
    return {
        'pixel/dice_hemorrhage': 2 * tp / (2 * tp + fp + fn),
        'mIoU': 50 * sum(ious),
        'mDice': 50 * sum(2 * i / (1 + i) for i in ious),
        'slice/dice_mean': np.mean([d for p in positive for d in slice_dice[p]]),
        'slice/hd95_mean': np.mean(hd95),
        'patient/authors_dice': np.mean([np.mean(slice_dice[p]) for p in positive]),
        'patient/volume_dice_mean': np.mean(
            [2 * t / (2 * t + p + n) for t, p, n in (sums[name] for name in positive)]
        ),
        'detection/slice_auc': metrics.roc_auc_score([t + n > 0 for t, _, n, _ in counts], areas),
        'detection/patient_auc': metrics.roc_auc_score(
            [p in positive for p in by_patient],
            [max(t + p for t, p, _ in group) for group in by_patient.values()],
        ),
        'lesion/sensitivity': np.mean([matched == '1' for _, matched in lesions]),
        'lesion/false_positives_per_patient': len(wrong) / len(by_patient),
    }


def test_figures_follow_from_slices_csv_alone(work_dir, elements):
    expected = recomputed(work_dir / 'evaluation/slices.csv')
    printed = defaultdict(set)
    for _, attributes in elements:
        if 'data-figure' in attributes:
            printed[attributes['data-figure']].add(float(attributes['data-value']))
    for name, value in expected.items():
        assert [pytest.approx(value, abs=1e-9)] == list(printed[name]), name
    # Every headline that the report has is among those computed again.
    shown = set(report.HEADLINES) & set(printed)
    assert shown == set(expected)


def test_what_is_read_is_what_is_meant(page):
    pattern = r'data-figure="([^"]+)" data-value="([^"]+)">([^<]+)<'
    for name, value, text in re.findall(pattern, page):
        if math.isnan(float(value)):
            assert text.startswith('-'), name
        else:
            digits = len(text.split()[0].partition('.')[2])
            assert float(text.split()[0]) == pytest.approx(float(value), abs=0.51 * 10**-digits)


def test_nothing_is_loaded_from_elsewhere(page, elements):
    assert 'http' not in page.replace('http-equiv', '')
    for tag, attributes in elements:
        assert tag != 'script'
        for name in ('src', 'href'):
            assert re.match('data:|#|$', attributes.get(name, '')), attributes


def test_every_picture_has_words(elements):
    images = [a for tag, a in elements if tag == 'img']
    charts = [a for tag, a in elements if tag == 'svg' and a.get('class') == 'chart']
    assert len(images) >= 21 and all(len(a['alt']) > 20 for a in images)
    assert len(charts) == 7 and all(a['aria-labelledby'] and a['role'] == 'img' for a in charts)


def data_marks(chart):
    """Lines, dots and bars of data; without chance, levels and the legend."""
    return re.findall(r'class="(?:line|dot) (?:first|second)" (?:d="M|cx)|class="bar"', chart)


def test_every_chart_shows_data(page):
    charts = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
    assert len(charts) == 7 and all(map(data_marks, charts))


def test_chance_levels_and_legend_are_no_data():
    chart = Chart('t', 'd', Axis('x', 0, 1), Axis('y', 0, 1))
    chart.line([(0, 0), (1, 1)], 'chance')
    chart.level(0.5, 'first', 'mean')
    chart.line([], 'first', 'slices')
    assert not data_marks(chart.render())
    chart.line([(0, 0), (1, 1)], 'first')
    assert data_marks(chart.render())


def test_links_lead_somewhere_and_ids_are_unique(elements):
    ids = [a['id'] for _, a in elements if 'id' in a]
    assert len(ids) == len(set(ids))
    links = {a['href'][1:] for tag, a in elements if tag == 'a'}
    assert links and links <= set(ids)


def test_what_scrolls_can_be_reached_by_keyboard(elements):
    for _, attributes in elements:
        if attributes.get('class') in ('strip', 'scroll'):
            assert attributes['tabindex'] == '0' and attributes['aria-label']


def test_each_patient_has_all_its_slices(page, work_dir):
    for patient in range(7):
        part = page.split(f'id="patient-{patient:03d}"')[1].split('</details>')[0]
        assert re.findall(r'data-slice="(\d+_\d+)"', part) == [
            f'{patient:03d}_{number:03d}' for number in (1, 2, 3)
        ]


def test_a_single_validation_is_seen(tmp_path):
    folder = tmp_path / '1/vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"step": 50, "pixel/dice_hemorrhage": 0.4}')
    chart = report._learning_curves(tmp_path)
    assert chart.count('<circle') == 1 and 'pixels pooled, 50: 0.400' in chart


def test_worst_median_and_best(page, work_dir):
    records = [r for r in results.read_results(work_dir).records if r.hemorrhage]
    ranked = [r.name for r in sorted(records, key=lambda r: r.dice)]
    shown = {
        name: re.findall(r'data-slice="(\d+_\d+)"', page.split(f'<h3>{name}</h3>')[1])[:4]
        for name in ('Worst', 'Best')
    }
    assert shown == {'Worst': ranked[:4], 'Best': ranked[::-1][:4]}


def test_warnings_and_config_are_escaped(page):
    assert 'Split by slices &amp; so on.' in page and 'model = &lt;UNet&gt;' in page


def test_published_figures_stand_beside_ours(page):
    for source in published.PUBLISHED:
        assert source.value in page and f'data-figure="{source.figure}"' in page


def test_markdown_holds_the_same_figures(work_dir):
    text = report.build_markdown(work_dir)
    found = results.read_results(work_dir).figures
    assert results.format_figure(found['patient/authors_dice']) in text
    assert '> **Note.** Split by slices' in text and '| pixel/dice_hemorrhage |' in text
    origin = text.split('## Origin')[1]
    assert '| protocol | slice |' in origin and '| trained_on | 001 |' in origin
    assert '```python\nmodel = <UNet>\n```' in origin


def test_the_figure_without_070_stands_beside_the_authors_where_there_is_one():
    authors, *others = published.PUBLISHED
    without = {'patient/authors_dice': 1, 'patient/authors_dice_without_070': 2}
    assert published.closest(authors, without) == 'patient/authors_dice_without_070'
    assert published.closest(authors, {'patient/authors_dice': 1}) == 'patient/authors_dice'
    assert all(published.closest(other, without) == other.figure for other in others)


def test_the_predecessor_s_rows_are_marked_where_they_are_impossible():
    rows = [p for p in published.PUBLISHED if p.figure in ('mIoU', 'mDice')]
    for miou, mdice in zip(rows[::2], rows[1::2]):
        values = [float(row.value.split()[0]) for row in (miou, mdice)]
        impossible = results_table.contradiction(results_table.Row('', *values)) is not None
        assert ['impossible' in row.value for row in (miou, mdice)] == [impossible] * 2
    assert len(rows) == 6


def test_a_run_without_pictures_curves_or_hemorrhage(tmp_path):
    from tests.test_evaluation.test_summary import LITERAL

    results.write_results(results.evaluate(LITERAL[3:], replicates=20), tmp_path)
    text = report.build_report(tmp_path)
    assert 'no image' in text and 'id="training"' not in text
    Elements(text)


def test_confusion_at_a_threshold_from_validation(tmp_path):
    from cranium.evaluation.summary import OperatingPoint
    from tests.test_evaluation.test_summary import LITERAL

    point = OperatingPoint(0.5, 0.5, 'log-odds', ('900',))
    found = results.evaluate(LITERAL, operating_point=point, replicates=20)
    results.write_results(found, tmp_path)
    page = report.build_report(tmp_path)
    confusion = page.split('Confusion of slices')[1].split('</table>')[0]
    rows = re.findall(r'<tr><td>(.*?)</td></tr>', confusion)
    assert [row.split('</td><td>') for row in rows] == [
        ['any predicted pixel', '2', '1', '1', '1'],
        ['score from 0.5, chosen in validation', '2', '1', '1', '1'],
    ]
    assert 'data-figure="detection/slice_sensitivity"' in page


def test_pages_stay_small_with_many_slices():
    assert report._side(300) == 256  # as sharp as can be
    for num_slices in (1000, 2004, 2501):
        side = report._side(num_slices)
        size = num_slices * (report.SLICE_BYTES + report.PIXEL_BYTES * side**2)
        assert 64 < side < 256 and 7e6 < size < 9e6


def test_speckled_predictions_keep_to_the_budget():
    speckled = [SliceRecord('049', n, 500, 20_000, 500, 100_000) for n in range(2004)]
    points = report._most_points(speckled)
    assert 60 < points < 0.5 * report.OUTLINE_BYTES / report.POINT_BYTES / 2000
    assert report._most_points(speckled[:20]) == report.MOST_POINTS


CHECK = """<script>
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; });
  setTimeout(() => {
    const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt);
    for (const chart of document.querySelectorAll('svg.chart')) {
      const box = chart.getBoundingClientRect();
      // Not the line of chance, levels or the legend: what shows data.
      const data = ':is(.line, .dot):is(.first, .second):not(.key, .level), .bar';
      const marks = [...chart.querySelectorAll(data)].map(m => m.getBBox());
      const drawn = marks.some(mark => mark.width + mark.height > 0);
      if (box.width < 200 || box.height < 40 || !drawn) broken.push(chart.textContent);
    }
    const wide = document.documentElement.scrollWidth > innerWidth;
    document.title = JSON.stringify({broken, wide, images: document.images.length});
  }, 3000);
});
</script>"""


@pytest.mark.skipif(not CHROMIUM, reason='Chromium is not installed: the page is not opened')
class TestInChromium:
    def open(self, tmp_path, page, *options):
        (tmp_path / 'report.html').write_text(page, encoding='utf-8')
        return subprocess.run(
            [
                *(CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars'),
                *(f'--user-data-dir={tmp_path}/profile', '--enable-logging=stderr'),
                *options,
                f'file://{tmp_path}/report.html',
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    @pytest.mark.parametrize('width', [1280, 500])
    def test_every_figure_is_drawn_without_console_errors(self, tmp_path, page, width):
        done = self.open(
            tmp_path,
            page.replace('</body>', f'{CHECK}</body>'),
            *('--dump-dom', '--virtual-time-budget=20000', f'--window-size={width},1000'),
        )
        state = json.loads(html.unescape(re.search('<title>(.*?)</title>', done.stdout)[1]))
        assert state['broken'] == [] and not state['wide'] and state['images'] >= 21
        assert 'CONSOLE' not in done.stderr

    @pytest.mark.parametrize(('scheme', 'dark'), [(0, True), (1, False)])
    def test_light_and_dark(self, tmp_path, page, scheme, dark):
        from PIL import Image

        self.open(
            tmp_path,
            page,
            f'--blink-settings=preferredColorScheme={scheme}',
            f'--screenshot={tmp_path}/shot.png',
            '--window-size=800,600',
        )
        with Image.open(tmp_path / 'shot.png') as shot:
            gray = np.asarray(shot.convert('L'))
        assert bool(np.median(gray) < 100) is dark
        assert gray.std() > 15  # there is something on it
