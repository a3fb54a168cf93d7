"""tools/results_table.py as typed."""

import pytest

from tests.test_evaluation.test_results_table import PREDECESSOR

from .commands import call


def test_runs(evaluated):
    folder, _ = evaluated
    done = call('results_table', folder / 'results-good', folder / 'results-bad')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4 and not done.stderr


def test_ablation_compares_with_the_first(evaluated):
    folder, _ = evaluated
    done = call('results_table', '--ablation', folder / 'results-good', folder / 'results-bad')
    assert done.returncode == 0, done.stderr
    _, _, first, second = (line.split(' | ') for line in done.stdout.splitlines())
    assert (first[0], second[0]) == ('| results-good', '| results-bad')
    assert not first[2].strip()
    assert float(second[2].split()[0]) == pytest.approx(
        float(second[1]) - float(first[1]), abs=1e-3
    )


def test_ablation_needs_something_to_compare_with(evaluated):
    folder, _ = evaluated
    done = call('results_table', '--ablation', folder / 'results-good')
    assert done.returncode == 2 and 'two or more' in done.stderr


def test_check_names_the_impossible_rows(tmp_path):
    (tmp_path / 'README.md').write_text(PREDECESSOR)
    done = call('results_table', '--check', tmp_path / 'README.md')
    assert done.returncode == 1
    assert '3 rows checked, 2 contradict themselves' in done.stdout
    assert [line.split(':')[0][-6:].strip(' ,') for line in done.stderr.splitlines()] == [
        '0.001',
        '0.0001',
    ]


def test_nothing_to_do():
    assert call('results_table').returncode == 2
