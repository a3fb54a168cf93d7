"""The report: its figures, its parts, and how a browser shows it."""

import csv
import html
import html.parser
import json
import math
import re
import shutil
import subprocess
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from cranium.evaluation import masks, pooling, results, results_table
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.estimate import format_estimate
from cranium.evaluation.summary import OperatingPoint
from cranium.visualization import report
from tests.test_tools.commands import save_masks

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('chrome')


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('work')
    save_masks(folder, num_patients=7)
    slices, _ = masks.compare_folders(folder / 'good', folder / 'masks/val', folder / 'images/val')
    found = results.evaluate(
        slices,
        replicates=300,
        provenance={'protocol': 'slice', 'config': 'model = <UNet>', 'trained_on': ['001']},
        warnings=['Split by slices & so on.'],
    )
    results.write_results(found, folder / 'evaluation')
    vis_data = folder / '20250101_000000/vis_data'
    vis_data.mkdir(parents=True)
    entries = [{'step': step, 'loss': 1 / step} for step in range(10, 100, 10)]
    entries += [{'step': step, 'pixel/dice_hemorrhage': step / 100} for step in (50, 100)]
    (vis_data / 'scalars.json').write_text(''.join(json.dumps(e) + '\n' for e in entries))
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
        assert not self.open

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
    return Elements(page).found


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
    contrasts = [float(cell) for row in rows for cell in row['true_contrasts'].split()]
    found = {
        level: [m == '1' for (_, m), hu in zip(lesions, contrasts) if low <= hu < high]
        for level, low, high in (('low', -99, 10), ('medium', 10, 20), ('high', 20, 999))
    }
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
        **{
            f'lesion/sensitivity_contrast_{level}': np.mean(matched) if matched else np.nan
            for level, matched in found.items()
        },
        'lesion/false_positives_per_patient': len(wrong) / len(by_patient),
    }


def test_figures_follow_from_slices_csv_alone(work_dir, elements):
    expected = recomputed(work_dir / 'evaluation/slices.csv')
    printed = defaultdict(set)
    for _, attributes in elements:
        if 'data-figure' in attributes:
            printed[attributes['data-figure']].add(float(attributes['data-value']))
    for name, value in expected.items():
        values = np.unique(list(printed[name]))  # nan is one value
        assert values == pytest.approx([value], abs=1e-9, nan_ok=True), name
    # Every headline that the report has is among those computed again.
    assert set(report.HEADLINES) & set(printed) == set(expected)


def test_what_is_read_is_what_is_meant(page):
    for value, text in re.findall(r'data-figure="[^"]+" data-value="([^"]+)">([^<]+)<', page):
        if math.isnan(float(value)):
            assert text.startswith('-')
        else:
            digits = len(text.split()[0].partition('.')[2])
            assert float(text.split()[0]) == pytest.approx(float(value), abs=0.51 * 10**-digits)


def test_nothing_is_loaded_from_elsewhere(elements):
    for tag, attributes in elements:
        assert tag != 'script'
        for name in ('src', 'href', 'xlink:href', 'style'):
            assert 'http' not in attributes.get(name, '')
        for name in ('src', 'href', 'xlink:href'):
            assert re.match('data:|#|$', attributes.get(name, '')), attributes


def test_every_picture_has_words(elements):
    images = [a for tag, a in elements if tag == 'img' and 'class' not in a]
    charts = [a for tag, a in elements if tag == 'svg']
    assert len(images) >= 21 and all(len(a['alt']) > 20 for a in images)
    assert len(charts) == 7 and all(len(a['aria-label']) > 10 for a in charts)


def test_links_lead_somewhere_and_ids_are_unique(elements):
    ids = [a['id'] for _, a in elements if 'id' in a]
    assert len(ids) == len(set(ids))
    links = {a[key][1:] for tag, a in elements for key in ('href', 'xlink:href') if key in a}
    links -= {'ata:,'}  # of the icon
    assert {'overview', 'slice-001_001', 'patient-001'} <= links <= set(ids)


def test_what_scrolls_can_be_reached_by_keyboard(elements):
    scrolling = [a for _, a in elements if a.get('class') in ('strip', 'scroll')]
    assert len(scrolling) > 10
    assert all(a['tabindex'] == '0' and a['aria-label'] for a in scrolling)


def test_each_patient_has_all_its_slices(page):
    for patient in range(7):
        part = page.split(f'id="patient-{patient:03d}"')[1].split('</details>')[0]
        expected = [f'{patient:03d}_{number:03d}' for number in (1, 2, 3)]
        assert re.findall(r'data-slice="(\d+_\d+)"', part) == expected


def test_worst_and_best(page, work_dir):
    slices = results.read_results(work_dir).slices
    ranked = slices[slices.tp + slices.fn > 0].sort_values('dice', kind='stable')
    names = (ranked.patient + ranked.slice.map('_{:03d}'.format)).tolist()
    shown = {
        name: re.findall(r'data-slice="(\d+_\d+)"', page.split(f'<h3>{name}</h3>')[1])[:4]
        for name in ('Worst', 'Best')
    }
    assert shown == {'Worst': names[:4], 'Best': names[::-1][:4]}


def test_warnings_and_config_are_escaped(page):
    assert 'Split by slices &amp; so on.' in page and 'model = &lt;UNet&gt;' in page


def test_published_figures_stand_beside_ours(page):
    for row in report.PUBLISHED:
        assert row.value in page and f'data-figure="{row.figure}"' in page


def test_markdown_holds_the_same_figures(work_dir):
    text = report.build_report(work_dir, 'md')
    figures = results.read_results(work_dir).figures
    assert format_estimate(figures['patient/authors_dice']) in text
    assert '> **Note.** Split by slices & so on.' in text and '| pixel/dice_hemorrhage' in text
    origin = text.split('## Origin')[1]
    assert re.search(r'\| protocol +\| +slice \|', origin)
    assert re.search(r'\| trained_on +\| +001 \|', origin)
    assert '```python\nmodel = <UNet>\n```' in origin


def test_the_figure_without_070_stands_beside_the_authors_where_there_is_one():
    with_070, without = 'patient/authors_dice', 'patient/authors_dice_without_070'

    def beside(figures):
        return [name for _, name, _ in report.published_beside(dict.fromkeys(figures))]

    # Of the authors, and of others who give a Dice of patients.
    assert beside([with_070]) == [with_070, with_070]
    assert beside([with_070, without]) == [without, with_070]


def test_the_rows_of_the_predecessor_are_marked_where_they_are_impossible():
    rows = [p for p in report.PUBLISHED if p.figure in ('mIoU', 'mDice')]
    for miou, mdice in zip(rows[::2], rows[1::2]):
        values = [float(row.value.split()[0]) for row in (miou, mdice)]
        impossible = results_table.contradiction(results_table.Row('', *values)) is not None
        assert ['impossible' in row.value for row in (miou, mdice)] == [impossible] * 2
    assert len(rows) == 6


COUNTS = ((9, 1, 3, 87), (0, 0, 8, 92), (0, 5, 0, 95), (0, 0, 0, 100))


def table(score=math.nan):
    """Four slices, the last two of another patient, without files."""
    return [
        dict(patient=f'05{n // 2}', slice=n, tp=tp, fp=fp, fn=fn, tn=tn, score_raw=score + n)
        for n, (tp, fp, fn, tn) in enumerate(COUNTS)
    ]


def test_a_run_without_pictures_curves_or_hemorrhage(tmp_path):
    results.write_results(results.evaluate(table()[2:], replicates=20), tmp_path)
    text = report.build_report(tmp_path)
    assert 'no image' in text and 'id="training"' not in text
    Elements(text)


def test_confusion_at_a_threshold_from_validation(tmp_path):
    point = OperatingPoint(
        slice=1.5, patient=1.5, score='log-odds', score_smoothing=0.0, patients=('900',)
    )
    found = results.evaluate(table(score=0.0), operating_point=point, replicates=20)
    results.write_results(found, tmp_path)
    page = report.build_report(tmp_path)
    confusion = page.split('aria-label="Confusion of slices"')[1].split('</table>')[0]
    rows = re.findall(r'<tr><td>(.*?)</td></tr>', confusion)
    # Predicted pixels on slices 0 and 2, scores from 1.5 on 2 and 3; hemorrhage on 0 and 1.
    assert [row.split('</td><td>') for row in rows] == [
        ['any predicted pixel', '1', '1', '1', '1'],
        ['score from 1.5, chosen in validation', '0', '2', '2', '0'],
    ]


def test_reliability_before_and_after_calibration(tmp_path):
    rows = [
        dict(patient=f'05{n}', slice=1, tp=n % 2, fp=0, fn=0, tn=9, score_raw=n + 3.0 * (n % 2))
        for n in range(8)
    ]
    found = results.evaluate(rows[:6], replicates=20)
    before, *_ = report._calibration(found)
    assert before.caption == 'Reliability: slices in 5 bins of 1 to 2 each.'
    assert 'score as log-odds' in before.svg and 'calibrated' not in before.svg
    folds = {f'fold_{fold}': [f'05{n}' for n in range(8) if n % 4 // 2 == fold] for fold in (0, 1)}
    origin = dict(folds=[0, 1], patients=folds)
    cohort = Cohort(results.evaluate(rows, replicates=0).slices, 0)
    calibrations = pooling.pooled_calibrations(cohort, origin)
    pooled = results.evaluate(rows, calibrations=calibrations, provenance=origin, replicates=20)
    results.write_results(pooled, tmp_path)
    page = report.build_report(tmp_path)
    Elements(page)
    assert page.count('id="reliability-') > 2 and '<h3>Calibration</h3>' in page
    # Scores are 0, 2, 4, 4, 6, 6, 8 and 10, and as many bins are filled of twenty and of five.
    assert '<figcaption>Reliability: slices in 6 bins of 1 to 2 each.' in page
    assert '<figcaption>Reliability: patients in 4 bins of 2 to 2 each.' in page
    for level in ('slice', 'patient'):
        for suffix, label in {'': 'calibrated on other', '_uncalibrated': 'score as'}.items():
            brier = pooled.figures[f'calibration/{level}_brier{suffix}'].value
            assert re.search(rf'{label}.*, Brier {brier:.3f}<', page)


def test_a_run_without_scores_has_no_reliability(page):
    assert '<h3>Calibration</h3>' not in page


def test_pages_stay_small_with_many_slices():
    assert report._side(300) == 256  # as sharp as can be
    for slices in (1000, 2004, 2501):
        side = report._side(slices)
        size = slices * (report.SLICE_BYTES + report.PIXEL_BYTES * side**2)
        assert 64 < side < 256 and 7e6 < size < 9e6


CHECK = """<script>
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; });
  setTimeout(() => {
    const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt);
    for (const chart of document.querySelectorAll('svg')) {
      const box = chart.getBoundingClientRect();
      if (box.width < 200 || box.height < 40) broken.push(chart.ariaLabel);
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
