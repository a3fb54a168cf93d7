"""Paired comparison of runs."""

import math

import numpy as np
import pytest
from scipy import stats

from cranium.errors import CraniumError
from cranium.evaluation import comparison
from cranium.evaluation.records import slice_table

from .slices import record


def run(dice_of_patients, healthy=1):
    """One slice per patient, 1000 pixels of hemorrhage, of which those found give the Dice."""
    rows = []
    for index, dice in enumerate(dice_of_patients):
        fn = round(1000 * (1 - dice) * 2 / (2 - dice))
        rows.append(record(f'{index:03d}', 1, 1000 - fn, 0, fn, 9000))
    return slice_table(rows + [record(f'9{n:02d}', 1, 0, 0, 0, 10_000) for n in range(healthy)])


def dice(slices):
    return slices.dice.dropna().to_numpy()


RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.2, 0.8, 12)


def test_literal_exact_permutation():
    # Four patients, all better by the same: of the 16 ways to exchange signs, two are as extreme.
    first, second = run([0.2, 0.3, 0.4, 0.5]), run([0.4, 0.5, 0.6, 0.7])
    (found,) = comparison.compare_runs([first, second])
    assert found.permutation == 2 / 16 and found.wilcoxon == 2 / 16
    assert found.patients == 4 and found.difference == pytest.approx(0.2, abs=1e-3)
    assert not found.decided


def test_a_clear_difference_is_decided():
    first, second = run(BASE), run(BASE + RNG.uniform(0.05, 0.15, 12))
    (found,) = comparison.compare_runs([first, second])
    assert found.decided and 0.05 < found.low < found.high < 0.15
    assert comparison.verdict(found, 'A', 'B').startswith('B is better than A')
    (back,) = comparison.compare_runs([second, first])
    assert back.difference == -found.difference and back.wilcoxon == found.wilcoxon
    assert comparison.verdict(back, 'B', 'A').startswith('B is better than A')


def test_the_sentence_names_the_better_run_first():
    found = comparison.Difference('d', 0.7, 0.5, 12, -0.3, -0.1, 0.01, 0.01, 0.01)
    assert comparison.verdict(found, 'A', 'B') == 'A is better than B.'
    found = comparison.Difference('d', 0.5, 0.7, 12, 0.1, 0.3, 0.01, 0.01, 0.01)
    assert comparison.verdict(found, 'B', 'A') == 'A is better than B.'


@pytest.mark.parametrize(('low', 'corrected'), [(-0.1, 0.01), (0.1, 0.2)])
def test_interval_and_corrected_p_must_both_decide(low, corrected):
    found = comparison.Difference('d', 0.5, 0.7, 12, low, 0.3, 0.1, 0.01, corrected)
    assert not found.decided


def test_few_patients_can_never_decide():
    found = comparison.Difference('d', 0.5, 0.7, 5, 0.1, 0.3, 0.0625, 0.0625, 0.0625)
    assert 'P cannot fall below 0.0625' in comparison.verdict(found, 'A', 'B')
    assert 'cannot fall' not in comparison.verdict(found._replace(patients=6), 'A', 'B')


def test_noise_is_not_decided():
    first, second = run(BASE), run(BASE + RNG.normal(0, 0.1, 12).clip(-0.15, 0.15))
    (found,) = comparison.compare_runs([first, second])
    assert not found.decided
    assert 'cannot decide' in comparison.verdict(found, 'A', 'B')
    expected = stats.wilcoxon(dice(second) - dice(first)).pvalue
    assert found.wilcoxon == pytest.approx(expected)


def test_a_run_against_itself():
    (found,) = comparison.compare_runs([run(BASE), run(BASE)])
    assert found.difference == 0 and found.permutation == 1 and math.isnan(found.wilcoxon)
    assert not found.decided


def test_few_false_alarms_where_nothing_differs():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        noise = rng.normal(0, 0.05, (2, 10))
        runs = [run(np.clip(BASE[:10] + n, 0.05, 0.95)) for n in noise]
        (found,) = comparison.compare_runs(runs, replicates=300)
        alarms += found.decided
    assert alarms <= 8  # 5 % of 60 are 3


class TestHolm:
    def test_literal(self):
        assert comparison.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])

    def test_never_above_one_and_never_smaller_than_before(self):
        p_values = [0.9, 0.2, 0.5, 0.001]
        corrected = comparison.holm(p_values)
        assert max(corrected) <= 1
        assert all(c >= p for c, p in zip(corrected, p_values))

    def test_over_runs_and_measures(self):
        runs = [run(BASE), run(BASE + 0.1), run(BASE + RNG.normal(0, 0.05, 12))]
        found = comparison.compare_runs(runs, comparison.MEASURES)
        assert [item.measure for item in found] == [*comparison.MEASURES] * 2
        expected = comparison.holm([item.permutation for item in found])
        assert [item.corrected for item in found] == expected
        text = comparison.format_differences(found, ['A', 'B', 'C'])
        assert text.count('\n\n') == 3 and text.index('  B: ') < text.index('  C: ')


class TestBadInput:
    def test_one_run(self):
        with pytest.raises(CraniumError, match='two runs'):
            comparison.compare_runs([run(BASE)])

    def test_other_slices(self):
        with pytest.raises(CraniumError, match='not tested on the same slices; 1 are in one only'):
            comparison.compare_runs([run(BASE), run(BASE, healthy=2)])

    def test_other_masks(self):
        other = run(BASE)
        other.loc[0, 'fn'] += 1
        with pytest.raises(CraniumError, match=r'same masks; 1 differ, first 000_001'):
            comparison.compare_runs([run(BASE), other])

    def test_other_pixels_ignored(self):
        other = run(BASE)
        other.loc[0, 'tn'] -= 1
        with pytest.raises(CraniumError, match=r'same masks; 1 differ, first 000_001'):
            comparison.compare_runs([run(BASE), other])

    def test_no_hemorrhage(self):
        with pytest.raises(CraniumError, match='fewer than two patients'):
            comparison.compare_runs([run([0.5]), run([0.5])])
